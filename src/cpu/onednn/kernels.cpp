// Rows of Convolution, GroupConvolution and MatMul that oneDNN computes (provider "onednn").
//
// Hone's own rows win by default: these cost more than any of them and less than the reference, so they are taken where
// a tuning record says that they were measured to be faster, or where a person asks for them. Weights are brought once
// into the order that the primitive likes best; the form's name tells version, implementation and order, so that bytes
// packed for another oneDNN or another CPU are never taken for these.
#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <vector>

#include "cpu/onednn/product.hpp"
#include "hone/error.hpp"

namespace hone::cpu {
namespace onednn {
namespace {

// Beyond every kernel of Hone's own, below the reference.
constexpr double cost_floor = 1e8;
// Roughly, on one thread: only compared between rows of oneDNN.
constexpr double gflops = 50;
constexpr size_t scratch_alignment = 64;

NodeProduct product_of(const KernelQuery& q, Kind kind) {
  return q.op == "MatMul" ? matrix_product_of(q, kind) : convolution_of(q, kind);
}

// What is left of a convolution where oneDNN has no kernel for it: plain loops, or a matrix product of copied windows,
// whose post-ops go wrong (2.6: a binary one behind an elementwise one).
bool slow(const Product& p, const Primitive& made) {
  const std::string name = made.implementation();
  return name.find("ref") != std::string::npos ||
         (p.convolution && name.find("gemm") != std::string::npos && name.find("brgemm") == std::string::npos);
}

// What oneDNN says to a product: asked once, since making a primitive's description takes as long as small layers.
struct Answer {
  std::string refusal, form;
};

std::string key_of(const Product& p) {
  std::string k = std::to_string(p.convolution) + std::to_string(p.grouped);
  for (const dnnl::memory::desc* d : {&p.source, &p.weights, &p.bias, &p.result}) k += "|" + to_text(*d);
  for (const auto& d : p.operands) k += "|" + to_text(d);
  for (const auto* list : {&p.strides, &p.dilations, &p.pads_begin, &p.pads_end}) {
    for (const auto v : *list) k += " " + std::to_string(v);
  }
  for (const PostStep& s : p.steps) {
    k += ";" + std::to_string(int(s.algorithm)) + "," + std::to_string(s.operand) + (s.number ? "n" : "");
  }
  return k + "*" + std::to_string(p.scales.size()) + "z" + std::to_string(p.zero_point != 0);
}

Answer answer_to(const Product& p) {
  static std::mutex mutex;
  static std::map<std::string, Answer> known;
  constexpr size_t most = 4096;
  const std::string key = key_of(p);
  {
    std::lock_guard lock(mutex);
    if (const auto it = known.find(key); it != known.end()) return it->second;
  }
  Answer a;
  try {
    const Primitive primitive(p);
    if (slow(p, primitive)) {
      a.refusal = "oneDNN has no kernel of its own for it (" + primitive.implementation() + ")";
    } else {
      a.form = "onednn " + version() + " " + primitive.implementation() + " " + to_text(primitive.weights());
    }
  } catch (const dnnl::error& e) {
    a.refusal = std::string("oneDNN has no such primitive (") + e.what() + ")";
  }
  std::lock_guard lock(mutex);
  if (known.size() >= most) known.clear();
  known[key] = a;
  return a;
}

class OneDnnKernel : public PreparedKernel {
 public:
  OneDnnKernel(const KernelQuery& q, Kind kind) {
    const OneThread alone;
    NodeProduct n = product_of(q, kind);
    if (n.packs) {
      const dnnl::memory::desc packed = Primitive(n.whole.product).weights();
      n.whole.product.weights = packed;
      for (Band& b : n.bands) b.product.weights = packed;
    }
    // Where a band finds no primitive for the weights of the whole node, one thread computes it all.
    if (n.bands.size() > 1 && !std::all_of(n.bands.begin(), n.bands.end(), is_served)) n.bands = {n.whole};
    for (const EpilogueOperand& o : q.epilogue.operands) input_of_operand_.push_back(o.input);
    if (n.bias >= 0) {
      const Tensor values = q.inputs[input_of_operand_[size_t(n.bias)]].value;
      for (size_t i = 0; i < values.size(); ++i) bias_.push_back(float(get_element(values, i)) * n.bias_factor);
    }
    for (const Band& b : n.bands) add(b);
  }
  size_t scratch_bytes() const override { return scratch_; }

