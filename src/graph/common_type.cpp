#include "graph/common_type.hpp"

#include "hone/error.hpp"

namespace hone {

Type common_type(const Type& a, const Type& b) {
  using Kind = Type::Kind;
  if (a == b) return a;
  if (a.kind == Kind::optional && b.kind != Kind::optional)
    return Type::optional(a.inner ? common_type(*a.inner, b) : b);
  if (b.kind == Kind::optional && a.kind != Kind::optional) return common_type(b, a);
  const bool same_element =
      a.element == b.element || a.element == ElementType::dynamic || b.element == ElementType::dynamic;
  if (a.kind != b.kind || !same_element)
    throw Error(ErrorCode::failed, "[type] no type holds both " + to_string(a) + " and " + to_string(b));
  Type out = a;
  if (a.element == ElementType::dynamic) out.element = b.element;
  if (!a.is_tensor()) {
    if (a.inner && b.inner) out.inner = std::make_shared<const Type>(common_type(*a.inner, *b.inner));
    return out;
  }
  out.layout = Layout::plain;
  if (!a.shape.rank_known() || !b.shape.rank_known() || a.shape.rank() != b.shape.rank()) {
    out.shape = PartialShape::dynamic();
    return out;
  }
  for (size_t k = 0; k < a.shape.rank(); ++k) {
    if (!a.shape[k].same(b.shape[k])) out.shape[k] = Dimension();
  }
  return out;
}

}  // namespace hone
