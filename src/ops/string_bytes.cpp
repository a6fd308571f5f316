#include "ops/string_bytes.hpp"

#include <cstring>
#include <limits>

#include "ops/family.hpp"

namespace hone {

Types StringTensorPack::infer(InferCtx& ctx) const {
  ctx.check(ctx.shape(0).compatible(ctx.shape(1)),
            "begins " + to_string(ctx.shape(0)) + " and ends " + to_string(ctx.shape(1)) + " do not fit");
  ctx.check(ctx.element(2) == ElementType::u8 || ctx.element(2) == ElementType::dynamic,
            std::string("bytes of type ") + name_of(ctx.element(2)));
  ctx.check(!ctx.shape(2).rank_known() || ctx.shape(2).rank() == 1,
            "bytes " + to_string(ctx.shape(2)) + " are not [K]");
  return {Type(ElementType::string, PartialShape::merge(ctx.shape(0), ctx.shape(1)))};
}
void StringTensorPack::eval(EvalCtx& ctx) const {
  const Tensor &begins = ctx.input(0), &ends = ctx.input(1), &bytes = ctx.input(2);
  if (begins.shape() != ends.shape())
    ctx.fail("begins " + to_string(begins.shape()) + " and ends " + to_string(ends.shape()) + " do not fit");
  const auto* p = reinterpret_cast<const char*>(bytes.data<uint8_t>());
  const auto size = static_cast<int64_t>(bytes.size());
  std::vector<std::string> out;
  for (size_t i = 0; i < begins.size(); ++i) {
    const int64_t from = get_integer(begins, i), to = get_integer(ends, i);
    if (from < 0 || to < from || to > size)
      ctx.fail("a string from " + std::to_string(from) + " to " + std::to_string(to) + " of " + std::to_string(size) +
               " bytes");
    out.emplace_back(p + from, static_cast<size_t>(to - from));
  }
  ctx.set_output(0, Tensor::strings(begins.shape(), std::move(out)));
}
Samples StringTensorPack::samples() {
  const Tensor begins = Tensor::of<int32_t>({2}, {0, 2}), ends = Tensor::of<int32_t>({2}, {2, 5}),
               bytes = Tensor::of<uint8_t>({5}, {'h', 'i', 'y', 'o', 'u'});
  return {sample(StringTensorPack{}, {begins, ends, bytes}, {Tensor::strings({2}, {"hi", "you"})}),
          sample(StringTensorPack{},
                 {int_tensor({1, 0, 3}).reshaped({3, 1}), int_tensor({1, 3, 5}).reshaped({3, 1}), bytes},
                 {Tensor::strings({3, 1}, {"", "hiy", "ou"})})};
}
HONE_DEFINE_OP(StringTensorPack)

Types StringTensorUnpack::infer(InferCtx& ctx) const {
  ctx.check(ctx.element(0) == ElementType::string || ctx.element(0) == ElementType::dynamic,
            std::string("is not defined on ") + name_of(ctx.element(0)));
  const Type place(ElementType::i32, ctx.shape(0));
  return {place, place, Type(ElementType::u8, PartialShape{Dimension()})};
}
void StringTensorUnpack::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  size_t total = 0;
  for (const std::string& s : x.strings()) total += s.size();
  if (total > static_cast<size_t>(std::numeric_limits<int32_t>::max())) ctx.fail("strings of more than 2 GiB");
  Tensor begins = ctx.output(0, ElementType::i32, x.shape()), ends = ctx.output(1, ElementType::i32, x.shape()),
         bytes = ctx.output(2, ElementType::u8, {static_cast<int64_t>(total)});
  size_t at = 0;
  for (size_t i = 0; i < x.strings().size(); ++i) {
    const std::string& s = x.strings()[i];
    begins.data<int32_t>()[i] = static_cast<int32_t>(at);
    if (!s.empty()) std::memcpy(bytes.data<uint8_t>() + at, s.data(), s.size());
    at += s.size();
    ends.data<int32_t>()[i] = static_cast<int32_t>(at);
  }
}
Samples StringTensorUnpack::samples() {
  return {sample(StringTensorUnpack{}, {Tensor::strings({2}, {"hi", "you"})},
                 {Tensor::of<int32_t>({2}, {0, 2}), Tensor::of<int32_t>({2}, {2, 5}),
                  Tensor::of<uint8_t>({5}, {'h', 'i', 'y', 'o', 'u'})}),
          sample(StringTensorUnpack{}, {Tensor::strings({1, 2}, {"", "a"})},
                 {Tensor::of<int32_t>({1, 2}, {0, 0}), Tensor::of<int32_t>({1, 2}, {0, 1}),
                  Tensor::of<uint8_t>({1}, {'a'})})};
}
HONE_DEFINE_OP(StringTensorUnpack)

}  // namespace hone
