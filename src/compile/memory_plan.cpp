#include "compile/memory_plan.hpp"

#include <algorithm>
#include <numeric>

#include "program/program.hpp"

namespace hone {
namespace {

// Puts blocks one by one into the smallest gap between those already placed that are alive at the same time.
uint64_t place(std::span<const MemoryBlock> blocks, const std::vector<uint32_t>& order,
               std::vector<uint64_t>& offsets) {
  std::vector<uint32_t> placed;  // by offset
  placed.reserve(blocks.size());
  uint64_t total = 0;
  for (uint32_t b : order) {
    const uint64_t need = aligned_bytes(std::max<uint64_t>(blocks[b].bytes, 1));
    uint64_t end = 0, best = ~0ull, best_gap = ~0ull;
    for (uint32_t p : placed) {
      if (blocks[p].last < blocks[b].first || blocks[p].first > blocks[b].last) continue;
      if (offsets[p] > end) {
        const uint64_t gap = offsets[p] - end;
        if (gap >= need && gap < best_gap) {
          best = end;
          best_gap = gap;
        }
      }
      end = std::max(end, offsets[p] + aligned_bytes(std::max<uint64_t>(blocks[p].bytes, 1)));
    }
    offsets[b] = best == ~0ull ? end : best;
    total = std::max(total, offsets[b] + need);
    const auto at = std::upper_bound(placed.begin(), placed.end(), offsets[b],
                                     [&](uint64_t o, uint32_t p) { return o < offsets[p]; });
    placed.insert(at, b);
  }
  return total;
}

// Blocks smaller than this are not worth an anchor of their own.
constexpr uint64_t anchored_bytes = 16 << 10;

// As above, but the middle of a block is put where that of another one is, if there is room: threads share tensors by
// halves, and a core writes memory faster that no other core wrote before. No plan grows beyond `limit` for that.
uint64_t place_anchored(std::span<const MemoryBlock> blocks, const std::vector<uint32_t>& order, uint64_t limit,
                        std::vector<uint64_t>& offsets, std::vector<uint64_t>& middles) {
  std::vector<uint32_t> placed;
  std::vector<std::pair<uint64_t, uint64_t>> busy;  // while the block is alive
  uint64_t total = 0;
  for (uint32_t b : order) {
    const uint64_t need = aligned_bytes(std::max<uint64_t>(blocks[b].bytes, 1));
    const uint64_t half = aligned_bytes(need / 2);
    busy.clear();
    for (uint32_t p : placed) {
      if (blocks[p].last < blocks[b].first || blocks[p].first > blocks[b].last) continue;
      busy.emplace_back(offsets[p], offsets[p] + aligned_bytes(std::max<uint64_t>(blocks[p].bytes, 1)));
    }
    std::sort(busy.begin(), busy.end());
    uint64_t at = ~0ull;
    // The last ones have the least room, which leaves that of the others to larger blocks.
    for (size_t i = middles.size(); need >= anchored_bytes && at == ~0ull && i-- > 0;) {
      if (middles[i] < half || middles[i] - half + need > std::max(total, limit)) continue;
      const uint64_t begin = middles[i] - half, end = begin + need;
      const auto meets = [&](const auto& x) { return x.first < end && x.second > begin; };
      if (std::none_of(busy.begin(), busy.end(), meets)) at = begin;
    }
    if (at == ~0ull && need >= anchored_bytes && total + need <= limit) at = total;
    if (at == ~0ull) {  // the smallest gap
      uint64_t end = 0, best_gap = ~0ull;
      for (const auto& x : busy) {
        if (x.first > end && x.first - end >= need && x.first - end < best_gap) {
          at = end;
          best_gap = x.first - end;
        }
        end = std::max(end, x.second);
      }
      if (at == ~0ull) at = end;
    }
    if (need >= anchored_bytes && std::find(middles.begin(), middles.end(), at + half) == middles.end())
      middles.push_back(at + half);
    offsets[b] = at;
    total = std::max(total, at + need);
    placed.push_back(b);
  }
  return total;
}

// The same in the order of execution: each block goes to the free slot whose size is nearest to its own. Takes the
// fewest slots, of which each is as large as its largest block.
uint64_t place_in_slots(std::span<const MemoryBlock> blocks, const std::vector<uint32_t>& order,
                        std::vector<uint64_t>& offsets, std::vector<uint64_t>& middles) {
  struct Slot {
    uint64_t bytes;
    uint32_t last;
  };
  std::vector<Slot> slots;
  std::vector<size_t> slot_of(blocks.size());
  for (uint32_t b : order) {
    const uint64_t need = aligned_bytes(std::max<uint64_t>(blocks[b].bytes, 1));
    const auto apart = [&](const Slot& x) { return x.bytes > need ? x.bytes - need : need - x.bytes; };
    size_t best = slots.size();
    for (size_t i = 0; i < slots.size(); ++i) {
      if (slots[i].last < blocks[b].first && (best == slots.size() || apart(slots[i]) < apart(slots[best]))) best = i;
    }
    if (best == slots.size()) slots.push_back({});
    slots[best] = {std::max(slots[best].bytes, need), blocks[b].last};
    slot_of[b] = best;
  }
  uint64_t total = 0;
  std::vector<uint64_t> middle(slots.size());
  for (size_t i = 0; i < slots.size(); ++i) {
    middle[i] = total + aligned_bytes(slots[i].bytes / 2);
    total += slots[i].bytes;
    if (slots[i].bytes >= anchored_bytes) middles.push_back(middle[i]);
  }
  for (size_t b = 0; b < blocks.size(); ++b) {
    const uint64_t need = aligned_bytes(std::max<uint64_t>(blocks[b].bytes, 1));
    offsets[b] = middle[slot_of[b]] - aligned_bytes(need / 2);
  }
  return total;
}

uint64_t most_in_use(std::span<const MemoryBlock> blocks) {
  uint32_t steps = 0;
  for (const MemoryBlock& b : blocks) steps = std::max(steps, b.last + 1);
  std::vector<int64_t> change(steps + size_t{1}, 0);
  for (const MemoryBlock& b : blocks) {
    const auto n = static_cast<int64_t>(aligned_bytes(std::max<uint64_t>(b.bytes, 1)));
    change[b.first] += n;
    change[b.last + size_t{1}] -= n;
  }
  int64_t now = 0, most = 0;
  for (int64_t c : change) most = std::max(most, now += c);
  return static_cast<uint64_t>(most);
}

}  // namespace

MemoryPlan plan_memory(std::span<const MemoryBlock> blocks, bool anchored) {
  MemoryPlan best;
  best.offsets.resize(blocks.size());
  if (blocks.empty()) return best;
  best.lower_bound = most_in_use(blocks);
  best.bytes = ~0ull;
  const auto life = [&](uint32_t b) { return static_cast<uint64_t>(blocks[b].last - blocks[b].first) + 1; };
  const auto bytes = [&](uint32_t b) { return blocks[b].bytes; };
  const auto try_order = [&](const char* name, auto&& before) {
    if (best.bytes == best.lower_bound) return;
    std::vector<uint32_t> order(blocks.size());
    std::iota(order.begin(), order.end(), 0u);
    std::stable_sort(order.begin(), order.end(), before);
    std::vector<uint64_t> offsets(blocks.size());
    const uint64_t total = place(blocks, order, offsets);
    if (total < best.bytes) {
      best.bytes = total;
      best.offsets = std::move(offsets);
      best.order = name;
    }
  };
  try_order("size", [&](uint32_t a, uint32_t b) { return bytes(a) > bytes(b); });
  try_order("lifetime",
            [&](uint32_t a, uint32_t b) { return life(a) != life(b) ? life(a) > life(b) : bytes(a) > bytes(b); });
  try_order("area", [&](uint32_t a, uint32_t b) { return bytes(a) * life(a) > bytes(b) * life(b); });
  try_order("execution", [&](uint32_t a, uint32_t b) {
    return blocks[a].first != blocks[b].first ? blocks[a].first < blocks[b].first : bytes(a) > bytes(b);
  });
  if (!anchored) return best;
  // A quarter more for memory that stays with its core.
  const uint64_t limit = best.bytes + std::max(best.bytes / 4, uint64_t{1} << 20);
  std::vector<uint32_t> order(blocks.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return bytes(a) > bytes(b); });
  std::vector<uint64_t> by_size(blocks.size()), in_slots(blocks.size()), middles, slots;
  const uint64_t total = place_anchored(blocks, order, limit, by_size, middles);
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return blocks[a].first < blocks[b].first; });
  const uint64_t total_in_slots = place_in_slots(blocks, order, in_slots, slots);
  const bool slotted = total_in_slots <= limit && (total > limit || slots.size() <= middles.size());
  if (!slotted && total > limit) return best;
  best.bytes = slotted ? total_in_slots : total;
  best.offsets = std::move(slotted ? in_slots : by_size);
  best.order = slotted ? "slots" : "anchored";
  return best;
}

}  // namespace hone
