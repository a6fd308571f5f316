// Classic learning of ai.onnx.ml: linear models, support vectors, one-hot encoders, imputers. Corners that the
// specification leaves open are those of ONNX Runtime.
#include <algorithm>
#include <cmath>

#include "formats/onnx/mapping.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/indexing.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/pairwise.hpp"
#include "ops/reduce.hpp"
#include "ops/string.hpp"
#include "ops/unary.hpp"

namespace hone::onnx {
namespace {

Tensor matrix(NodeContext& n, const std::vector<float>& v, int64_t rows, const char* name) {
  if (rows < 1 || v.empty() || static_cast<int64_t>(v.size()) % rows != 0)
    n.fail(std::string(name) + " has " + std::to_string(v.size()) + " numbers for " + std::to_string(rows) + " rows");
  return Tensor::of<float>({rows, static_cast<int64_t>(v.size()) / rows}, std::span<const float>(v));
}
Value row(NodeContext& n, const std::vector<float>& v) {
  return n.b.constant(Tensor::of<float>({1, static_cast<int64_t>(v.size())}, std::span<const float>(v)));
}

// [N, C] in f32; a single row may come as [C].
Value features(NodeContext& n) {
  const Value x = n.cast(n.in(0), ElementType::f32);
  return n.rank(x) == 1 ? n.unsqueeze(x, {0}) : x;
}

Value post_transformed(NodeContext& n, Value scores) {
  const std::string s = n.s("post_transform", "NONE");
  if (s == "NONE") return scores;
  if (s == "SOFTMAX") return n(Softmax{1}, scores);
  if (s == "LOGISTIC") return n(Sigmoid{}, scores);
  n.refuse("post_transform '" + s + "' is not offered");
}

// Class labels, of whichever type: attribute `prefix` + "_ints" or "_int64s", "_strings".
Tensor class_labels(NodeContext& n) {
  for (const char* name : {"classlabels_strings", "classlabels_ints", "classlabels_int64s"}) {
    if (!n.has_attribute(name)) continue;
    if (std::string_view(name) == "classlabels_strings") {
      auto names = n.strings(name);
      const auto count = static_cast<int64_t>(names.size());
      if (count > 0) return Tensor::strings({count}, std::move(names));
      continue;
    }
    const auto numbers = n.ints(name);
    if (!numbers.empty())
      return Tensor::of<int64_t>({static_cast<int64_t>(numbers.size())}, std::span<const int64_t>(numbers));
  }
  n.fail("has no class labels");
}
Value label_of(NodeContext& n, const Tensor& labels, Value index) {
  return n.gather(n.b.constant(labels), index, 0);
}
// The first of the largest.
Value best_class(NodeContext& n, Value scores) {
  const Values best = n.all(TopK{.axis = 1, .index_element_type = ElementType::i64}, {scores, n.int_constant(1)});
  return n.squeeze(best[1], {1});
}

Values linear_regressor(NodeContext& n) {
  const int64_t targets = n.i("targets", 1);
  const Tensor w = matrix(n, n.floats("coefficients"), targets, "coefficients");
  Value y = n(MatMul{false, true}, features(n), n.b.constant(w));
  if (const auto bias = n.floats("intercepts"); !bias.empty()) {
    if (static_cast<int64_t>(bias.size()) != targets) n.fail("intercepts do not fit targets");
    y = n(Add{}, y, row(n, bias));
  }
  return {post_transformed(n, y)};
}

Values linear_classifier(NodeContext& n) {
  const Tensor labels = class_labels(n);
  const auto bias = n.floats("intercepts"), weights = n.floats("coefficients");
  const int64_t rows = bias.empty() ? static_cast<int64_t>(labels.size()) : static_cast<int64_t>(bias.size());
  Value scores = n(MatMul{false, true}, features(n), n.b.constant(matrix(n, weights, rows, "coefficients")));
  if (!bias.empty()) scores = n(Add{}, scores, row(n, bias));
  if (rows > 1) {
    if (rows != static_cast<int64_t>(labels.size())) n.fail("intercepts do not fit the class labels");
    return {label_of(n, labels, best_class(n, scores)), post_transformed(n, scores)};
  }
  // One score for two classes: that of the second one.
  if (labels.size() != 2) n.refuse("one score for " + std::to_string(labels.size()) + " classes is not offered");
  const Value second = n(Greater{}, scores, n.b.scalar<float>(0));
  const Value label = label_of(n, labels, n.squeeze(n.cast(second, ElementType::i64), {1}));
  const std::string post = n.s("post_transform", "NONE");
  if (post != "NONE" && post != "LOGISTIC") n.refuse("post_transform '" + post + "' of one score is not offered");
  if (post == "LOGISTIC") scores = n(Sigmoid{}, scores);
  return {label, n.concat({n(Subtract{}, n.b.scalar<float>(1), scores), scores}, 1)};
}

// Similarities [N, S] of the rows of x [N, C] to the support vectors [S, C].
Value similarities(NodeContext& n, Value x, const Tensor& vectors) {
  const std::string kind = n.s("kernel_type", "LINEAR");
  auto parameters = n.floats("kernel_params");  // gamma, coef0, degree
  if (parameters.empty()) parameters = {0, 0, 0};
  if (parameters.size() != 3) n.fail("kernel_params wants three numbers");
  const Value gamma = n.b.scalar<float>(parameters[0]), offset = n.b.scalar<float>(parameters[1]);
  if (kind == "RBF") {
    // The differences themselves: expanding the square would lose the digits of close rows.
    const Value d = n(Subtract{}, n.unsqueeze(x, {1}), n.unsqueeze(n.b.constant(vectors), {0}));
    const Value square = n(ReduceSum{false}, n(Multiply{}, d, d), n.ints_constant({2}));
    return n(Exp{}, n(Negative{}, n(Multiply{}, square, gamma)));
  }
  const Value dot = n(MatMul{false, true}, x, n.b.constant(vectors));
  if (kind == "LINEAR") return dot;
  const Value shifted = n(Add{}, n(Multiply{}, dot, gamma), offset);
  if (kind == "POLY") return n(Power{}, shifted, n.b.scalar<float>(parameters[2]));
  if (kind == "SIGMOID") return n(Tanh{}, shifted);
  n.fail("unknown kernel_type '" + kind + "'");
}

Values svm_regressor(NodeContext& n) {
  const auto weights = n.floats("coefficients"), rho = n.floats("rho");
  const int64_t supports = n.i("n_supports", 0);
  const Value x = features(n);
  if (rho.empty() || weights.empty()) n.fail("needs rho and coefficients");
  Value y;
  if (supports > 0) {
    if (static_cast<int64_t>(weights.size()) != supports) n.fail("coefficients do not fit n_supports");
    const Value k = similarities(n, x, matrix(n, n.floats("support_vectors"), supports, "support_vectors"));
    y = n(MatMul{}, k, n.b.constant(matrix(n, weights, supports, "coefficients")));
  } else {
    y = similarities(n, x, matrix(n, weights, 1, "coefficients"));
  }
  y = n(Add{}, y, n.b.scalar<float>(rho[0]));
  if (n.i("one_class", 0) != 0)
    return {n(Select{}, n(Greater{}, y, n.b.scalar<float>(0)), n.b.scalar<float>(1), n.b.scalar<float>(-1))};
  return {post_transformed(n, y)};
}

// One comparison for each pair of classes i < j, positive for i; the class with most of them is the label, also where
// prob_a and prob_b make probabilities of the comparisons.
Values svm_classifier(NodeContext& n) {
  if (n.s("post_transform", "NONE") != "NONE") n.refuse("post_transform of an SVMClassifier is not offered");
  const Tensor labels = class_labels(n);
  const auto counts = n.ints("vectors_per_class");
  const auto weights = n.floats("coefficients"), rho = n.floats("rho");
  if (counts.empty()) n.refuse("linear support vectors (no vectors_per_class) are not offered");
  const auto classes = static_cast<int64_t>(counts.size());
  std::vector<int64_t> first{0};
  for (int64_t c : counts) {
    if (c < 0 || c > (1 << 28)) n.fail("vectors_per_class is out of range");
    first.push_back(first.back() + c);
  }
  const int64_t supports = first.back(), pairs = classes * (classes - 1) / 2;
  if (classes < 2 || static_cast<int64_t>(labels.size()) != classes || supports < 1 ||
      static_cast<int64_t>(rho.size()) != pairs || static_cast<int64_t>(weights.size()) != supports * (classes - 1))
    n.fail("vectors_per_class, rho, coefficients and class labels do not fit each other");
  Tensor by_pair(ElementType::f32, {supports, pairs}), wins(ElementType::f32, {pairs, classes}),
      losses(ElementType::f32, {pairs, classes});
  int64_t p = 0;
  for (int64_t i = 0; i < classes; ++i) {
    for (int64_t j = i + 1; j < classes; ++j, ++p) {
      const auto take = [&](int64_t own, int64_t line) {
        for (int64_t s = first[static_cast<size_t>(own)]; s < first[static_cast<size_t>(own) + 1]; ++s)
          by_pair.data<float>()[s * pairs + p] = weights[static_cast<size_t>(line * supports + s)];
      };
      take(i, j - 1);
      take(j, i);
      wins.data<float>()[p * classes + i] = losses.data<float>()[p * classes + j] = 1;
    }
  }
  const Value k = similarities(n, features(n), matrix(n, n.floats("support_vectors"), supports, "support_vectors"));
  const Value scores = n(Add{}, n(MatMul{}, k, n.b.constant(by_pair)), row(n, rho));
  const Value won = n.cast(n(Greater{}, scores, n.b.scalar<float>(0)), ElementType::f32);
  const Value lost = n(Subtract{}, n.b.scalar<float>(1), won);
  const Value votes = n(Add{}, n(MatMul{}, won, n.b.constant(wins)), n(MatMul{}, lost, n.b.constant(losses)));
  const Value label = label_of(n, labels, best_class(n, votes));
  const auto slope = n.floats("prob_a"), offset = n.floats("prob_b");
  if (!slope.empty() || !offset.empty()) {
    if (static_cast<int64_t>(slope.size()) != pairs || static_cast<int64_t>(offset.size()) != pairs)
      n.fail("prob_a and prob_b must have one number for each pair of classes");
    const Value logits = n(Add{}, n(Multiply{}, scores, row(n, slope)), row(n, offset));
    return {label, n(PairwiseCoupling{classes}, n(Sigmoid{}, n(Negative{}, logits)))};
  }
  return {label, classes == 2 ? n.concat({n(Negative{}, scores), scores}, 1) : scores};
}

// A new last axis with a one at the category; unknown ones have none.
Values one_hot_encoder(NodeContext& n) {
  LabelEncoder number;
  Value index;
  int64_t count = 0;
  const auto numbers = [](size_t size) {
    Tensor t(ElementType::i64, {static_cast<int64_t>(size)});
    for (size_t i = 0; i < size; ++i) set_integer(t, i, static_cast<int64_t>(i));
    return t;
  };
  number.otherwise = Tensor::of<int64_t>({1}, {-1});
  if (n.in(0).element_type() == ElementType::string) {
    auto names = n.strings("cats_strings");
    count = static_cast<int64_t>(names.size());
    number.values = numbers(names.size());
    number.keys = Tensor::strings({count}, std::move(names));
    index = n(number, n.in(0));
  } else {
    const auto categories = n.ints("cats_int64s");
    count = static_cast<int64_t>(categories.size());
    number.values = numbers(categories.size());
    number.keys = Tensor::of<int64_t>({count}, std::span<const int64_t>(categories));
    index = n(number, n.cast(n.in(0), ElementType::i64));
  }
  if (count == 0) n.fail("has no categories of the type of its input");
  const auto last = static_cast<int64_t>(n.rank(index));
  return {n.cast(n(Equal{}, n.unsqueeze(index, {last}), n.b.constant(numbers(static_cast<size_t>(count)))),
                 ElementType::f32)};
}

Values imputer(NodeContext& n) {
  const Value x = n.in(0);
  if (is_float(x.element_type())) {
    const double wanted = n.f("replaced_value_float", 0);
    const Value found = std::isnan(wanted) ? n(NotEqual{}, x, x) : n(Equal{}, x, n.like(x, wanted));
    return {n(Select{}, found, n.cast(row(n, n.floats("imputed_value_floats")), x.element_type()), x)};
  }
  const auto with = n.ints("imputed_value_int64s");
  const Value found = n(Equal{}, x, n.like(x, static_cast<double>(n.i("replaced_value_int64", 0))));
  const Tensor values = Tensor::of<int64_t>({1, static_cast<int64_t>(with.size())}, std::span<const int64_t>(with));
  return {n(Select{}, found, n.cast(n.b.constant(values), x.element_type()), x)};
}

// Columns side by side.
Values feature_vectorizer(NodeContext& n) {
  const auto sizes = n.ints("inputdimensions");
  Values columns;
  for (size_t i = 0; i < n.num_inputs(); ++i) {
    const Value x = n.cast(n.in(i), ElementType::f32);
    const Value flat = n.rank(x) == 1 ? n.unsqueeze(x, {1}) : n.reshape(x, {0, -1}, true);
    if (i < sizes.size() && flat.shape()[1].is_static() && flat.shape()[1].get_length() != sizes[i])
      n.refuse("inputdimensions that cut or pad an input are not offered");
    columns.push_back(flat);
  }
  if (columns.empty()) n.fail("has no inputs");
  return {n.concat(columns, 1)};
}

// The probabilities stay a tensor: column i belongs to the class label i.
Values zip_map(NodeContext& n) {
  return {n.in(0)};
}

constexpr OperatorRow rows[] = {
    {"FeatureVectorizer", 1, feature_vectorizer}, {"Imputer", 1, imputer},
    {"LinearClassifier", 1, linear_classifier},   {"LinearRegressor", 1, linear_regressor},
    {"OneHotEncoder", 1, one_hot_encoder},        {"SVMClassifier", 1, svm_classifier},
    {"SVMRegressor", 1, svm_regressor},           {"ZipMap", 1, zip_map},
};

}  // namespace

std::span<const OperatorRow> linear_rows() {
  return rows;
}

}  // namespace hone::onnx
