// Text (ONNX and ai.onnx.ml).
#pragma once
#include "ops/attributes.hpp"

namespace hone {

/// Joins the strings of two tensors, which broadcast like NumPy.
struct StringConcat {
  static constexpr bool raw_types = true;
  HONE_OP("StringConcat") HONE_NO_GRAD("text")
};
/// Outputs: the pieces on a new last axis, filled up with empty strings; the number of pieces of each string (i64). An
/// empty delimiter splits at runs of white space. After `maxsplit` splits (-1: no limit) the rest stays whole.
struct StringSplit {
  std::string delimiter;
  int64_t maxsplit = -1;
  static void fields(auto& o, auto&& f) {
    f("delimiter", o.delimiter);
    f("maxsplit", o.maxsplit);
  }
  static constexpr bool raw_types = true;
  HONE_OP("StringSplit") HONE_NO_GRAD("text")
};
enum class CaseChange { none, lower, upper };
HONE_ENUM_NAMES(CaseChange, "none", "lower", "upper")
/// Input: [C] or [1, C]. Drops stop words, then changes case (ASCII, Latin-1, Greek and Cyrillic letters). Nothing left
/// gives one empty string.
struct StringNormalizer {
  CaseChange case_change_action = CaseChange::none;
  bool is_case_sensitive = false;
  std::vector<std::string> stopwords;
  static void fields(auto& o, auto&& f) {
    f("case_change_action", o.case_change_action);
    f("is_case_sensitive", o.is_case_sensitive);
    f("stopwords", o.stopwords);
  }
  static constexpr bool raw_types = true;
  HONE_OP("StringNormalizer") HONE_NO_GRAD("text")
};
/// Does the whole string match? See regex.hpp for the syntax.
struct RegexFullMatch {
  std::string pattern;
  static void fields(auto& o, auto&& f) { f("pattern", o.pattern); }
  static constexpr bool raw_types = true;
  HONE_OP("RegexFullMatch") HONE_NO_GRAD("text")
};
/// Replaces each element that equals keys[i] by values[i], others by the one element of `otherwise`. NaN equals NaN.
struct LabelEncoder {
  Tensor keys;
  Tensor values;
  Tensor otherwise;
  static void fields(auto& o, auto&& f) {
    f("keys", o.keys);
    f("values", o.values);
    f("otherwise", o.otherwise);
  }
  static constexpr bool raw_types = true;
  HONE_OP("LabelEncoder") HONE_NO_GRAD("look-up")
};
enum class TfIdfMode { tf, idf, tfidf };
HONE_ENUM_NAMES(TfIdfMode, "tf", "idf", "tfidf")
/// Counts n-grams. Input: [C] or [N, C], integers or strings. Output: [max(indexes) + 1] or [N, ...], f32. `pool` lists
/// the n-grams by length, those of length k beginning at ngram_counts[k - 1]; `indexes` says where each is counted.
/// Items of an n-gram may stand up to max_skip_count + 1 apart.
struct TfIdfVectorizer {
  int64_t min_gram_length = 1;
  int64_t max_gram_length = 1;
  int64_t max_skip_count = 0;
  TfIdfMode mode = TfIdfMode::tf;
  std::vector<int64_t> ngram_counts;
  std::vector<int64_t> ngram_indexes;
  Tensor pool;
  std::vector<double> weights;
  static void fields(auto& o, auto&& f) {
    f("min_gram_length", o.min_gram_length);
    f("max_gram_length", o.max_gram_length);
    f("max_skip_count", o.max_skip_count);
    f("mode", o.mode);
    f("ngram_counts", o.ngram_counts);
    f("ngram_indexes", o.ngram_indexes);
    f("pool", o.pool);
    f("weights", o.weights);
  }
  static constexpr bool raw_types = true;
  HONE_OP("TfIdfVectorizer") HONE_NO_GRAD("text")
};

}  // namespace hone
