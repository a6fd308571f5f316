#include "formats/import_notes.hpp"

namespace hone {
namespace {

thread_local ImportNotes* collecting = nullptr;

}  // namespace

ImportNotes::ImportNotes() : outer_(collecting) {
  collecting = this;
}
ImportNotes::~ImportNotes() {
  collecting = outer_;
}
void ImportNotes::add(ImportNote note) {
  if (collecting) collecting->notes_.push_back(std::move(note));
}
bool ImportNotes::wanted() {
  return collecting;
}

}  // namespace hone
