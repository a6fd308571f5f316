// The content of a TensorFlow Lite file: what its schema (version 3) says of models, subgraphs, tensors and operators.
#pragma once
#include <memory>
#include <string>

#include "formats/tflite/flatbuffer.hpp"
#include "hone/tensor.hpp"

namespace hone::tflite {

enum class TensorType : int8_t {
  f32,
  f16,
  i32,
  u8,
  i64,
  string,
  boolean,
  i16,
  complex64,
  i8,
  f64,
  complex128,
  u64,
  resource,
  variant,
  u32,
  u16,
  i4,
  bf16,
  i2,
  u4,
};

/// real = scale * (integer - zero point); one scale, or one for each index of `axis`.
struct Scales {
  std::vector<float> scale;
  std::vector<int64_t> zero;
  int64_t axis = 0;
  explicit operator bool() const { return !scale.empty(); }
  bool operator==(const Scales&) const = default;
};

struct TensorInfo {
  std::vector<int32_t> shape, signature;  ///< the signature has -1 where any size may come
  TensorType type = TensorType::f32;
  uint32_t buffer = 0;
  std::string_view name;
  Scales scales;
  bool variable = false;
  bool has_rank = true;
  Table sparsity;
};

struct OperatorInfo {
  int32_t code = 0;
  int32_t version = 1;
  std::string_view custom;                              ///< name of a custom operator
  std::vector<int32_t> inputs, outputs, intermediates;  ///< tensors; -1: absent
  Table options, options2;
  Bytes custom_options;
};

struct SubgraphInfo {
  std::string_view name;
  std::vector<TensorInfo> tensors;
  std::vector<int32_t> inputs, outputs;
  std::vector<OperatorInfo> operators;
};

struct Signature {
  std::string_view key;
  uint32_t subgraph = 0;
  std::vector<std::pair<std::string_view, uint32_t>> inputs, outputs;  ///< name, tensor
};

struct Model {
  Bytes file;
  std::shared_ptr<const void> owner;  ///< keeps the bytes alive
  std::string_view description;
  std::vector<SubgraphInfo> subgraphs;
  std::vector<Bytes> buffers;
  std::vector<std::pair<std::string_view, uint32_t>> metadata;  ///< name, buffer
  std::vector<Signature> signatures;
};

/// Throws `Error`: unreadable, or unsupported for schemas other than version 3.
Model parse_model(Bytes file, std::shared_ptr<const void> owner);

/// The element type; complex types have none, their tensors get a last axis of two f32.
ElementType element_type_of(TensorType t);
const char* name_of(TensorType t);
inline bool is_complex(TensorType t) {
  return t == TensorType::complex64 || t == TensorType::complex128;
}

/// The content of a constant tensor, in the mapped file where it can stay there; empty where the tensor has none.
/// Sparse ones are made dense.
Tensor constant_of(const Model& m, const TensorInfo& t);

}  // namespace hone::tflite
