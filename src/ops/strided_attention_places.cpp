#include "ops/strided_attention.hpp"

namespace hone {

std::optional<std::vector<int64_t>> attention_offsets(const StridedAttention& op, const std::vector<int64_t>& place,
                                                      int64_t rows, int64_t columns, int64_t elements) {
  constexpr int64_t most = int64_t(1) << 40;
  if (place.size() != op.batch.size() + 2 || rows < 1 || columns < 1 || rows > most || columns > most)
    return std::nullopt;
  int64_t count = 1;
  for (int64_t n : op.batch) {
    if (n < 1 || n > (1 << 24) || count > (1 << 24) / n) return std::nullopt;
    count *= n;
  }
  // The last element of the last matrix; steps are not negative.
  int64_t last = place[0];
  if (last < 0 || last > most) return std::nullopt;
  const auto reach = [&](int64_t n, int64_t step) {
    if (step < 0 || step > most || (step > 0 && n - 1 > most / step)) return false;
    last += (n - 1) * step;
    return last <= most;
  };
  for (size_t i = 0; i < op.batch.size(); ++i) {
    if (!reach(op.batch[i], place[i + 1])) return std::nullopt;
  }
  if (!reach(rows, place.back()) || !reach(columns, 1) || last >= elements) return std::nullopt;
  std::vector<int64_t> offsets(size_t(count), place[0]);
  for (int64_t m = 0; m < count; ++m) {
    int64_t rest = m;
    for (size_t i = op.batch.size(); i-- > 0;) {
      offsets[size_t(m)] += rest % op.batch[i] * place[i + 1];
      rest /= op.batch[i];
    }
  }
  return offsets;
}

}  // namespace hone
