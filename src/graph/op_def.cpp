#include "graph/op_def.hpp"

namespace hone {

namespace {

// Graphs in several threads share attributes, and a visit stores fields of enumerations as it found them: it meets a
// copy.
void visit_copy(const OpDef& op, const void* attributes, FieldVisitor& v) {
  const Attributes own = attributes ? op.copy(attributes) : Attributes();
  op.visit(const_cast<void*>(own.get()), v);
}

}  // namespace

std::vector<uint8_t> attribute_bytes(const OpDef& op, const void* attributes) {
  FieldWriter w;
  visit_copy(op, attributes, w);
  return w.take();
}

bool same_attributes(const OpDef& op, const void* a, const void* b) {
  return a == b || attribute_bytes(op, a) == attribute_bytes(op, b);
}

std::vector<std::pair<std::string, std::string>> attribute_text(const OpDef& op, const void* attributes,
                                                                size_t max_elements) {
  FieldPrinter p(max_elements);
  visit_copy(op, attributes, p);
  return p.take();
}

}  // namespace hone
