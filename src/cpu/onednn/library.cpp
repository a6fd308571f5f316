#include "cpu/onednn/library.hpp"

#include <dlfcn.h>

#include <cstdlib>
#include <cstring>

#include "cpu/features.hpp"

namespace hone::cpu::onednn {
namespace {

using dnnl::memory;

// HONE_ISA holds for oneDNN as well. The library takes the limit before its first primitive only.
bool limit_isa() {
  const char* level = std::getenv("HONE_ISA");
  if (!level || !*level) return true;
#if defined(__x86_64__)
  const Features f = capped(detect_features(), level);
  const auto isa = f.amx_int8 || f.amx_bf16 ? dnnl::cpu_isa::avx512_core_amx
                   : f.avx512_bf16          ? dnnl::cpu_isa::avx512_core_bf16
                   : f.avx512_vnni          ? dnnl::cpu_isa::avx512_core_vnni
                   : f.avx512               ? dnnl::cpu_isa::avx512_core
                   : f.avx2                 ? dnnl::cpu_isa::avx2
                                            : dnnl::cpu_isa::sse41;
  return dnnl::set_max_cpu_isa(isa) == dnnl::status::success;
#else
  return true;
#endif
}

// OpenMP's functions, whichever OpenMP oneDNN brought into the process; null where it has other threads or none.
struct OpenMp {
  int (*get)() = nullptr;
  void (*set)(int) = nullptr;
  OpenMp() {
    if (dnnl_version()->cpu_runtime != DNNL_RUNTIME_OMP) return;
    get = reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "omp_get_max_threads"));
    set = reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"));
    if (!get) set = nullptr;
  }
};
const OpenMp& open_mp() {
  static const OpenMp functions;
  return functions;
}

template <class T>
std::vector<uint8_t> bytes_of(const std::vector<T>& values) {
  std::vector<uint8_t> b(values.size() * sizeof(T));
  std::memcpy(b.data(), values.data(), b.size());
  return b;
}

// One f32 that is spread over the result.
memory::desc number_desc(const Product& p) {
#if DNNL_VERSION_MAJOR >= 3
  const auto rank = size_t(p.result.get_ndims());
#else
  const auto rank = size_t(p.result.data.ndims);
#endif
  return {memory::dims(rank, 1), memory::data_type::f32, memory::dims(rank, 1)};
}

dnnl::post_ops post_ops_of(const Product& p) {
  dnnl::post_ops ops;
  for (const PostStep& s : p.steps) {
    if (s.operand >= 0 || s.number) {
      ops.append_binary(s.algorithm, s.number ? number_desc(p) : p.operands[size_t(s.operand)]);
      continue;
    }
#if DNNL_VERSION_MAJOR >= 3
    ops.append_eltwise(s.algorithm, s.alpha, s.beta);
#else
    ops.append_eltwise(1.0f, s.algorithm, s.alpha, s.beta);
#endif
  }
  return ops;
}

dnnl::primitive_attr attributes_of(const Product& p) {
  dnnl::primitive_attr a;
  a.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  a.set_post_ops(post_ops_of(p));
  if (p.scales.empty()) return a;
#if DNNL_VERSION_MAJOR >= 3
  const int last = 1 << (int(p.result.get_ndims()) - 1);
  a.set_scales_mask(DNNL_ARG_WEIGHTS, p.scales.size() == 1 ? 0 : !p.convolution ? last : p.grouped ? 3 : 1);
  if (p.zero_point != 0) a.set_zero_points_mask(DNNL_ARG_SRC, 0);
#else
  const int last = 1 << (p.result.data.ndims - 1);
  a.set_output_scales(p.scales.size() == 1 ? 0 : p.convolution ? 2 : last, p.scales);
  if (p.zero_point != 0) a.set_zero_points(DNNL_ARG_SRC, 0, {p.zero_point});
#endif
  return a;
}

}  // namespace

const dnnl::engine& engine() {
  static const bool limited = limit_isa();
  static const dnnl::engine e(dnnl::engine::kind::cpu, 0);
  (void)limited;
  return e;
}

std::string version() {
  const dnnl_version_t& v = *dnnl_version();
  return std::to_string(v.major) + "." + std::to_string(v.minor) + "." + std::to_string(v.patch);
}

bool same(const memory::desc& a, const memory::desc& b) {
  return a == b;
}

