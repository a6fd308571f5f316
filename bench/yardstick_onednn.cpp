#include <dlfcn.h>

#include <chrono>
#include <cstring>
#include <dnnl.hpp>
#include <random>
#include <thread>
#include <unordered_map>
#include <vector>

#include "yardstick.hpp"

namespace {

using dnnl::memory;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// oneDNN computes on OpenMP's threads.
void set_threads(int threads) {
  using Set = void (*)(int);
  if (const auto set = reinterpret_cast<Set>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"))) set(threads);
}

// Numbers that no kernel takes a shortcut for.
memory filled(const memory::desc& desc, const dnnl::engine& engine) {
  memory m(desc, engine);
  auto* bytes = static_cast<uint8_t*>(m.get_data_handle());
  std::minstd_rand random(1);
  const memory::data_type type = desc.data_type();
  const size_t size = desc.get_size();
  for (size_t i = 0; i < size;) {
    if (type == memory::data_type::f32) {
      const float v = float(random() % 1000) * 1e-3f - 0.5f;
      std::memcpy(bytes + i, &v, 4);
      i += 4;
    } else if (type == memory::data_type::bf16) {
      const float v = float(random() % 1000) * 1e-3f - 0.5f;
      std::memcpy(bytes + i, reinterpret_cast<const uint8_t*>(&v) + 2, 2);
      i += 2;
    } else {
      bytes[i++] = uint8_t(random() % 100);
    }
  }
  return m;
}

}  // namespace

double yardstick_seconds(const YardstickLayer& l, const std::string& name, int threads) try {
  using type = memory::data_type;
  using tag = memory::format_tag;
  set_threads(threads);
  const bool int8 = name == "int8";
  const type data = int8 ? type::u8 : name == "bf16" ? type::bf16 : type::f32;
  const type weight = int8 ? type::s8 : data;
  const int64_t pad = l.kernel / 2, out = (l.size + 2 * pad - l.kernel) / l.stride + 1;
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  const memory::desc x({l.batch, l.channels, l.size, l.size}, data, tag::nhwc);
  const memory::desc w(l.depthwise ? memory::dims{l.channels, 1, 1, l.kernel, l.kernel}
                                   : memory::dims{l.columns, l.channels, l.kernel, l.kernel},
                       weight, tag::any);
  const memory::desc bias({l.columns}, type::f32, tag::x), y({l.batch, l.columns, out, out}, data, tag::nhwc);
  dnnl::primitive_attr attributes;
  dnnl::post_ops steps;
  steps.append_eltwise(1.0f, dnnl::algorithm::eltwise_relu, 0.0f, 0.0f);
  attributes.set_post_ops(steps);
  if (int8) attributes.set_output_scales(2, std::vector<float>(size_t(l.columns), 0.01f));
  const dnnl::convolution_forward::desc desc(dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct, x,
                                             w, bias, y, {l.stride, l.stride}, {pad, pad}, {pad, pad});
  const dnnl::convolution_forward::primitive_desc primitive(desc, attributes, engine);
  const dnnl::convolution_forward convolution(primitive);
  const std::unordered_map<int, memory> arguments{{DNNL_ARG_SRC, filled(primitive.src_desc(), engine)},
                                                  {DNNL_ARG_WEIGHTS, filled(primitive.weights_desc(), engine)},
                                                  {DNNL_ARG_BIAS, filled(primitive.bias_desc(), engine)},
                                                  {DNNL_ARG_DST, filled(primitive.dst_desc(), engine)}};
  const auto run = [&] {
    convolution.execute(stream, arguments);
    stream.wait();
  };
  run();
  double least = 1e9;
  const double stop = now() + 0.05;
  for (int i = 0; i < 5 || now() < stop; ++i) {
    const double start = now();
    run();
    least = std::min(least, now() - start);
  }
  // Its threads spin on for a while, which is not to disturb whoever is measured next.
  if (threads > 1) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  return least;
} catch (const dnnl::error&) {
  return -1;
}
