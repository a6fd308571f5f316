#include "ops/basic.hpp"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "ops/family.hpp"

namespace hone {

Types Parameter::infer(InferCtx&) const {
  return {Type(element_type, shape)};
}
void Parameter::eval(EvalCtx& ctx) const {
  ctx.fail("[Parameter] no value was given");
}
Samples Parameter::samples() {
  return {};
}
HONE_DEFINE_OP(Parameter)

Types Constant::infer(InferCtx& ctx) const {
  ctx.check(static_cast<bool>(value), "has no value");
  return {Type(value.element_type(), PartialShape(value.shape()))};
}
void Constant::eval(EvalCtx& ctx) const {
  ctx.set_output(0, value);
}
Samples Constant::samples() {
  return {sample(Constant{random_tensor({2, 3}, 1)}, {}), sample(Constant{Tensor::strings({2}, {"a", "b"})}, {})};
}
HONE_DEFINE_OP(Constant)

Types Variable::infer(InferCtx& ctx) const {
  ctx.check(static_cast<bool>(value), "has no initial value");
  return {Type(value.element_type(), PartialShape(value.shape()))};
}
void Variable::eval(EvalCtx& ctx) const {
  ctx.set_output(0, value);
}
Samples Variable::samples() {
  return {sample(Variable{random_tensor({2, 3}, 1), "w", true}, {})};
}
HONE_DEFINE_OP(Variable)

Types Assign::infer(InferCtx& ctx) const {
  return {ctx.input(0)};
}
void Assign::eval(EvalCtx& ctx) const {
  ctx.set_output(0, ctx.datum(0));
}
Samples Assign::samples() {
  return {sample(Assign{"w"}, {random_tensor({2}, 1)})};
}
HONE_DEFINE_OP(Assign)

Types ReadValue::infer(InferCtx& ctx) const {
  Type t(variable_type, variable_shape);
  if (ctx.has(0)) {
    if (t.element == ElementType::dynamic) t.element = ctx.element(0);
    if (!t.shape.rank_known()) t.shape = ctx.shape(0);
  }
  return {t};
}
void ReadValue::eval(EvalCtx& ctx) const {
  if (ctx.has(0)) {
    ctx.set_output(0, ctx.datum(0));
    return;
  }
  Shape shape;  // without an initial value: zeros, dynamic dimensions at their minimum
  for (const Dimension& d : variable_shape.dims()) shape.push_back(d.min());
  ctx.output(0, variable_type, shape);
}
Samples ReadValue::samples() {
  return {sample(ReadValue{"s", PartialShape{2}, ElementType::f32}, {random_tensor({2}, 1)}),
          sample(ReadValue{"s", PartialShape{2}, ElementType::f32}, {})};
}
HONE_DEFINE_OP(ReadValue)

Types Result::infer(InferCtx& ctx) const {
  ctx.input(0);
  return {};
}
void Result::eval(EvalCtx&) const {}
void Result::grad(GradCtx&) const {}
Samples Result::samples() {
  return {};
}
HONE_DEFINE_OP(Result)

Types Convert::infer(InferCtx& ctx) const {
  if (auto c = ctx.content(0); c && is_integer(destination_type)) ctx.set_content(0, *c);
  return {Type(destination_type, ctx.shape(0))};
}
namespace {

// The shortest text that reads back as the same number, as NumPy and ONNX have it.
std::string number_text(const Tensor& t, size_t i) {
  if (t.element_type() == ElementType::boolean) return get_integer(t, i) ? "True" : "False";
  if (!is_float(t.element_type()))
    return t.element_type() == ElementType::u64 ? std::to_string(static_cast<uint64_t>(get_integer(t, i)))
                                                : std::to_string(get_integer(t, i));
  const double v = get_element(t, i);
  if (std::isnan(v)) return "nan";
  if (std::isinf(v)) return v > 0 ? "inf" : "-inf";
  char text[64];
  const auto end = t.element_type() == ElementType::f64
                       ? std::to_chars(text, text + sizeof text, v).ptr
                       : std::to_chars(text, text + sizeof text, static_cast<float>(v)).ptr;
  std::string s(text, end);
  return s.find_first_of(".e") == s.npos ? s + ".0" : s;
}

Tensor text_of(const Tensor& t) {
  std::vector<std::string> out;
  for (size_t i = 0; i < t.size(); ++i) out.push_back(number_text(t, i));
  return Tensor::strings(t.shape(), std::move(out));
}

Tensor numbers_of(const Tensor& t, ElementType type, EvalCtx& ctx) {
  Tensor out(type, t.shape());
  for (size_t i = 0; i < t.size(); ++i) {
    const std::string& s = t.strings()[i];
    char* end = nullptr;
    const bool whole = !is_float(type) && s.find_first_of(".eEnN") == s.npos;
    if (whole && type == ElementType::u64)
      set_integer(out, i, static_cast<int64_t>(std::strtoull(s.c_str(), &end, 10)));
    else if (whole)
      set_integer(out, i, std::strtoll(s.c_str(), &end, 10));
    else
      set_element(out, i, std::strtod(s.c_str(), &end));
    if (s.empty() || *end) ctx.fail("'" + s.substr(0, 40) + "' is no number");
  }
  return out;
}

}  // namespace

void Convert::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  const bool from = x.element_type() == ElementType::string, to = destination_type == ElementType::string;
  ctx.set_output(0, from == to ? x.converted(destination_type)
                    : to       ? text_of(x)
                               : numbers_of(x, destination_type, ctx));
}
void Convert::grad(GradCtx& ctx) const {
  if (is_float(destination_type)) ctx.set(0, ctx.b(Convert{ctx.input(0).element_type()}, ctx.dout()));
}
Samples Convert::samples() {
  return {sample(Convert{ElementType::f64}, {random_tensor({2, 3}, 1)}),
          sample(Convert{ElementType::i32}, {Tensor::of<float>({4}, {-1.7f, 1.7f, 3e10f, 0.f})},
                 {Tensor::of<int32_t>({4}, {-1, 1, 2147483647, 0})}),
          sample(Convert{ElementType::bf16}, {random_tensor({5}, 2)}),
          sample(Convert{ElementType::boolean}, {Tensor::of<int64_t>({3}, {0, 5, -1})})};
}
HONE_DEFINE_OP(Convert)

Types Reorder::infer(InferCtx& ctx) const {
  Type t = ctx.input(0);
  t.layout = layout == LayoutName::plain ? Layout::plain : Layout::channels_last;
  return {t};
}
void Reorder::eval(EvalCtx& ctx) const {
  ctx.set_output(0, ctx.datum(0));
}
void Reorder::grad(GradCtx& ctx) const {
  ctx.set(0, ctx.dout());
}
Samples Reorder::samples() {
  return {sample(Reorder{LayoutName::plain}, {random_tensor({1, 2, 3, 4}, 1)})};
}
HONE_DEFINE_OP(Reorder)

}  // namespace hone
