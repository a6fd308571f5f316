// The flat program: tensors with fixed places in memory and steps in order. No graph, no shapes to infer, nothing to
// decide: the session walks the steps. Written once by the compiler, read-only afterwards and shared by any number of
// sessions.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "device/kernel.hpp"

namespace hone {

inline constexpr uint32_t no_tensor = ~0u;
/// Every tensor starts at a multiple of this, and as many bytes behind its end are readable.
inline constexpr uint64_t memory_alignment = 64;

enum class Place : uint8_t {
  arena,     ///< `offset` bytes into the memory that all intermediate results share
  constant,  ///< Program::constants[index]
  input,     ///< memory of input `index` of the request
  output,    ///< memory of output `index`
  state,     ///< memory of state `index`, which lives from run to run
  nowhere,   ///< an output that nobody reads: kernels know its shape and get a null pointer
};

struct ProgramTensor {
  ElementType type = ElementType::dynamic;
  Shape shape;  ///< logical shape
  Layout layout = Layout::plain;
  QuantizationPtr quantization;
  Place place = Place::arena;
  uint32_t index = 0;
  uint64_t offset = 0;
  uint64_t bytes = 0;  ///< what it takes in memory; of the packed form where there is one
  /// The tensor whose memory this one is a view of (a reshape costs nothing); its own number where it has memory of its
  /// own.
  uint32_t root = no_tensor;
  std::string packed;  ///< name of the packed form that the memory holds; empty: the tensor itself
};

struct ProgramStep {
  std::string op;    ///< operator name; "Copy" is done by the session itself: input 0 to output 0
  std::string name;  ///< of the node, for profiles and errors
  /// The kernel that the compiler took: tried first at load. Any kernel with the same packed forms may replace it.
  std::string kernel;
  std::vector<uint8_t> attributes;  ///< as FieldWriter writes them
  std::vector<uint32_t> inputs;     ///< no_tensor: absent
  std::vector<uint32_t> outputs;
  uint32_t num_op_inputs = 0;  ///< the other inputs feed the epilogue
  Epilogue epilogue;
  std::vector<std::pair<uint32_t, uint32_t>> in_place;  ///< (output, input) pairs that share memory
  bool bf16_compute = false;
};

struct ProgramPort {
  std::string name;
  std::vector<std::string> names;  ///< other names it answers to
  uint32_t tensor = no_tensor;
};

/// Content that lives from run to run. A run reads `tensor`; `next`, where given, is its content for the following run.
struct ProgramState {
  std::string name;
  uint32_t tensor = no_tensor;  ///< placed in the state's memory
  uint32_t next = no_tensor;  ///< placed there too (written in place), or anywhere else (copied at the end of the run)
  uint32_t initial = no_tensor;  ///< a constant; no_tensor: zeros
  bool trainable = false;
};

struct Program {
  std::string target;  ///< CPU features it was compiled for, as `to_string(Features)` prints them
  std::vector<ProgramTensor> tensors;
  std::vector<ProgramStep> steps;
  std::vector<ProgramPort> inputs, outputs;
  std::vector<ProgramState> states;
  std::vector<Tensor> constants;  ///< raw bytes (u8), aligned to `memory_alignment`
  uint64_t arena_bytes = 0;
  std::map<std::string, std::string> info;  ///< precision and the like

  const ProgramTensor& operator[](uint32_t t) const { return tensors[t]; }
};

/// Bytes that `n` take with their alignment.
inline uint64_t aligned_bytes(uint64_t n) {
  return (n + memory_alignment - 1) / memory_alignment * memory_alignment;
}

/// Checks a program without trusting whoever made it: numbers in range, every step reads memory that still holds what
/// it expects (each byte of arena and states is followed through the run), only declared in-place pairs overlap, every
/// output and state is complete at the end. Throws `Error` naming the step.
void verify(const Program& p);

/// The question a step puts to a kernel, as the compiler put it; `with_values` gives the kernels the constants that
/// were kept.
KernelQuery query_of(const Program& p, const ProgramStep& step, int threads, bool with_values = true);

/// A listing of steps, tensors and memory.
std::string to_text(const Program& p);

}  // namespace hone
