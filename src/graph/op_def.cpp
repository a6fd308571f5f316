#include "graph/op_def.hpp"

namespace hone {

std::vector<uint8_t> attribute_bytes(const OpDef& op, const void* attributes) {
  FieldWriter w;
  op.visit(const_cast<void*>(attributes), w);  // writing only reads
  return w.take();
}

bool same_attributes(const OpDef& op, const void* a, const void* b) {
  return a == b || attribute_bytes(op, a) == attribute_bytes(op, b);
}

std::vector<std::pair<std::string, std::string>> attribute_text(const OpDef& op, const void* attributes,
                                                                size_t max_elements) {
  FieldPrinter p(max_elements);
  op.visit(const_cast<void*>(attributes), p);
  return p.take();
}

}  // namespace hone
