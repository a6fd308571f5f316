// Connectionist temporal classification: a class or a blank at each step of time.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

/// Inputs: scores [T, N, C], mask [T, N] (1 while a sequence lasts). Output: [N, T, 1, 1] the best class of each step
/// without blanks (the last class), -1 behind the end.
struct CTCGreedyDecoder {
  bool ctc_merge_repeated = true;
  static void fields(auto& o, auto&& f) { f("ctc_merge_repeated", o.ctc_merge_repeated); }
  HONE_OP("CTCGreedyDecoder") HONE_NO_GRAD("index")
};

/// Inputs: scores [N, T, C], lengths [N], optional number of the blank (the last class). Outputs: classes [N, T] with
/// -1 behind the end, their numbers [N].
struct CTCGreedyDecoderSeqLen {
  bool merge_repeated = true;
  ElementType classes_index_type = ElementType::i32;
  ElementType sequence_length_type = ElementType::i32;
  static void fields(auto& o, auto&& f) {
    f("merge_repeated", o.merge_repeated);
    f("classes_index_type", o.classes_index_type);
    f("sequence_length_type", o.sequence_length_type);
  }
  HONE_OP("CTCGreedyDecoderSeqLen") HONE_NO_GRAD("index")
};

/// Inputs: logits [N, T, C], their lengths [N], labels [N, T], their lengths [N], optional number of the blank (the
/// last class). Output [N]: -log of the probability of all paths that give the labels (Graves et al., 2006). Without
/// `ctc_merge_repeated` every step that is no blank gives a label; `preprocess_collapse_repeated` merges equal
/// neighbours of the labels, `unique` keeps the first of each.
struct CTCLoss {
  bool preprocess_collapse_repeated = false;
  bool ctc_merge_repeated = true;
  bool unique = false;
  static void fields(auto& o, auto&& f) {
    f("preprocess_collapse_repeated", o.preprocess_collapse_repeated);
    f("ctc_merge_repeated", o.ctc_merge_repeated);
    f("unique", o.unique);
  }
  HONE_OP("CTCLoss") HONE_NO_GRAD("not offered yet")
};

}  // namespace hone
