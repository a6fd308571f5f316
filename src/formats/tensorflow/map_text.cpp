// Strings taken apart, and their hashes.
#include <algorithm>

#include "formats/tensorflow/mapping.hpp"
#include "ops/text.hpp"

namespace hone::tensorflow {
namespace {

std::string delimiter_of(NodeContext& n, const char* what) {
  const Tensor t = n.constant(1, what);
  if (t.element_type() != ElementType::string || t.size() != 1) n.fail(std::string(what) + " is not one string");
  return t.strings()[0];
}

Items split(NodeContext& n) {
  StringPieces op;
  op.any_of = true;
  op.delimiter = delimiter_of(n, "delimiter");
  op.skip_empty = n.flag("skip_empty", true);
  return items(n.all(op, {n.in(0)}));
}
Items split_v2(NodeContext& n) {
  StringPieces op;
  op.delimiter = delimiter_of(n, "separator");
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

constexpr OperatorRow rows[] = {
    {"StringNGrams", n_grams, "ngrams,ngrams_splits"},
    {"StringSplit", split, "indices,values,shape"},
    {"StringSplitV2", split_v2, "indices,values,shape"},
    {"StringToHashBucketFast", hash_bucket},
};

}  // namespace

std::span<const OperatorRow> text_rows() {
  return rows;
}

}  // namespace hone::tensorflow
