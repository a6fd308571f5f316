// Losses and distances, computed forward.
#include <cmath>
#include <limits>
#include <numbers>

#include "formats/pytorch/mapping.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/ctc.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"

namespace hone::pytorch {
namespace {

enum Reduction : int64_t { none = 0, by_mean = 1, by_sum = 2 };

Value all_axes(NodeContext& n, Value x) {
  std::vector<int64_t> all;
  for (size_t k = 0; k < n.rank(x); ++k) all.push_back(static_cast<int64_t>(k));
  return n.ints_constant(all);
}
Value total(NodeContext& n, Value x) {
  return n.rank(x) == 0 ? x : n(ReduceSum{}, x, all_axes(n, x));
}
Values reduced(NodeContext& n, Value each) {
  const int64_t how = n.i("reduction", by_mean);
  if (how == none || n.rank(each) == 0) return {each};
  return {how == by_mean ? n(ReduceMean{}, each, all_axes(n, each)) : total(n, each)};
}
Value weighted(NodeContext& n, Value each) {
  return n.has("weight") ? n(Multiply{}, each, n.cast(n.in("weight"), each.element_type())) : each;
}
Value positive_part(NodeContext& n, Value x) {
  return n(Maximum{}, x, n.like(x, 0));
}
Value squared(NodeContext& n, Value x) {
  return n(Multiply{}, x, x);
}
// log(1 + exp(x)) without overflow.
Value soft_plus(NodeContext& n, Value x) {
  return n(SoftPlus{}, x);
}

Values squared_loss(NodeContext& n) {
  return reduced(n, weighted(n, n(SquaredDifference{}, n.in("self"), n.in("target"))));
}
Values absolute_loss(NodeContext& n) {
  return reduced(n, weighted(n, n(Abs{}, n(Subtract{}, n.in("self"), n.in("target")))));
}
// Squares below the border, a line beyond it.
Value rounded_corner(NodeContext& n, double border, double square_by, double line_by) {
  const Value d = n(Abs{}, n(Subtract{}, n.in("self"), n.in("target")));
  const Value square = n(Multiply{}, squared(n, d), n.like(d, square_by));
  const Value line = n(Multiply{}, n(Subtract{}, d, n.like(d, border / 2)), n.like(d, line_by));
  return n(Select{}, n(Less{}, d, n.like(d, border)), square, line);
}
Values smooth_absolute_loss(NodeContext& n) {
  const double beta = n.f("beta", 1);
  if (beta == 0) return absolute_loss(n);
  return reduced(n, rounded_corner(n, beta, 0.5 / beta, 1));
}
Values huber_loss(NodeContext& n) {
  const double delta = n.f("delta", 1);
  return reduced(n, rounded_corner(n, delta, 0.5, delta));
}
Values binary_cross_entropy(NodeContext& n) {
  const Value x = n.in("self"), t = n.cast(n.in("target"), x.element_type());
  const Value one = n.like(x, 1), least = n.like(x, -100);  // PyTorch's bound of the logarithms
  const Value yes = n(Maximum{}, n(Log{}, x), least), no = n(Maximum{}, n(Log{}, n(Subtract{}, one, x)), least);
  const Value each = n(Add{}, n(Multiply{}, t, yes), n(Multiply{}, n(Subtract{}, one, t), no));
  return reduced(n, weighted(n, n(Negative{}, each)));
}
// (1 - t) x + (1 + (p - 1) t) log(1 + exp(-x))
Values binary_cross_entropy_of_logits(NodeContext& n) {
  const Value x = n.in("self"), t = n.cast(n.in("target"), x.element_type()), one = n.like(x, 1);
  Value tail = soft_plus(n, n(Negative{}, x));
  if (n.has("pos_weight")) {
    const Value p = n(Subtract{}, n.cast(n.in("pos_weight"), x.element_type()), one);
    tail = n(Multiply{}, tail, n(Add{}, n(Multiply{}, p, t), one));
  }
  return reduced(n, weighted(n, n(Add{}, n(Multiply{}, n(Subtract{}, one, t), x), tail)));
}
Values divergence(NodeContext& n) {
  const Value x = n.in("self"), t = n.in("target");
  if (n.flag("log_target", false)) return reduced(n, n(Multiply{}, n(Exp{}, t), n(Subtract{}, t, x)));
  const Value zero = n.like(t, 0), positive = n(Greater{}, t, zero);
  const Value log = n(Log{}, n(Select{}, positive, t, n.like(t, 1)));
  return reduced(n, n(Subtract{}, n(Select{}, positive, n(Multiply{}, t, log), zero), n(Multiply{}, t, x)));
}
Values soft_margin_loss(NodeContext& n) {
  return reduced(n, soft_plus(n, n(Negative{}, n(Multiply{}, n.in("target"), n.in("self")))));
}
Values margin_ranking_loss(NodeContext& n) {
  const Value d = n(Subtract{}, n.in("input1"), n.in("input2"));
  const Value y =
      n(Subtract{}, n.like(d, n.f("margin", 0)), n(Multiply{}, n.cast(n.in("target"), d.element_type()), d));
  return reduced(n, positive_part(n, y));
}
Values hinge_embedding_loss(NodeContext& n) {
  const Value x = n.in("self"), t = n.in("target"), zero = n.like(x, 0);
  const Value far = positive_part(n, n(Subtract{}, n.like(x, n.f("margin", 1)), x));
  const Value a = n(Select{}, n(Equal{}, t, n.like(t, 1)), zero, far),
              b = n(Select{}, n(Equal{}, t, n.like(t, -1)), zero, x);
  return reduced(n, n(Add{}, a, b));
}
Values cosine_embedding_loss(NodeContext& n) {
  const Value a = n.in("input1"), b = n.in("input2"), t = n.in("target"), eps = n.like(a, 1e-12);
  const Value last = n.ints_constant({static_cast<int64_t>(n.rank(a)) - 1});
  const Value la = n(Add{}, n(ReduceSum{}, squared(n, a), last), eps),
              lb = n(Add{}, n(ReduceSum{}, squared(n, b), last), eps);
  const Value cosine = n(Divide{}, n(ReduceSum{}, n(Multiply{}, a, b), last), n(Sqrt{}, n(Multiply{}, la, lb)));
  const Value near = n(Subtract{}, n.like(a, 1), cosine), zero = n.like(a, 0),
              far = positive_part(n, n(Subtract{}, cosine, n.like(a, n.f("margin", 0))));
  return reduced(n, n(Add{}, n(Select{}, n(Equal{}, t, n.like(t, 1)), near, zero),
                      n(Select{}, n(Equal{}, t, n.like(t, -1)), far, zero)));
}
Values poisson_loss(NodeContext& n) {
  const Value x = n.in("input"), t = n.in("target");
  const double eps = n.f("eps", 1e-8);
  Value y = n.flag("log_input", true) ? n(Subtract{}, n(Exp{}, x), n(Multiply{}, t, x))
                                      : n(Subtract{}, x, n(Multiply{}, t, n(Log{}, n(Add{}, x, n.like(x, eps)))));
  if (n.flag("full", false)) {
    // Stirling's formula for log t!
    const Value one = n.like(t, 1), large = n(Greater{}, t, one), u = n(Select{}, large, t, one);
    const Value root = n(Multiply{}, n(Log{}, n(Multiply{}, u, n.like(t, 2 * std::numbers::pi))), n.like(t, 0.5));
    const Value stirling = n(Add{}, n(Subtract{}, n(Multiply{}, u, n(Log{}, u)), u), root);
    y = n(Add{}, y, n(Select{}, large, stirling, n.like(t, 0)));
  }
  return reduced(n, y);
}

// The p-norm along the last axis.
Value norm_of(NodeContext& n, Value d, double p, bool keep) {
  const Value last = n.ints_constant({static_cast<int64_t>(n.rank(d)) - 1});
  if (p == 2) return n(ReduceL2{keep}, d, last);
  if (p == 1) return n(ReduceL1{keep}, d, last);
  if (p == std::numeric_limits<double>::infinity()) return n(ReduceMax{keep}, n(Abs{}, d), last);
  if (p == 0) return n(ReduceSum{keep}, n.cast(n(NotEqual{}, d, n.like(d, 0)), d.element_type()), last);
  const Value sum = n(ReduceSum{keep}, n(Power{}, n(Abs{}, d), n.like(d, p)), last);
  return n(Power{}, sum, n.like(sum, 1 / p));
}
Value distance(NodeContext& n, Value a, Value b, double p, double eps, bool keep) {
  const Value d = n(Subtract{}, a, b);
  return norm_of(n, n(Add{}, d, n.like(d, eps)), p, keep);
}
Values pairwise_distance(NodeContext& n) {
  return {distance(n, n.in("x1"), n.in("x2"), n.f("p", 2), n.f("eps", 1e-6), n.flag("keepdim", false))};
}
// Between all rows i < j.
Values distances_of_rows(NodeContext& n) {
  const Value x = n.in("self");
  const Dimension d = x.shape()[0];
  if (d.is_dynamic() || d.get_length() > 4096) n.refuse("needs to know the number of rows, at most 4096");
  std::vector<int64_t> first, second;
  for (int64_t i = 0; i < d.get_length(); ++i) {
    for (int64_t j = i + 1; j < d.get_length(); ++j) {
      first.push_back(i);
      second.push_back(j);
    }
  }
  const Value a = n.gather(x, n.ints_constant(first), 0), b = n.gather(x, n.ints_constant(second), 0);
  return {norm_of(n, n(Subtract{}, a, b), n.f("p", 2), false)};
}
Values distance_of_tensors(NodeContext& n) {
  const Value d = n(Subtract{}, n.in("self"), n.in("other"));
  return {norm_of(n, n.reshape(d, {-1}), n.f("p", 2), false)};
}
Values triplet_margin_loss(NodeContext& n) {
  const Value a = n.in("anchor"), p = n.in("positive"), q = n.in("negative");
  const double power = n.f("p", 2), eps = n.f("eps", 1e-6);
  const Value near = distance(n, a, p, power, eps, false);
  Value far = distance(n, a, q, power, eps, false);
  if (n.flag("swap", false)) far = n(Minimum{}, far, distance(n, p, q, power, eps, false));
  return reduced(n, positive_part(n, n(Add{}, n(Subtract{}, near, far), n.like(near, n.f("margin", 1)))));
}
Values multi_margin_loss(NodeContext& n) {
  Value x = n.in("self"), t = n.cast(n.in("target"), ElementType::i64);
  const bool single = n.rank(x) < 2;
  if (single) x = n.reshape(x, {1, -1});
  t = n.unsqueeze(n.reshape(t, {-1}), {1});
  const Value own = n(GatherElements{1}, x, t);
  Value y = positive_part(n, n(Add{}, n(Subtract{}, x, own), n.like(x, n.f("margin", 1))));
  if (n.f("p", 1) == 2) y = squared(n, y);
  if (n.has("weight")) y = n(Multiply{}, y, n.gather(n.in("weight"), t, 0));
  const Value classes = n.dim(x, 1), is_own = n(Equal{}, n.unsqueeze(n.range(classes), {0}), t);
  y = n(ReduceMean{}, n(Select{}, is_own, n.like(y, 0), y), n.ints_constant({1}));
  return reduced(n, single ? n.squeeze(y, {0}) : y);
}

// Classes by number. What `ignore_index` names counts for nothing.
struct Picked {
  Value each, weight;  // both of the shape of the target
};
Picked negative_log_likelihood(NodeContext& n, Value log, Value target, int64_t axis) {
  const Value ignored = n(Equal{}, target, n.like(target, static_cast<double>(n.i("ignore_index", -100))));
  const Value at = n(Select{}, ignored, n.like(target, 0), target);
  const Value own = n.squeeze(n(GatherElements{axis}, log, n.unsqueeze(at, {axis})), {axis});
  Value w = n.has("weight") ? n.gather(n.in("weight"), at, 0) : n.filled(n.shape_of(target), n.like(log, 1));
  w = n(Select{}, ignored, n.like(w, 0), w);
  return {n(Negative{}, n(Multiply{}, n(Select{}, ignored, n.like(own, 0), own), w)), w};
}
Values by_weights(NodeContext& n, Value each, Value weight) {
  const int64_t how = n.i("reduction", by_mean);
  if (how == none) return {each, n.like(each, 0)};
  const Value sum = total(n, each), count = total(n, weight);
  return {how == by_mean ? n(Divide{}, sum, count) : sum, count};
}
Values class_loss(NodeContext& n) {
  const Value x = n.in("self"), target = n.cast(n.in("target"), ElementType::i64);
  const Picked p = negative_log_likelihood(n, x, target, n.rank(x) == 1 ? 0 : 1);
  return by_weights(n, p.each, p.weight);
}
Values cross_entropy(NodeContext& n) {
  const Value x = n.in("self"), target = n.in("target");
  const int64_t axis = n.rank(x) == 1 ? 0 : 1;
  const Value log = n(LogSoftmax{axis}, x);
  const double smoothing = n.f("label_smoothing", 0);
  const auto scaled = [&](Value v, double by) { return n(Multiply{}, v, n.like(v, by)); };
  Value weight;
  if (n.has("weight")) weight = n.reshape(n.in("weight"), n.laid_along(axis, n.rank(x)));
  const Value list = n.ints_constant({axis}), classes = n.cast(n.dim(x, axis), x.element_type());
  if (is_float(target.element_type())) {
    // Probabilities of the classes.
    Value t = n.cast(target, x.element_type());
    if (smoothing != 0) t = n(Add{}, scaled(t, 1 - smoothing), n(Divide{}, n.like(t, smoothing), classes));
    Value y = n(Multiply{}, log, t);
    if (weight) y = n(Multiply{}, y, weight);
    return reduced(n, n(Negative{}, n(ReduceSum{}, y, list)));
  }
  const Picked p = negative_log_likelihood(n, log, n.cast(target, ElementType::i64), axis);
  if (smoothing == 0) return {by_weights(n, p.each, p.weight)[0]};
  const Value all = n(Negative{}, n(ReduceSum{}, weight ? n(Multiply{}, log, weight) : log, list));
  const Value ignored = n(Equal{}, target, n.like(target, static_cast<double>(n.i("ignore_index", -100))));
  const Value share = n(Divide{}, n(Select{}, ignored, n.like(all, 0), all), classes);
  return {by_weights(n, n(Add{}, scaled(p.each, 1 - smoothing), scaled(share, smoothing)), p.weight)[0]};
}

// Labels of one vector, one sequence after the other, become rows.
Value rows_of_labels(NodeContext& n, Value labels, Value lengths) {
  const Value longest = n.dim(labels, 0), last = n(Subtract{}, longest, n.int_constant(1));
  const Value start = n(CumSum{true, false}, lengths, n.int_constant(0));
  const Value at = n(Add{}, n.unsqueeze(start, {1}), n.unsqueeze(n.range(longest), {0}));
  return n.gather(labels, n(Minimum{}, at, last), 0);
}
Values ctc_loss(NodeContext& n) {
  Value x = n.in("log_probs"), labels = n.cast(n.in("targets"), ElementType::i64);
  const auto lengths = [&](const char* name) {
    const Value v = n.is_tensor(name) ? n.cast(n.in(name), ElementType::i64) : n.sizes(name);
    return n.reshape(v, {-1});
  };
  const Value frames = lengths("input_lengths"), label_lengths = lengths("target_lengths");
  const bool single = n.rank(x) == 2;
  if (single) x = n.unsqueeze(x, {1});
  if (n.rank(labels) == 1) labels = single ? n.unsqueeze(labels, {0}) : rows_of_labels(n, labels, label_lengths);
  Value y = n(CTCLoss{}, n.transpose(x, {1, 0, 2}), frames, labels, label_lengths, n.int_constant(n.i("blank", 0)));
  if (n.flag("zero_infinity", false)) y = n(Select{}, n(IsInf{}, y), n.like(y, 0), y);
  const int64_t how = n.i("reduction", n.op() == "ctc_loss" ? by_mean : none);
  if (how == by_mean) {
    const Value count = n(Maximum{}, label_lengths, n.int_constant(1));
    return {n(ReduceMean{}, n(Divide{}, y, n.cast(count, y.element_type())), n.ints_constant({0}))};
  }
  if (how == by_sum) return {n(ReduceSum{}, y, n.ints_constant({0}))};
  return {single ? n.squeeze(y, {0}) : y};
}

constexpr OperatorRow rows[] = {
    {"_ctc_loss", ctc_loss},
    {"_pdist_forward", distances_of_rows},
    {"binary_cross_entropy", binary_cross_entropy},
    {"binary_cross_entropy_with_logits", binary_cross_entropy_of_logits},
    {"cosine_embedding_loss", cosine_embedding_loss},
    {"cross_entropy_loss", cross_entropy},
    {"ctc_loss", ctc_loss},
    {"dist", distance_of_tensors},
    {"hinge_embedding_loss", hinge_embedding_loss},
    {"huber_loss", huber_loss},
    {"kl_div", divergence},
    {"l1_loss", absolute_loss},
    {"margin_ranking_loss", margin_ranking_loss},
    {"mse_loss", squared_loss},
    {"multi_margin_loss", multi_margin_loss},
    {"nll_loss", class_loss},
    {"nll_loss2d", class_loss},
    {"nll_loss2d_forward", class_loss},
    {"nll_loss_forward", class_loss},
    {"nll_loss_nd", class_loss},
    {"pairwise_distance", pairwise_distance},
    {"pdist", distances_of_rows},
    {"poisson_nll_loss", poisson_loss},
    {"smooth_l1_loss", smooth_absolute_loss},
    {"soft_margin_loss", soft_margin_loss},
    {"triplet_margin_loss", triplet_margin_loss},
};

}  // namespace

std::span<const OperatorRow> loss_rows() {
  return rows;
}

}  // namespace hone::pytorch
