// What the tests of this folder share: building a query, and running a row on several numbers of threads.
#pragma once
#include "cpu/kernels/kernel_test.hpp"

namespace hone::cpu::test {

inline TensorDesc desc(ElementType type, Shape shape, bool last = true) {
  TensorDesc d;
  d.type = type;
  d.layout = last && shape.size() > 2 ? Layout::channels_last : Layout::plain;
  d.shape = std::move(shape);
  return d;
}
inline TensorDesc absent() {
  TensorDesc d;
  d.present = false;
  return d;
}

/// A query that owns its attributes.
template <class Op>
struct Asked {
  std::vector<uint8_t> attributes;
  KernelQuery q;
  Asked(const Op& op, std::vector<TensorDesc> in, std::vector<TensorDesc> out) : attributes(attributes_of(op)) {
    q.op = Op::name;
    q.attributes = attributes;
    q.num_op_inputs = in.size();
    q.inputs = std::move(in);
    q.outputs = std::move(out);
  }
};

/// All outputs of one run. The scratch is filled with NaN bits before.
inline std::vector<Buffer> run_all(const Kernel& row, KernelQuery q, const std::vector<const void*>& inputs,
                                   int threads) {
  q.threads = threads;
  auto prepared = row.prepare(q);
  std::vector<Buffer> outs;
  std::vector<void*> pointers;
  for (const TensorDesc& o : q.outputs) {
    outs.emplace_back(o.present ? o.bytes() : 0);
    pointers.push_back(o.present ? outs.back().data : nullptr);
  }
  Buffer scratch(prepared->scratch_bytes());
  ThreadPool pool(threads);
  KernelArgs args{inputs, pointers, scratch.data, pool};
  prepared->run(args);
  for (size_t k = 0; k < 64; ++k)
    EXPECT_EQ(scratch.data[scratch.size + k], 0xff) << row.name << " wrote past its scratch";
  for (size_t i = 0; i < outs.size(); ++i)
    for (size_t k = 0; k < 64; ++k)
      EXPECT_EQ(outs[i].data[outs[i].size + k], 0xff) << row.name << " wrote past output " << i;
  return outs;
}

/// Runs every row of the operator that this machine has, on 1, 2 and 3 threads, expects equal bits on all, and hands
/// each row's outputs to `check`. Returns how many rows said yes.
template <class Check>
int for_each_row(const KernelQuery& q, const std::vector<const void*>& inputs, Check&& check) {
  int ran = 0;
  for (const Kernel* row : kernels_for(q.op)) {
    if (!row->supports(q)) continue;
    ++ran;
    std::vector<Buffer> one = run_all(*row, q, inputs, 1);
    for (int threads : {2, 3}) {
      std::vector<Buffer> more = run_all(*row, q, inputs, threads);
      for (size_t i = 0; i < one.size(); ++i)
        EXPECT_EQ(0, std::memcmp(one[i].data, more[i].data, one[i].size))
            << row->name << " output " << i << ", " << threads << " threads";
    }
    check(*row, one);
  }
  return ran;
}

/// Values of a tensor as doubles in the logical order [N, C, spatial], whatever its layout.
inline std::vector<double> logical(const TensorDesc& d, const Buffer& b) {
  std::vector<double> out(d.size());
  if (d.layout == Layout::plain) {
    for (size_t i = 0; i < out.size(); ++i) out[i] = read(d, b.data, i);
    return out;
  }
  const int64_t channels = d.shape[1];
  int64_t space = 1;
  for (size_t a = 2; a < d.shape.size(); ++a) space *= d.shape[a];
  for (int64_t n = 0; n < d.shape[0]; ++n)
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t s = 0; s < space; ++s)
        out[static_cast<size_t>((n * channels + c) * space + s)] =
            read(d, b.data, at(d.layout, channels, space, n, c, s));
  return out;
}

/// |got - want| <= absolute + relative * |want| everywhere.
inline void expect_all(const std::vector<double>& got, const std::vector<double>& want, double absolute,
                       double relative, const std::string& where) {
  ASSERT_EQ(got.size(), want.size()) << where;
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(got[i], want[i], absolute + relative * std::fabs(want[i])) << where << " at " << i;
}

}  // namespace hone::cpu::test
