// Strings changed, joined and taken apart, their characters, and rows of several lengths that these make.
#include <algorithm>
#include <limits>

#include "formats/tensorflow/mapping.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/characters.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/ragged.hpp"
#include "ops/search.hpp"
#include "ops/string.hpp"
#include "ops/text.hpp"
#include "ops/text_edit.hpp"

namespace hone::tensorflow {
namespace {

std::string text_of(NodeContext& n, size_t i, const char* what) {
  const Tensor t = n.constant(i, what);
  if (t.element_type() != ElementType::string || t.size() != 1) n.fail(std::string(what) + " is not one string");
  return t.strings()[0];
}

Items split(NodeContext& n) {
  StringPieces op;
  op.any_of = true;
  op.delimiter = text_of(n, 1, "the delimiter");
  op.skip_empty = n.flag("skip_empty", true);
  return items(n.all(op, {n.in(0)}));
}
Items split_v2(NodeContext& n) {
  StringPieces op;
  op.delimiter = text_of(n, 1, "the separator");
  op.maxsplit = n.i("maxsplit", -1);
  return items(n.all(op, {n.in(0)}));
}

Items n_grams(NodeContext& n) {
  StringNGrams op;
  op.separator = n.s("separator");
  op.ngram_widths = n.ints("ngram_widths");
  op.left_pad = n.s("left_pad");
  op.right_pad = n.s("right_pad");
  op.pad_width = n.i("pad_width");
  op.preserve_short_sequences = n.flag("preserve_short_sequences", false);
  return items(n.all(op, {n.in(0), n.in(1)}));
}

Items hash_bucket(NodeContext& n) {
  return {n(StringHashBucket{n.i("num_buckets")}, n.in(0))};
}

Items change_case(NodeContext& n) {
  if (const std::string encoding = n.s("encoding"); !encoding.empty())
    n.refuse("of letters beyond ASCII (encoding '" + encoding + "') is not offered");
  return {n(StringCase{n.op() == "StringUpper"}, n.in(0))};
}
Items strip(NodeContext& n) {
  return {n(StringStrip{}, n.in(0))};
}
Items regex_replace(NodeContext& n) {
  const bool stored = n.op() == "StaticRegexReplace";
  RegexReplace op;
  op.pattern = stored ? n.s("pattern") : text_of(n, 1, "the pattern");
  op.rewrite = stored ? n.s("rewrite") : text_of(n, 2, "the rewrite");
  op.global = n.flag("replace_global", true);
  return {n(op, n.in(0))};
}
Items regex_full_match(NodeContext& n) {
  return {n(RegexFullMatch{n.op() == "StaticRegexFullMatch" ? n.s("pattern") : text_of(n, 1, "the pattern")}, n.in(0))};
}

Items join(NodeContext& n) {
  if (n.num_inputs() == 0) n.fail("has no inputs");
  const std::string separator = n.s("separator");
  Value y = n.in(0);
  for (size_t i = 1; i < n.num_inputs(); ++i) {
    if (!separator.empty()) y = n(StringConcat{}, y, n.b.constant(Tensor::strings({}, {separator})));
    y = n(StringConcat{}, y, n.in(i));
  }
  return {y};
}

Items as_string(NodeContext& n) {
  NumberToText op;
  op.form = n.flag("shortest", false)     ? NumberForm::shortest
            : n.flag("scientific", false) ? NumberForm::scientific
                                          : NumberForm::fixed;
  op.precision = n.i("precision", -1);
  op.width = n.i("width", -1);
  op.fill = n.s("fill");
  return {n(op, n.in(0))};
}
Items to_number(NodeContext& n) {
  return {n(TextToNumber{n.type("out_type", ElementType::f32)}, n.in(0))};
}

TextUnit unit_of(NodeContext& n) {
  const std::string unit = n.s("unit", "BYTE");
  if (unit != "BYTE" && unit != "UTF8_CHAR") n.fail("unknown unit '" + unit + "'");
  return unit == "BYTE" ? TextUnit::byte : TextUnit::character;
}
Items length(NodeContext& n) {
  return {n(StringLength{unit_of(n)}, n.in(0))};
}
Items part(NodeContext& n) {
  return {n(Substring{unit_of(n)}, n.in(0), n.in(1), n.in(2))};
}

void check_encoding(NodeContext& n, const char* attribute) {
  const std::string encoding = n.s(attribute, "UTF-8");
  if (encoding != "UTF-8") n.refuse("of " + encoding + " is not offered: only UTF-8 is");
}
BadText errors_of(NodeContext& n) {
  const std::string errors = n.s("errors", "replace");
  if (errors != "replace" && errors != "ignore" && errors != "strict") n.fail("unknown errors '" + errors + "'");
  return errors == "replace" ? BadText::replace : errors == "ignore" ? BadText::ignore : BadText::strict;
}
Values characters(NodeContext& n) {
  check_encoding(n, "input_encoding");
  TextToCharacters op;
  op.errors = errors_of(n);
  op.replacement = n.i("replacement_char", 0xFFFD);
  op.replace_controls = n.flag("replace_control_characters", false);
  return n.all(op, {n.reshape(n.in(0), {-1})});
}
Items decode(NodeContext& n) {
  Values y = characters(n);
  y[0] = n.cast(y[0], n.type("Tsplits", ElementType::i64));
  if (!n.op().ends_with("WithOffsets")) y.pop_back();
  return items(y);
}
Items encode(NodeContext& n) {
  check_encoding(n, "output_encoding");
  return {n(CharactersToText{errors_of(n), n.i("replacement_char", 0xFFFD)}, n.in(0), n.in(1))};
}
Items transcode(NodeContext& n) {
  check_encoding(n, "output_encoding");
  const Values y = characters(n);
  return {n(Reshape{}, n(CharactersToText{}, y[1], y[0]), n.shape_of(n.in(0)))};
}

// Where each of `count` rows begins and ends, from the sorted row of each value.
Value splits_of(NodeContext& n, Value row_of_value, Value count) {
  return n(SearchSorted{ElementType::i64, false}, n.vector(row_of_value),
           n.range(n(Add{}, n.scalar(count), n.int_constant(1))));
}

// Rows of rows are filled up from the innermost on, which then are values of the rows around.
Items ragged_to_dense(NodeContext& n) {
  const std::vector<std::string> kinds = n.strings("row_partition_types");
  constexpr size_t first = 3;  // of the partitions
  if (kinds.empty() || n.num_inputs() != first + kinds.size()) n.fail("has not as many partitions as it says");
  Values splits;
  Value rows = kinds[0] == "FIRST_DIM_SIZE" ? n.in(first) : Value{};
  for (size_t k = rows ? 1 : 0; k < kinds.size(); ++k) {
    const Value given = n.in(first + k);
    if (kinds[k] == "ROW_SPLITS") {
      splits.push_back(n.vector(given));
    } else if (kinds[k] == "VALUE_ROWIDS" && rows) {
      splits.push_back(splits_of(n, given, rows));
      rows = n.dim(given, 0);
    } else {
      n.refuse("of partitions " + kinds[k] + " is not offered");
    }
  }
  const auto levels = std::ssize(splits), inner = static_cast<int64_t>(n.rank(n.in(1))) - 1;
  if (levels == 0 || inner < 0) n.refuse("without rows of several lengths is not offered");
  const bool all_open = n.rank(n.in(0)) == 0;  // -1 stands for a shape of them
  const Value wanted = all_open ? Value{} : n.vector(n.in(0)), open = n.ints_constant({-1});
  Value y = n.in(1);
  for (int64_t k = levels - 1; k >= 0; --k) {
    const auto dimension = [&](int64_t i) { return all_open ? open : n.slice(wanted, 0, i, i + 1); };
    Values shape{k == 0 ? dimension(0) : open, dimension(k + 1)};
    for (int64_t i = k + 1; i < levels + inner; ++i) shape.push_back(open);
    y = n(RaggedToDense{}, y, splits[static_cast<size_t>(k)], n.in(2), n.concat(shape, 0));
  }
  return {y};
}

// How often each number below `size` occurs in each row, or the sum of its weights, or whether it does.
Items ragged_bincount(NodeContext& n) {
  const Value splits = n.vector(n.in(0)), values = n.vector(n.in(1)), size = n.scalar(n.in(2)), weights = n.in(3);
  const Value ends = n(Slice{}, splits, n.ints_constant({1}), n.ints_constant({std::numeric_limits<int64_t>::max()}),
                       n.ints_constant({1}), n.ints_constant({0}));
  const Value row = n(SearchSorted{ElementType::i64, true}, ends, n.range(n.dim(values, 0)));
  const Value kept = n.squeeze(n(NonZero{ElementType::i64}, n(Less{}, values, size)), {0});
  const Value at = n.concat({n.unsqueeze(n.gather(row, kept, 0), {1}), n.unsqueeze(n.gather(values, kept, 0), {1})}, 1);
  const bool binary = n.flag("binary_output", false);
  const bool plain = binary || (weights.shape().is_static() && element_count(weights.shape().to_shape()) == 0);
  const Value one = n.like(weights, 1);
  const Value update = plain ? n(Broadcast{}, one, n.shape_of(kept)) : n.gather(n.reshape(weights, {-1}), kept, 0);
  const Value blank = n(Broadcast{}, n.like(weights, 0), n.concat({n.shape_of(ends), n.reshape(size, {1})}, 0));
  return {n(ScatterNDUpdate{binary ? ScatterReduction::none : ScatterReduction::sum}, blank, at, update)};
}

constexpr OperatorRow rows[] = {
    {"AsString", as_string},
    {"RaggedBincount", ragged_bincount},
    {"RaggedTensorToTensor", ragged_to_dense},
    {"RegexFullMatch", regex_full_match},
    {"RegexReplace", regex_replace},
    {"StaticRegexFullMatch", regex_full_match},
    {"StaticRegexReplace", regex_replace},
    {"StringJoin", join},
    {"StringLength", length},
    {"StringLower", change_case},
    {"StringNGrams", n_grams, "ngrams,ngrams_splits"},
    {"StringSplit", split, "indices,values,shape"},
    {"StringSplitV2", split_v2, "indices,values,shape"},
    {"StringStrip", strip},
    {"StringToHashBucketFast", hash_bucket},
    {"StringToNumber", to_number},
    {"StringUpper", change_case},
    {"Substr", part},
    {"UnicodeDecode", decode, "row_splits,char_values"},
    {"UnicodeDecodeWithOffsets", decode, "row_splits,char_values,char_to_byte_starts"},
    {"UnicodeEncode", encode},
    {"UnicodeTranscode", transcode},
};

}  // namespace

std::span<const OperatorRow> text_rows() {
  return rows;
}

}  // namespace hone::tensorflow