std::string to_text(const memory::desc& d) {
  std::string s;
  const auto list = [&](const char* name, const auto* values, int count) {
    s += name;
    for (int i = 0; i < count; ++i) s += (i ? "x" : "") + std::to_string(values[i]);
  };
#if DNNL_VERSION_MAJOR >= 3
  const auto vector = [&](const char* name, const memory::dims& v) { list(name, v.data(), int(v.size())); };
  s = "t" + std::to_string(int(d.get_data_type()));
  vector(" ", d.get_dims());
  vector(" p", d.get_padded_dims());
  vector(" s", d.get_strides());
  if (d.get_inner_nblks() > 0) {
    vector(" b", d.get_inner_blks());
    vector("@", d.get_inner_idxs());
  }
#else
  const dnnl_memory_desc_t& m = d.data;
  s = "t" + std::to_string(int(m.data_type));
  list(" ", m.dims, m.ndims);
  list(" p", m.padded_dims, m.ndims);
  if (m.format_kind == dnnl_blocked) {
    const dnnl_blocking_desc_t& b = m.format_desc.blocking;
    list(" s", b.strides, m.ndims);
    if (b.inner_nblks > 0) {
      list(" b", b.inner_blks, b.inner_nblks);
      list("@", b.inner_idxs, b.inner_nblks);
    }
  } else {
    s += " kind" + std::to_string(int(m.format_kind));
  }
  if (m.extra.flags) {
    s += " e" + std::to_string(m.extra.flags) + "," + std::to_string(m.extra.compensation_mask) + "," +
         std::to_string(m.extra.asymm_compensation_mask) + "," + std::to_string(m.extra.scale_adjust);
  }
#endif
  return s + " " + std::to_string(d.get_size());
}

OneThread::OneThread() noexcept {
  const OpenMp& omp = open_mp();
  if (!omp.set) return;
  before_ = omp.get();
  if (before_ != 1) omp.set(1);
}

OneThread::~OneThread() {
  if (before_ > 1) open_mp().set(before_);
}

Primitive::Primitive(const Product& p) {
  const OneThread alone;
  const dnnl::primitive_attr a = attributes_of(p);
  const dnnl::engine& e = engine();
#if DNNL_VERSION_MAJOR >= 3
  if (p.convolution) {
    desc = dnnl::convolution_forward::primitive_desc(e, dnnl::prop_kind::forward_inference,
                                                     dnnl::algorithm::convolution_direct, p.source, p.weights, p.bias,
                                                     p.result, p.strides, p.dilations, p.pads_begin, p.pads_end, a);
  } else {
    desc = dnnl::matmul::primitive_desc(e, p.source, p.weights, p.bias, p.result, a);
  }
#else
  if (p.convolution) {
    const dnnl::convolution_forward::desc d(dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct,
                                            p.source, p.weights, p.bias, p.result, p.strides, p.dilations, p.pads_begin,
                                            p.pads_end);
    desc = dnnl::convolution_forward::primitive_desc(d, a, e);
  } else {
    desc = dnnl::matmul::primitive_desc(dnnl::matmul::desc(p.source, p.weights, p.bias, p.result), a, e);
  }
#endif
}

memory::desc Primitive::weights() const {
  return desc.query_md(dnnl::query::weights_md, 0);
}

size_t Primitive::scratch_bytes() const {
  return desc.query_md(dnnl::query::scratchpad_md).get_size();
}

std::vector<FixedArgument> fixed_arguments(const Product& p, const std::vector<float>& bias) {
  std::vector<FixedArgument> list;
  if (!bias.empty()) {
    std::vector<float> values = bias;
#if DNNL_VERSION_MAJOR < 3
    // Scales come after the bias.
    for (size_t c = 0; c < values.size() && !p.scales.empty(); ++c) values[c] /= p.scales[p.scales.size() == 1 ? 0 : c];
#endif
    list.push_back({DNNL_ARG_BIAS, p.bias, bytes_of(values)});
  }
  for (size_t i = 0; i < p.steps.size(); ++i) {
    if (!p.steps[i].number) continue;
    list.push_back({DNNL_ARG_ATTR_MULTIPLE_POST_OP(int(i)) | DNNL_ARG_SRC_1, number_desc(p),
                    bytes_of(std::vector<float>{p.steps[i].alpha})});
  }
#if DNNL_VERSION_MAJOR >= 3
  using type = memory::data_type;
  using tag = memory::format_tag;
  if (!p.scales.empty()) {
    list.push_back({DNNL_ARG_ATTR_SCALES | DNNL_ARG_WEIGHTS,
                    memory::desc({memory::dim(p.scales.size())}, type::f32, tag::x), bytes_of(p.scales)});
  }
  if (p.zero_point != 0) {
    list.push_back({DNNL_ARG_ATTR_ZERO_POINTS | DNNL_ARG_SRC, memory::desc({1}, type::s32, tag::x),
                    bytes_of(std::vector<int32_t>{p.zero_point})});
  }
#endif
  return list;
}

}  // namespace hone::cpu::onednn
