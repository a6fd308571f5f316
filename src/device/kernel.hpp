// What a kernel is. A kernel row states its own limits, plans what it needs ahead of time and then runs without
// allocating.
//
//   supports(query)  yes, or a sentence that says why not; `--explain` prints it
//   plan(query)      compile-time half: layouts, packed forms of constant inputs, aliasing, cost
//   pack(...)        builds a packed form once; programs store it under the form's name
//   prepare(query)   per-signature half at load: tiles, thread split, scratch; may allocate, may throw Error
//   run(args)        noexcept, allocates nothing
//
// A program names packed forms, not kernels: at load every row of the operator whose plan asks for the same forms is a
// candidate, and the cheapest one that the CPU supports is taken.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/thread_pool.hpp"
#include "device/epilogue.hpp"
#include "hone/tensor.hpp"
#include "tensor/fields.hpp"
#include "tensor/layout.hpp"

namespace hone {

/// One input or output as a kernel sees it.
struct TensorDesc {
  ElementType type = ElementType::dynamic;
  Shape shape;  ///< logical shape
  Layout layout = Layout::plain;
  QuantizationPtr quantization;  ///< of integer tensors that stand for real numbers; null otherwise
  bool present = true;    ///< false: an optional input that is absent, an output nobody reads (its pointer is null)
  bool constant = false;  ///< the value is known when the kernel is planned
  Tensor value;           ///< that value (plain layout); empty where it was not kept, as for packed weights at load
  std::string packed;     ///< name of the packed form the pointer will hold; empty: the tensor itself

  size_t size() const { return static_cast<size_t>(element_count(shape)); }
  size_t bytes() const { return byte_size(type, size()); }
};

/// The question put to a kernel: one node with everything known about its surroundings.
struct KernelQuery {
  std::string_view op;
  std::span<const uint8_t> attributes;  ///< as FieldWriter writes them
  std::vector<TensorDesc> inputs;       ///< the operator's inputs, then the operands of the epilogue
  std::vector<TensorDesc> outputs;
  size_t num_op_inputs = 0;  ///< inputs[num_op_inputs...] feed the epilogue
  Epilogue epilogue;         ///< elementwise steps on output 0, done in f32 before it is converted to outputs[0].type
  int threads = 1;
  bool bf16_compute = false;  ///< f32 dense products may be computed on bf16-rounded factors

  /// The attributes as their struct: `const auto conv = query.attrs<Convolution>();`
  template <class Op>
  Op attrs() const {
    Op op;
    FieldReader reader(attributes);
    visit_fields(op, reader);
    return op;
  }
};

/// Yes, or why not.
class Support {
 public:
  static Support yes() { return Support(true, {}); }
  static Support no(std::string why) { return Support(false, std::move(why)); }
  explicit operator bool() const { return yes_; }
  const std::string& why() const { return why_; }

 private:
  Support(bool yes, std::string why) : yes_(yes), why_(std::move(why)) {}
  bool yes_;
  std::string why_;
};

struct PackedInput {
  size_t input;      ///< index into KernelQuery::inputs; that input must be constant
  std::string form;  ///< describes the bytes fully: "b16_f32", "b16x4_s8_colsum"...
};

struct KernelPlan {
  std::vector<PackedInput> packs;
  int in_place_input = -1;  ///< output 0 may share memory with this input when nobody else reads it
  /// More pairs (output, input) that may share memory, all at once: updated parameters, optimizer states, running
  /// statistics.
  std::vector<std::pair<uint32_t, uint32_t>> in_place;
  double cost = 0;  ///< expected microseconds on one thread; only compared between rows of one operator
};

/// Where a run reports what only data can reveal (an index out of range). The first report stays.
struct RunError {
  bool failed = false;
  char message[240] = {};
  void set(const char* text) noexcept {
    if (failed) return;
    failed = true;
    for (size_t i = 0; i + 1 < sizeof message && text[i]; ++i) message[i] = text[i];
  }
};

/// Everything a run gets. Pointers of absent tensors are null; tensors are aligned to 64 bytes and readable one vector
/// past their end.
struct KernelArgs {
  std::span<const void* const> inputs;
  std::span<void* const> outputs;
  void* scratch;  ///< scratch_bytes(), aligned to 64
  ThreadPool& pool;
  RunError* error = nullptr;  ///< null where nobody asks
};

class PreparedKernel {
 public:
  virtual ~PreparedKernel() = default;
  virtual size_t scratch_bytes() const { return 0; }
  virtual void run(const KernelArgs& args) noexcept = 0;
};

struct Kernel {
  const char* name;      ///< `<op>_<types>_<tile>__<isa>`
  const char* provider;  ///< "hone", "reference", "onednn"
  const char* op;        ///< operator name
  Support (*supports)(const KernelQuery&);
  KernelPlan (*plan)(const KernelQuery&);
  /// Null where no input is ever packed. The result is a u8 tensor of the packed bytes. `query.inputs[p.input].value`
  /// holds the constant.
  Tensor (*pack)(const KernelQuery&, const PackedInput& p);
  std::unique_ptr<PreparedKernel> (*prepare)(const KernelQuery&);
};

/// A list of rows of one family, as `cpu/kernels.inc` collects them.
using KernelList = std::span<const Kernel>;

}  // namespace hone
