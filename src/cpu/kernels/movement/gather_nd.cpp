// The row of GatherND: blocks of elements at places that the indices name, copied whole.
#include <atomic>
#include <cstring>
#include <vector>

#include "cpu/registry.hpp"
#include "ops/indexing.hpp"

namespace hone::cpu {
namespace {

struct Sizes {
  int64_t batches = 1, per_batch = 1, batch_bytes = 1, block_bytes = 1;
  std::vector<int64_t> dims, steps;  ///< of the axes that an index names, in bytes
};

std::optional<Sizes> sizes_of(const KernelQuery& q) {
  const Shape &x = q.inputs[0].shape, &indices = q.inputs[1].shape;
  const int64_t batch = q.attrs<GatherND>().batch_dims;
  if (indices.empty() || batch < 0 || batch >= int64_t(indices.size())) return std::nullopt;
  const int64_t used = indices.back(), rank = int64_t(x.size());
  if (batch + used > rank) return std::nullopt;
  Sizes s;
  for (int64_t i = 0; i + 1 < int64_t(indices.size()); ++i) (i < batch ? s.batches : s.per_batch) *= indices[size_t(i)];
  s.block_bytes = bit_width(q.inputs[0].type) / 8;
  for (int64_t i = batch + used; i < rank; ++i) s.block_bytes *= x[size_t(i)];
  s.dims.assign(x.begin() + batch, x.begin() + batch + used);
  s.steps.resize(size_t(used));
  s.batch_bytes = s.block_bytes;
  for (size_t i = s.dims.size(); i-- > 0;) {
    s.steps[i] = s.batch_bytes;
    s.batch_bytes *= s.dims[i];
  }
  return s;
}

class Prepared final : public PreparedKernel {
 public:
  Prepared(Sizes s, bool wide) : s_(std::move(s)), wide_(wide) {}
  void run(const KernelArgs& args) noexcept override {
    const auto* x = static_cast<const uint8_t*>(args.inputs[0]);
    auto* y = static_cast<uint8_t*>(args.outputs[0]);
    const auto used = int64_t(s_.dims.size());
    std::atomic<bool> bad{false};
    args.pool.parallel_for(s_.batches * s_.per_batch, 1 + (32 << 10) / (s_.block_bytes + 8),
                           [&](int64_t begin, int64_t end, int) {
                             for (int64_t i = begin; i < end; ++i) {
                               int64_t from = i / s_.per_batch * s_.batch_bytes;
                               bool inside = true;
                               for (int64_t k = 0; k < used; ++k) {
                                 const int64_t at = i * used + k, size = s_.dims[size_t(k)];
                                 int64_t index = wide_ ? static_cast<const int64_t*>(args.inputs[1])[at]
                                                       : static_cast<const int32_t*>(args.inputs[1])[at];
                                 if (index < 0) index += size;
                                 inside &= index >= 0 && index < size;
                                 from += (inside ? index : 0) * s_.steps[size_t(k)];
                               }
                               if (inside) {
                                 std::memcpy(y + i * s_.block_bytes, x + from, size_t(s_.block_bytes));
                               } else {
                                 std::memset(y + i * s_.block_bytes, 0, size_t(s_.block_bytes));
                                 bad.store(true, std::memory_order_relaxed);
                               }
                             }
                           });
    if (bad.load() && args.error) args.error->set("[GatherND] an index lies outside of its axis");
  }

 private:
  Sizes s_;
  bool wide_;
};

Support supports(const KernelQuery& q) {
  if (!q.epilogue.empty()) return Support::no("takes no epilogue");
  const TensorDesc &x = q.inputs[0], &y = q.outputs[0];
  if (bit_width(x.type) < 8 || x.type != y.type) return Support::no("moves elements of whole bytes only");
  if (x.quantization || y.quantization) return Support::no("moves no quantized elements");
  for (const TensorDesc* d : {&x, &q.inputs[1], &y}) {
    if (d->layout != Layout::plain) return Support::no("takes the plain layout only");
  }
  const ElementType t = q.inputs[1].type;
  if (t != ElementType::i32 && t != ElementType::i64) return Support::no("indices must be i32 or i64");
  if (!sizes_of(q)) return Support::no("the indices do not fit the data");
  return Support::yes();
}
KernelPlan plan(const KernelQuery& q) {
  KernelPlan p;
  p.cost = 1 + double(q.outputs[0].bytes() + q.inputs[1].bytes()) * 1e-4;
  return p;
}
std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) {
  return std::make_unique<Prepared>(*sizes_of(q), q.inputs[1].type == ElementType::i64);
}

constexpr Kernel rows[] = {{"gather_nd_blocks__any", "hone", "GatherND", supports, plan, nullptr, prepare}};

}  // namespace

KernelList gather_nd_kernels() {
  return rows;
}

}  // namespace hone::cpu
