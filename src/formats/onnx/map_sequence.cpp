// Sequences, optionals, text, and what looks values up.
#include "formats/onnx/mapping.hpp"
#include "hone/error.hpp"
#include "ops/arrays.hpp"
#include "ops/control.hpp"
#include "ops/sequence.hpp"
#include "ops/string.hpp"

namespace hone::onnx {
namespace {

Values sequence_construct(NodeContext& n) {
  return {n.all(SequenceConstruct{}, n.inputs())};
}
Values sequence_empty(NodeContext& n) {
  return {n(SequenceEmpty{element_type_of_onnx(n.i("dtype", 1))})};
}
Values sequence_at(NodeContext& n) {
  return {n(SequenceAt{}, n.in(0), n.in(1))};
}
Values sequence_insert(NodeContext& n) {
  return {n(SequenceInsert{}, n.in(0), n.in(1), n.opt(2))};
}
Values sequence_erase(NodeContext& n) {
  return {n(SequenceErase{}, n.in(0), n.opt(1))};
}
Values sequence_length(NodeContext& n) {
  return {n(SequenceLength{}, n.in(0))};
}
Values split_to_sequence(NodeContext& n) {
  return {n(SplitToSequence{n.i("axis", 0), n.i("keepdims", 1) != 0}, n.in(0), n.opt(1))};
}
Values concat_from_sequence(NodeContext& n) {
  return {n(ConcatFromSequence{n.i("axis"), n.i("new_axis", 0) != 0}, n.in(0))};
}

// A loop over the positions: each output sequence is carried and grows by one element a round.
Values sequence_map(NodeContext& n) {
  const auto inner_type = [](Value v) {
    return v.type().kind == Type::Kind::sequence && v.type().inner ? *v.type().inner : v.type();
  };
  Types elements;
  for (const Value& v : n.inputs()) elements.push_back(inner_type(v));
  const Subgraph body = n.subgraph("body", elements);
  const Values outputs = body.graph->outputs();

  auto region = std::make_shared<Graph>();
  Builder b(*region);
  const Value position = b.parameter(Type(ElementType::i64, PartialShape(Shape{})));
  b.parameter(Type(ElementType::boolean, PartialShape(Shape{})));
  Values carried, taken;
  Values in{n(SequenceLength{}, n.in(0)), n.b.scalar<bool>(true)};
  for (const Value& v : outputs) {
    const ElementType e = v.type().is_tensor() ? v.element_type() : ElementType::dynamic;
    if (e == ElementType::dynamic) n.refuse("wants tensors of a known type from its body");
    in.push_back(n(SequenceEmpty{e}));
    carried.push_back(b.parameter(in.back().type()));
  }
  for (const Value& v : n.inputs()) {
    const Value own = b.parameter(v.type());
    in.push_back(v);
    taken.push_back(v.type().kind == Type::Kind::sequence ? b(SequenceAt{}, own, position) : own);
  }
  for (const Value& v : body.captured) {
    in.push_back(v);
    taken.push_back(b.parameter(v.type()));
  }
  const Values results = inline_graph(b, *body.graph, taken);
  b.result(b.scalar<bool>(true));
  for (size_t k = 0; k < results.size(); ++k) b.result(b(SequenceInsert{}, carried[k], results[k]));
  return n.all(Loop{{}, static_cast<int64_t>(outputs.size())}, in, {region});
}

Values optional_construct(NodeContext& n) {
  if (n.has(0)) return {n(OptionalConstruct{}, n.in(0))};
  const AttributeMessage* type = n.attribute("type");
  if (!type || type->kind != AttributeMessage::type_) n.fail("has neither a value nor a type");
  return {n(OptionalConstruct{to_string(parse_type_message(type->message))})};
}
Values optional_has_element(NodeContext& n) {
  return {n(OptionalHasElement{}, n.opt(0))};
}
Values optional_get_element(NodeContext& n) {
  return {n(OptionalGetElement{}, n.in(0))};
}

Values string_concat(NodeContext& n) {
  return {n(StringConcat{}, n.in(0), n.in(1))};
}
Values string_split(NodeContext& n) {
  return n.all(StringSplit{n.s("delimiter"), n.i("maxsplit", -1)}, {n.in(0)});
}
Values regex_full_match(NodeContext& n) {
  return {n(RegexFullMatch{n.s("pattern")}, n.in(0))};
}
Values string_normalizer(NodeContext& n) {
  const std::string change = n.s("case_change_action", "NONE");
  StringNormalizer op;
  if (change == "LOWER")
    op.case_change_action = CaseChange::lower;
  else if (change == "UPPER")
    op.case_change_action = CaseChange::upper;
  else if (change != "NONE")
    n.fail("unknown case_change_action '" + change + "'");
  op.is_case_sensitive = n.i("is_case_sensitive", 0) != 0;
  op.stopwords = n.strings("stopwords");
  return {n(op, n.in(0))};
}

Tensor string_tensor(std::vector<std::string> v) {
  const auto count = static_cast<int64_t>(v.size());
  return Tensor::strings({count}, std::move(v));
}
Tensor int_tensor(const std::vector<int64_t>& v) {
  return Tensor::of<int64_t>({static_cast<int64_t>(v.size())}, v);
}
Tensor float_tensor(const std::vector<float>& v) {
  return Tensor::of<float>({static_cast<int64_t>(v.size())}, v);
}

Values tf_idf_vectorizer(NodeContext& n) {
  TfIdfVectorizer op;
  op.min_gram_length = n.i("min_gram_length");
  op.max_gram_length = n.i("max_gram_length");
  op.max_skip_count = n.i("max_skip_count");
  const std::string mode = n.s("mode");
  op.mode = mode == "IDF" ? TfIdfMode::idf : mode == "TFIDF" ? TfIdfMode::tfidf : TfIdfMode::tf;
  op.ngram_counts = n.ints("ngram_counts");
  op.ngram_indexes = n.ints("ngram_indexes");
  op.pool =
      n.has_attribute("pool_strings") ? string_tensor(n.strings("pool_strings")) : int_tensor(n.ints("pool_int64s"));
  for (float w : n.floats("weights")) op.weights.push_back(static_cast<double>(w));
  return {n(op, n.in(0))};
}

Values unique(NodeContext& n) {
  const Value axis = n.has_attribute("axis") ? n.int_constant(n.i("axis")) : Value{};
  return n.all(Unique{n.i("sorted", 1) != 0}, {n.in(0), axis});
}

Values bit_cast(NodeContext& n) {
  return {n(BitCast{element_type_of_onnx(n.i("to"))}, n.in(0))};
}

Values label_encoder(NodeContext& n) {
  LabelEncoder op;
  const auto list = [&](const char* prefix) {
    const std::string p = prefix;
    if (n.has_attribute(p + "_tensor")) return n.tensor(p + "_tensor");
    if (n.has_attribute(p + "_strings")) return string_tensor(n.strings(p + "_strings"));
    if (n.has_attribute(p + "_int64s")) return int_tensor(n.ints(p + "_int64s"));
    return float_tensor(n.floats(p + "_floats"));
  };
  if (n.has_attribute("classes_strings")) {
    // Version 1: the class names by number; which way round the type of the input says.
    const Tensor names = string_tensor(n.strings("classes_strings"));
    std::vector<int64_t> numbers;
    for (size_t i = 0; i < names.size(); ++i) numbers.push_back(static_cast<int64_t>(i));
    const bool to_number = n.in(0).element_type() == ElementType::string;
    op.keys = to_number ? names : int_tensor(numbers);
    op.values = to_number ? int_tensor(numbers) : names;
  } else {
    op.keys = list("keys");
    op.values = list("values");
  }
  switch (op.values.element_type()) {
    case ElementType::string:
      op.otherwise = string_tensor({n.s("default_string", "_Unused")});
      break;
    case ElementType::f32:
      op.otherwise = float_tensor({static_cast<float>(n.f("default_float", -0.0))});
      break;
    default:
      op.otherwise = int_tensor({n.i("default_int64", -1)}).converted(op.values.element_type());
  }
  if (n.has_attribute("default_tensor")) op.otherwise = n.tensor("default_tensor").reshaped({1});
  return {n(op, n.in(0))};
}

constexpr OperatorRow rows[] = {
    {"BitCast", 26, bit_cast},
    {"ConcatFromSequence", 11, concat_from_sequence},
    {"Optional", 15, optional_construct},
    {"OptionalGetElement", 15, optional_get_element},
    {"OptionalHasElement", 15, optional_has_element},
    {"RegexFullMatch", 20, regex_full_match},
    {"SequenceAt", 11, sequence_at},
    {"SequenceConstruct", 11, sequence_construct},
    {"SequenceEmpty", 11, sequence_empty},
    {"SequenceErase", 11, sequence_erase},
    {"SequenceInsert", 11, sequence_insert},
    {"SequenceLength", 11, sequence_length},
    {"SequenceMap", 17, sequence_map},
    {"SplitToSequence", 11, split_to_sequence},
    {"StringConcat", 20, string_concat},
    {"StringNormalizer", 10, string_normalizer},
    {"StringSplit", 20, string_split},
    {"TfIdfVectorizer", 9, tf_idf_vectorizer},
    {"Unique", 11, unique},
};
constexpr OperatorRow learning_rows[] = {
    {"LabelEncoder", 1, label_encoder},
};

}  // namespace

std::span<const OperatorRow> sequence_rows() {
  return rows;
}
std::span<const OperatorRow> ml_rows() {
  return learning_rows;
}

}  // namespace hone::onnx
