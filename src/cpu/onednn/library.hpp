// What Hone asks of oneDNN (2.6 or newer), in one form for all its versions: a product (convolution or matrix product)
// with post-ops, one thread a call, scratch memory from outside.
//
// oneDNN computes on threads of its own (OpenMP in Debian), which would spin beside those of Hone's pool. So each call
// is kept to the thread that makes it, and a node is cut into bands that the pool's threads compute.
#pragma once
#include <dnnl.hpp>
#include <string>
#include <vector>

namespace hone::cpu::onednn {

const dnnl::engine& engine();
/// "2.6.3"
std::string version();
/// The order in memory and all that is stored beside it, as text: equal text, equal bytes.
std::string to_text(const dnnl::memory::desc& d);
bool same(const dnnl::memory::desc& a, const dnnl::memory::desc& b);

/// While it lives, oneDNN uses no other thread for the calls of this one. Nothing is left changed behind.
class OneThread {
 public:
  OneThread() noexcept;
  ~OneThread();
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_ = 0;
};

/// A step on the result, in f32.
struct PostStep {
  dnnl::algorithm algorithm;
  float alpha = 0, beta = 0;  ///< of elementwise functions
  int operand = -1;           ///< of binary ones: which operand of the epilogue,
  bool number = false;        ///< or the number `alpha`
};

struct Product {
  bool convolution = true;                           ///< false: matrix product
  dnnl::memory::desc source, weights, bias, result;  ///< `weights` may lie in any order; `bias` may be empty
  dnnl::memory::dims strides, dilations, pads_begin, pads_end;
  std::vector<PostStep> steps;
  std::vector<dnnl::memory::desc> operands;  ///< by operand of the epilogue; empty where no step reads it
  /// Of integer products: what the sums are multiplied with, one or one for each output channel; and the source's zero
  /// point.
  std::vector<float> scales;
  bool grouped = false;
  int32_t zero_point = 0;
};

/// A primitive that computes the product; throws dnnl::error where the library has none.
struct Primitive {
  explicit Primitive(const Product& p);
  dnnl::memory::desc weights() const;
  size_t scratch_bytes() const;
  std::string implementation() const { return desc.impl_info_str(); }
  dnnl::primitive_desc_base desc;
};

/// An argument of a primitive with its content, as the version at hand wants it: the bias (`values` in the units of the
/// result before the steps), scales and zero point of integer products.
struct FixedArgument {
  int id;
  dnnl::memory::desc desc;
  std::vector<uint8_t> bytes;
};
std::vector<FixedArgument> fixed_arguments(const Product& p, const std::vector<float>& bias);

}  // namespace hone::cpu::onednn
