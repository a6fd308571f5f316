#include "formats/import_notes.hpp"

#include "graph/builder.hpp"
#include "ops/basic.hpp"

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

void note_operators(Builder& b, size_t before, const std::string& node, const std::string& from) {
  if (!ImportNotes::wanted()) return;
  const Graph& g = b.graph();
  std::string to;
  size_t operators = 0;
  for (size_t i = before; i < b.added().size(); ++i) {
    const NodeId id = b.added()[i];
    if (!g.alive(id) || g.node(id).op == &op_def<Constant>()) continue;
    to += (operators++ ? " + " : "") + std::string(g.node(id).op->name);
  }
  if (operators != 1) ImportNotes::add({node, from, operators ? to : "nothing"});
}

}  // namespace hone
