// Text as TensorFlow's models take it apart: pieces, n-grams, hash buckets.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

/// Input: strings [N]. Outputs: places [K, 2] (string, piece; i64), pieces [K], and [N, most pieces of a string]. With
/// `any_of` each byte of `delimiter` separates, and none at all gives single bytes; without it the whole delimiter
/// does, and an empty one stands for runs of white space. After `maxsplit` splits (below 0: no limit) the rest stays
/// whole; 0 leaves strings as they are.
struct StringPieces {
  std::string delimiter;
  bool any_of = false;
  bool skip_empty = false;
  int64_t maxsplit = -1;
  static void fields(auto& o, auto&& f) {
    f("delimiter", o.delimiter);
    f("any_of", o.any_of);
    f("skip_empty", o.skip_empty);
    f("maxsplit", o.maxsplit);
  }
  static constexpr bool raw_types = true;
  HONE_OP("StringPieces") HONE_NO_GRAD("text")
};

/// Inputs: strings [K]; splits [N + 1] (i32 or i64) that say where each of N rows begins and ends. Outputs: the n-grams
/// of all rows, by row and then by width, and their splits. At each end of a row stand `pad_width` pads (below 0: one
/// less than the width), never more than the width less one. With `preserve_short_sequences` a row too short for any
/// n-gram gives one of what there is.
struct StringNGrams {
  std::string separator;
  std::vector<int64_t> ngram_widths;
  std::string left_pad;
  std::string right_pad;
  int64_t pad_width = 0;
  bool preserve_short_sequences = false;
  static void fields(auto& o, auto&& f) {
    f("separator", o.separator);
    f("ngram_widths", o.ngram_widths);
    f("left_pad", o.left_pad);
    f("right_pad", o.right_pad);
    f("pad_width", o.pad_width);
    f("preserve_short_sequences", o.preserve_short_sequences);
  }
  static constexpr bool raw_types = true;
  HONE_OP("StringNGrams") HONE_NO_GRAD("text")
};

/// The fingerprint of each string (`fingerprint64`) modulo `num_buckets`, i64.
struct StringHashBucket {
  int64_t num_buckets = 1;
  static void fields(auto& o, auto&& f) { f("num_buckets", o.num_buckets); }
  static constexpr bool raw_types = true;
  HONE_OP("StringHashBucket") HONE_NO_GRAD("hash")
};

/// FarmHash's Fingerprint64 (the variant `na`), which never changes.
uint64_t fingerprint64(std::string_view bytes);

}  // namespace hone
