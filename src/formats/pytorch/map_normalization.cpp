// Normalizations.
#include "formats/pytorch/mapping.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/movement.hpp"
#include "ops/normalization.hpp"
#include "ops/reduce.hpp"
#include "ops/unary.hpp"

namespace hone::pytorch {
namespace {

Value channels(NodeContext& n, Value x) {
  return n.dims(x, 1, 2);
}
// Scales and offsets that are not there are 1 and 0.
Value weight_or(NodeContext& n, const char* name, Value x, Value shape, double otherwise) {
  return n.has(name) ? n.in(name) : n.filled(shape, n.like(x, otherwise));
}

Value over_statistics(NodeContext& n, Value x, const char* mean, const char* variance, double eps) {
  const Value c = channels(n, x);
  return n(BatchNormInference{eps}, x, weight_or(n, "weight", x, c, 1), weight_or(n, "bias", x, c, 0), n.in(mean),
           n.in(variance));
}
// Over all axes but the channels, as in training.
Value over_batch(NodeContext& n, Value x, double eps) {
  std::vector<int64_t> axes{0}, ones{-1};
  for (size_t k = 2; k < n.rank(x); ++k) {
    axes.push_back(static_cast<int64_t>(k));
    ones.push_back(1);
  }
  MVN op;
  op.eps = eps;
  Value y = n(op, x, n.ints_constant(axes));
  if (n.has("weight")) y = n(Multiply{}, y, n.reshape(n.in("weight"), ones));
  if (n.has("bias")) y = n(Add{}, y, n.reshape(n.in("bias"), ones));
  return y;
}
Values batch_norm(NodeContext& n) {
  const Value x = n.in("input");
  const double eps = n.f("eps", 1e-5);
  if (!n.flag("training", false)) {
    if (!n.has("running_mean")) n.refuse("lacks running statistics");
    return {over_statistics(n, x, "running_mean", "running_var", eps)};
  }
  if (n.has("running_mean")) n.refuse("was exported in training mode; call model.eval() first");
  return {over_batch(n, x, eps)};
}
// Outputs: y, mean and inverse deviation of the batch, which are empty here.
Values native_batch_norm(NodeContext& n) {
  const Value x = n.in("input"), none = n.b.constant(Tensor(ElementType::f32, {0}));
  const double eps = n.f("eps", 1e-5);
  if (n.flag("training", false) && n.op().find("no_training") == std::string_view::npos) {
    if (n.has("running_mean")) n.refuse("was exported in training mode; call model.eval() first");
    return {over_batch(n, x, eps), none, none};
  }
  return {over_statistics(n, x, "running_mean", "running_var", eps), none, none};
}

Values layer_norm(NodeContext& n) {
  const Value x = n.in("input");
  const auto last =
      static_cast<int64_t>(n.argument("normalized_shape") ? n.argument("normalized_shape")->list.size() : 1);
  const auto rank = static_cast<int64_t>(n.rank(x));
  if (last < 1 || last > rank) n.fail("normalized_shape has more axes than the input");
  const double eps = n.f("eps", 1e-5);
  const Value shape = n.sizes("normalized_shape");
  const Value gamma = weight_or(n, "weight", x, shape, 1);
  Values out{n.has("bias") ? n(LayerNorm{eps, rank - last}, x, gamma, n.in("bias"))
                           : n(LayerNorm{eps, rank - last}, x, gamma)};
  if (n.op() == "native_layer_norm") {
    std::vector<int64_t> axes;
    for (int64_t k = rank - last; k < rank; ++k) axes.push_back(k);
    const Value list = n.ints_constant(axes), mean = n(ReduceMean{true}, x, list), d = n(Subtract{}, x, mean);
    const Value variance = n(ReduceMean{true}, n(Multiply{}, d, d), list);
    out.push_back(mean);
    out.push_back(n(Divide{}, n.like(x, 1), n(Sqrt{}, n(Add{}, variance, n.like(x, eps)))));
  }
  return out;
}
Values rms_norm(NodeContext& n) {
  const Value x = n.in("input");
  const auto last =
      static_cast<int64_t>(n.argument("normalized_shape") ? n.argument("normalized_shape")->list.size() : 1);
  // Without eps PyTorch takes the smallest step of the type.
  const double eps = n.f("eps", x.element_type() == ElementType::f64 ? 2.220446049250313e-16 : 1.1920928955078125e-07);
  std::vector<int64_t> axes;
  for (int64_t k = static_cast<int64_t>(n.rank(x)) - last; k < static_cast<int64_t>(n.rank(x)); ++k) axes.push_back(k);
  if (last == 1 && n.has("weight")) return {n(RMSNorm{eps, axes[0]}, x, n.in("weight"))};
  const Value mean = n(ReduceMean{true}, n(Multiply{}, x, x), n.ints_constant(axes));
  const Value y = n(Divide{}, x, n(Sqrt{}, n(Add{}, mean, n.like(x, eps))));
  return {n.has("weight") ? n(Multiply{}, y, n.in("weight")) : y};
}

Values group_norm(NodeContext& n) {
  const Value x = n.in("input"), c = channels(n, x);
  const int64_t groups = n.has("num_groups") ? n.i("num_groups") : n.i("group");
  Values out{n(GroupNormalization{groups, n.f("eps", 1e-5)}, x, weight_or(n, "weight", x, c, 1),
               weight_or(n, "bias", x, c, 0))};
  if (n.op() == "native_group_norm") {
    const Value flat = n.reshape_to(x, n.concat({n.dims(x, 0, 1), n.ints_constant({groups, -1})}, 0));
    const Value list = n.ints_constant({2}), mean = n(ReduceMean{}, flat, list),
                d = n(Subtract{}, flat, n.unsqueeze(mean, {2}));
    const Value variance = n(ReduceMean{}, n(Multiply{}, d, d), list);
    out.push_back(mean);
    out.push_back(n(Divide{}, n.like(x, 1), n(Sqrt{}, n(Add{}, variance, n.like(x, n.f("eps", 1e-5))))));
  }
  return out;
}
Values instance_norm(NodeContext& n) {
  const Value x = n.in("input");
  if (!n.flag("use_input_stats", true)) return {over_statistics(n, x, "running_mean", "running_var", n.f("eps", 1e-5))};
  std::vector<int64_t> axes, ones{-1};
  for (size_t k = 2; k < n.rank(x); ++k) {
    axes.push_back(static_cast<int64_t>(k));
    ones.push_back(1);
  }
  MVN op;
  op.eps = n.f("eps", 1e-5);
  Value y = n(op, x, n.ints_constant(axes));
  if (n.has("weight")) y = n(Multiply{}, y, n.reshape(n.in("weight"), ones));
  if (n.has("bias")) y = n(Add{}, y, n.reshape(n.in("bias"), ones));
  return {y};
}

// Weights as a direction and a length: v * g / |v|, the length over all axes but one.
Values weight_norm(NodeContext& n) {
  const Value v = n.in("v"), g = n.in("g");
  const int64_t axis = n.axis(n.i("dim", 0), v);
  std::vector<int64_t> axes;
  for (int64_t k = 0; k < static_cast<int64_t>(n.rank(v)); ++k) {
    if (k != axis) axes.push_back(k);
  }
  const Value length = n(ReduceL2{true}, v, n.ints_constant(axes));
  return {n(Multiply{}, v, n(Divide{}, g, length)), length};
}

constexpr OperatorRow rows[] = {
    {"_native_batch_norm_legit", native_batch_norm},
    {"_native_batch_norm_legit_no_training", native_batch_norm},
    {"_weight_norm", weight_norm},
    {"_weight_norm_interface", weight_norm},
    {"batch_norm", batch_norm},
    {"group_norm", group_norm},
    {"instance_norm", instance_norm},
    {"layer_norm", layer_norm},
    {"native_batch_norm", native_batch_norm},
    {"native_group_norm", group_norm},
    {"native_layer_norm", layer_norm},
    {"rms_norm", rms_norm},
};

}  // namespace

std::span<const OperatorRow> normalization_rows() {
  return rows;
}

}  // namespace hone::pytorch
