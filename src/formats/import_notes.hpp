// What a reader had to say in other operators than the file: collected while a model is read, for `hone convert
// --report`.
#pragma once
#include <string>
#include <vector>

namespace hone {

class Builder;  // graph/builder.hpp

struct ImportNote {
  std::string node;  ///< of the file
  std::string from;  ///< its operator with the version: `Gemm-11`, `opset1::Interpolate`
  std::string to;    ///< the operators that stand for it: `MatMul + Add`
};

/// Collects the notes of all reads of this thread while it lives. Nests: the innermost collects.
class ImportNotes {
 public:
  ImportNotes();
  ~ImportNotes();
  ImportNotes(const ImportNotes&) = delete;
  ImportNotes& operator=(const ImportNotes&) = delete;
  /// For readers; nothing where nobody collects.
  static void add(ImportNote note);
  static bool wanted();
  const std::vector<ImportNote>& notes() const { return notes_; }

 private:
  std::vector<ImportNote> notes_;
  ImportNotes* outer_;
};

/// The note for a node of the file that became what `b` added from `before` on: nothing where that is one operator.
/// Constants do not count.
void note_operators(Builder& b, size_t before, const std::string& node, const std::string& from);

}  // namespace hone
