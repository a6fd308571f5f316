// Families with one kernel per instruction set of vector code: which there are, and rows made from a template over
// them.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cpu/features.hpp"
#include "device/kernel.hpp"

namespace hone::cpu {

enum class VectorIsa { avx512, avx2, neon };

struct VectorIsaInfo {
  VectorIsa isa;
  const char* suffix;
  bool Features::*has;
  const char* needs;
  double cost;  ///< relative, at equal clocks; the widest wins
};

#if defined(__x86_64__)
constexpr VectorIsaInfo vector_isas[] = {
    {VectorIsa::avx512, "avx512", &Features::avx512, "the CPU has no AVX-512", 1.0},
    {VectorIsa::avx2, "avx2", &Features::avx2, "the CPU has no AVX2", 1.3}};
/// Calls the function `name` of the instruction set of index I in `vector_isas`.
#define HONE_VECTOR_FN(I, name) (I == 0 ? avx512::name : avx2::name)
#elif defined(__aarch64__)
constexpr VectorIsaInfo vector_isas[] = {{VectorIsa::neon, "neon", &Features::neon, "the CPU has no NEON", 3.0}};
#define HONE_VECTOR_FN(I, name) (neon::name)
#endif
constexpr size_t num_vector_isas = sizeof(vector_isas) / sizeof(VectorIsaInfo);

/// Collects rows whose names are made at run time.
class RowList {
 public:
  /// `Row` has static supports, plan, pack (or none) and prepare.
  template <class Row>
  void add(std::string_view name, const char* op, Tensor (*pack)(const KernelQuery&, const PackedInput&) = nullptr) {
    add<Row>(name, "", op, pack);
  }
  /// The name in two parts, the second one the instruction set's.
  template <class Row>
  void add(std::string_view name, const char* suffix, const char* op,
           Tensor (*pack)(const KernelQuery&, const PackedInput&) = nullptr) {
    push(name, suffix, {nullptr, "hone", op, Row::supports, Row::plan, pack, Row::prepare});
  }
  KernelList list() const { return rows_; }

 private:
  void push(std::string_view name, const char* suffix, Kernel row);

  std::vector<std::unique_ptr<std::string>> names_;
  std::vector<Kernel> rows_;
};

/// "MatMul" -> "mat_mul": the operator in the names of its rows.
std::string row_prefix(std::string_view op);

}  // namespace hone::cpu