  void run(const KernelArgs& a) noexcept override {
    std::atomic<bool> good = true;
    a.pool.parallel_for(int64_t(calls_.size()), 1, [&](int64_t begin, int64_t end, int) {
      const OneThread alone;
      for (int64_t i = begin; i < end; ++i) {
        if (!calls_[size_t(i)].run(a)) good = false;
      }
    });
    if (!good && a.error) a.error->set("[onednn] a primitive failed");
  }

 private:
  enum class From { input, output, scratch, fixed };
  struct Argument {
    int id;
    dnnl::memory memory;
    From from;
    size_t index, offset;  ///< of the tensor; bytes into it
    void* last = nullptr;
  };
  struct Call {
    dnnl::primitive primitive;
    dnnl::stream stream;
    std::vector<Argument> arguments;
    std::vector<dnnl_exec_arg_t> given;
    std::vector<std::vector<uint8_t>> kept;

    bool run(const KernelArgs& a) noexcept {
      for (Argument& x : arguments) {
        if (x.from == From::fixed) continue;
        void* base = x.from == From::input    ? const_cast<void*>(a.inputs[x.index])
                     : x.from == From::output ? a.outputs[x.index]
                                              : a.scratch;
        void* at = static_cast<uint8_t*>(base) + x.offset;
        if (at == x.last) continue;
        if (dnnl_memory_set_data_handle(x.memory.get(), at) != dnnl_success) return false;
        x.last = at;
      }
      return dnnl_primitive_execute(primitive.get(), stream.get(), int(given.size()), given.data()) == dnnl_success;
    }
  };

  static bool is_served(const Band& b) {
    try {
      return !slow(b.product, Primitive(b.product));
    } catch (const dnnl::error&) {
      return false;
    }
  }

  void add(const Band& b) {
    using tag = dnnl::memory::format_tag;
    const Product& p = b.product;
    const Primitive made(p);
    Call c;
    c.primitive = dnnl::primitive(made.desc.get());
    c.stream = dnnl::stream(engine());
    const auto argument = [&](int id, const dnnl::memory::desc& d, From from, size_t index, size_t offset) {
      c.arguments.push_back({id, dnnl::memory(d, engine(), nullptr), from, index, offset});
    };
    argument(DNNL_ARG_SRC, p.source, From::input, 0, b.source);
    // As mere bytes: older versions write zeros into the padding of what they are given, and packed weights may lie in
    // a file that is mapped for reading.
    const auto bytes = int64_t(made.weights().get_size());
    argument(DNNL_ARG_WEIGHTS, dnnl::memory::desc({bytes}, dnnl::memory::data_type::u8, tag::x), From::input, 1,
             b.weights);
    argument(DNNL_ARG_DST, p.result, From::output, 0, b.result);
    for (size_t s = 0; s < p.steps.size(); ++s) {
      if (p.steps[s].operand < 0) continue;
      const auto o = size_t(p.steps[s].operand);
      argument(DNNL_ARG_ATTR_MULTIPLE_POST_OP(int(s)) | DNNL_ARG_SRC_1, p.operands[o], From::input,
               input_of_operand_[o], b.operands[o]);
    }
    if (const size_t needed = made.scratch_bytes()) {
      argument(DNNL_ARG_SCRATCHPAD, made.desc.query_md(dnnl::query::scratchpad_md), From::scratch, 0, scratch_);
      scratch_ += (needed + scratch_alignment - 1) / scratch_alignment * scratch_alignment;
    }
    for (FixedArgument& f : fixed_arguments(p, bias_)) {
      c.kept.push_back(std::move(f.bytes));
      c.arguments.push_back({f.id, dnnl::memory(f.desc, engine(), c.kept.back().data()), From::fixed, 0, 0});
    }
    for (const Argument& x : c.arguments) c.given.push_back({x.id, x.memory.get()});
    calls_.push_back(std::move(c));
  }

