// What a reader had to say in other operators than the file: collected while a model is read, for `hone convert
// --report`.
#pragma once
#include <string>
#include <vector>

namespace hone {

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

}  // namespace hone
