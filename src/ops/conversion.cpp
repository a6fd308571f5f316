#include "ops/conversion.hpp"

#include "ops/axes.hpp"
#include "ops/basic.hpp"
#include "ops/family.hpp"

namespace hone {

Types ConvertLike::infer(InferCtx& ctx) const {
  if (is_integer(ctx.element(1))) pass_content(ctx);
  return {Type(ctx.element(1), ctx.shape(0))};
}
void ConvertLike::eval(EvalCtx& ctx) const {
  ctx.set_output(0, ctx.input(0).converted(ctx.input(1).element_type()));
}
Values ConvertLike::expand(Builder& b, const Values& in) const {
  const ElementType e = in[1].element_type();
  if (e == ElementType::dynamic)
    throw Error(ErrorCode::unsupported, "[ConvertLike] the type to convert to is not known");
  return {b(Convert{e}, in[0])};
}
Samples ConvertLike::samples() {
  return {sample(ConvertLike{}, {Tensor::of<float>({2}, {1.7f, -2}), int_tensor({0})}, {int_tensor({1, -2})}),
          sample(ConvertLike{}, {random_tensor({2, 3}, 1), Tensor(ElementType::f16, {})})};
}
HONE_DEFINE_OP(ConvertLike)

Types Identity::infer(InferCtx& ctx) const {
  if (ctx.input(0).is_tensor() && is_integer(ctx.element(0))) pass_content(ctx);
  return {ctx.input(0)};
}
void Identity::eval(EvalCtx& ctx) const {
  ctx.set_output(0, ctx.datum(0));
}
void Identity::grad(GradCtx& ctx) const {
  ctx.set(0, ctx.dout());
}
Samples Identity::samples() {
  return {sample(Identity{}, {random_tensor({2, 3}, 1)}),
          sample(Identity{}, {Tensor::strings({1}, {"a"})}, {Tensor::strings({1}, {"a"})})};
}
HONE_DEFINE_OP(Identity)

}  // namespace hone
