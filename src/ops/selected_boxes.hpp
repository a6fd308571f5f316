// Boxes that non-maximum suppression kept, upright or rotated, and how they leave it.
#pragma once
#include <algorithm>
#include <tuple>
#include <vector>

#include "ops/family.hpp"

namespace hone {

struct SelectedBox {
  int64_t image, label, box;
  float score;
};

/// Three outputs: [n, 3] of `index` type with image, label and box; [n, 3] of f32 with image, label and score; [1] with
/// n. `sorted`: by falling score, whatever the image and the label.
inline void write_selected(EvalCtx& ctx, std::vector<SelectedBox> all, bool sorted, ElementType index) {
  if (sorted) {
    std::stable_sort(all.begin(), all.end(), [](const SelectedBox& p, const SelectedBox& q) {
      return p.score != q.score ? p.score > q.score
                                : std::tie(p.image, p.label, p.box) < std::tie(q.image, q.label, q.box);
    });
  }
  const auto n = static_cast<int64_t>(all.size());
  Tensor indices = ctx.output(0, index, {n, 3}), scores = ctx.output(1, ElementType::f32, {n, 3}),
         valid = ctx.output(2, index, {1});
  for (size_t i = 0; i < all.size(); ++i) {
    const int64_t numbers[3] = {all[i].image, all[i].label, all[i].box};
    for (size_t k = 0; k < 3; ++k) set_integer(indices, i * 3 + k, numbers[k]);
    float* row = scores.data<float>() + i * 3;
    row[0] = static_cast<float>(all[i].image);
    row[1] = static_cast<float>(all[i].label);
    row[2] = all[i].score;
  }
  set_integer(valid, 0, n);
}

}  // namespace hone
