#include "ops/gather_tree.hpp"

#include "ops/family.hpp"

namespace hone {

Types GatherTree::infer(InferCtx& ctx) const {
  const PartialShape &ids = ctx.shape(0), &parents = ctx.shape(1), &lengths = ctx.shape(2);
  ctx.check(!ids.rank_known() || ids.rank() == 3, "ids " + to_string(ids) + " are not [T, N, beams]");
  ctx.check(ids.compatible(parents), "ids " + to_string(ids) + " and parents " + to_string(parents) + " do not fit");
  ctx.check(lengths.compatible(PartialShape{ids.rank_known() ? ids[1] : Dimension()}),
            "lengths " + to_string(lengths) + " for ids " + to_string(ids));
  return {Type(ctx.element(0), ids)};
}
void GatherTree::eval(EvalCtx& ctx) const {
  const Tensor &ids = ctx.input(0), &parents = ctx.input(1), &lengths = ctx.input(2);
  const Shape& s = ids.shape();
  if (s.size() != 3 || parents.shape() != s || lengths.shape() != Shape{s[1]} || ctx.input(3).size() != 1)
    ctx.fail("ids " + to_string(s) + ", parents " + to_string(parents.shape()) + " and lengths " +
             to_string(lengths.shape()) + " do not fit");
  const double end = get_element(ctx.input(3), 0);
  Tensor y = ctx.output(0, ids.element_type(), s);
  for (size_t i = 0; i < y.size(); ++i) set_element(y, i, end);
  const auto at = [&](int64_t t, int64_t n, int64_t b) { return static_cast<size_t>((t * s[1] + n) * s[2] + b); };
  for (int64_t n = 0; n < s[1]; ++n) {
    const int64_t last = std::min(s[0], static_cast<int64_t>(get_element(lengths, static_cast<size_t>(n))));
    for (int64_t b = 0; b < s[2]; ++b) {
      int64_t beam = b;
      for (int64_t t = last; t-- > 0;) {
        if (beam < 0 || beam >= s[2]) ctx.fail("beam " + std::to_string(beam) + " of " + std::to_string(s[2]));
        set_element(y, at(t, n, b), get_element(ids, at(t, n, beam)));
        beam = static_cast<int64_t>(get_element(parents, at(t, n, beam)));
      }
      bool ended = false;
      for (int64_t t = 0; t < last; ++t) {
        if (ended) set_element(y, at(t, n, b), end);
        ended = ended || get_element(y, at(t, n, b)) == end;
      }
    }
  }
}
Samples GatherTree::samples() {
  const auto ints = [](Shape s, std::initializer_list<int32_t> v) { return Tensor::of<int32_t>(std::move(s), v); };
  // The example of OpenVINO's specification.
  return {
      sample(GatherTree{},
             {ints({4, 1, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9, -1, -1, -1}),
              ints({4, 1, 3}, {0, 0, 0, 0, 1, 1, 2, 1, 2, -1, -1, -1}), ints({1}, {3}), ints({}, {10})},
             {ints({4, 1, 3}, {2, 2, 2, 6, 5, 6, 7, 8, 9, 10, 10, 10})}),
      sample(GatherTree{},
             {ints({3, 1, 2}, {1, 9, 9, 2, 3, 4}), ints({3, 1, 2}, {0, 0, 0, 1, 0, 1}), ints({1}, {3}), ints({}, {9})},
             {ints({3, 1, 2}, {1, 9, 9, 9, 9, 9})}),
      sample(GatherTree{}, {random_tensor({4, 2, 3}, 1, 0, 9, ElementType::i32),
                            random_tensor({4, 2, 3}, 2, 0, 3, ElementType::i32), ints({2}, {4, 2}), ints({}, {5})})};
}
HONE_DEFINE_OP(GatherTree)

}  // namespace hone