  std::vector<Call> calls_;
  std::vector<size_t> input_of_operand_;
  std::vector<float> bias_;
  size_t scratch_ = 0;
};

[[noreturn]] void fail(const KernelQuery& q, const dnnl::error& e) {
  throw Error(ErrorCode::failed, "[" + std::string(q.op) + "] oneDNN " + version() + ": " + e.what());
}

template <Kind kind>
struct Row {
  static Support supports(const KernelQuery& q) try {
    const NodeProduct n = product_of(q, kind);
    if (!n.refusal.empty()) return Support::no(n.refusal);
    const Answer a = answer_to(n.whole.product);
    return a.refusal.empty() ? Support::yes() : Support::no(a.refusal);
  } catch (const dnnl::error& e) {
    return Support::no(std::string("oneDNN refuses a tensor of it (") + e.what() + ")");
  }
  static KernelPlan plan(const KernelQuery& q) try {
    const NodeProduct n = product_of(q, kind);
    KernelPlan plan;
    if (n.packs) plan.packs.push_back({1, answer_to(n.whole.product).form});
    plan.cost = cost_floor + n.operations / (gflops * 1e3);
    return plan;
  } catch (const dnnl::error& e) {
    fail(q, e);
  }
  static Tensor pack(const KernelQuery& q, const PackedInput&) try {
    const OneThread alone;
    const NodeProduct n = product_of(q, kind);
    const ElementType type = kind == Kind::int8   ? ElementType::i8
                             : kind == Kind::bf16 ? ElementType::bf16
                                                  : ElementType::f32;
    const Tensor& given = q.inputs[1].value;
    const Tensor value = given.element_type() == type ? given : given.converted(type);
    const dnnl::memory::desc packed = Primitive(n.whole.product).weights();
    Tensor out(ElementType::u8, {int64_t(packed.get_size())});
    const dnnl::memory from(n.given_weights, engine(), const_cast<void*>(value.raw()));
    dnnl::memory to(packed, engine(), out.raw());
    dnnl::stream stream(engine());
    dnnl::reorder(from, to).execute(stream, const_cast<dnnl::memory&>(from), to);
    stream.wait();
    return out;
  } catch (const dnnl::error& e) {
    fail(q, e);
  }
  static std::unique_ptr<PreparedKernel> prepare(const KernelQuery& q) try {
    return std::make_unique<OneDnnKernel>(q, kind);
  } catch (const dnnl::error& e) {
    fail(q, e);
  }
  static Kernel kernel(const char* name, const char* op) { return {name, "onednn", op, supports, plan, pack, prepare}; }
};

}  // namespace
}  // namespace onednn

KernelList onednn_kernels() {
  using namespace onednn;
  static const Kernel rows[] = {Row<Kind::f32>::kernel("convolution_f32__onednn", "Convolution"),
                                Row<Kind::bf16>::kernel("convolution_bf16__onednn", "Convolution"),
                                Row<Kind::int8>::kernel("convolution_int8__onednn", "Convolution"),
                                Row<Kind::f32>::kernel("group_convolution_f32__onednn", "GroupConvolution"),
                                Row<Kind::bf16>::kernel("group_convolution_bf16__onednn", "GroupConvolution"),
                                Row<Kind::int8>::kernel("group_convolution_int8__onednn", "GroupConvolution"),
                                Row<Kind::f32>::kernel("mat_mul_f32__onednn", "MatMul"),
                                Row<Kind::bf16>::kernel("mat_mul_bf16__onednn", "MatMul"),
                                Row<Kind::int8>::kernel("mat_mul_int8__onednn", "MatMul")};
  return rows;
}

}  // namespace hone::cpu
