// The messages of an ONNX file as views into its bytes: nothing is copied, weights least of all.
// Field numbers are those of onnx.proto (onnx/onnx, version 1.19). Malformed bytes throw `Error` (unreadable).
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/type.hpp"

namespace hone::onnx {

using Bytes = std::string_view;

struct TensorMessage {
  Bytes name;
  std::vector<int64_t> dims;
  int32_t data_type = 0;
  bool has_raw = false;
  Bytes raw;
  Bytes packed_floats, packed_doubles;  ///< fixed-width payloads, little-endian: used in place
  std::vector<float> floats;
  std::vector<double> doubles;
  std::vector<int32_t> int32s;
  std::vector<int64_t> int64s;
  std::vector<uint64_t> uint64s;
  std::vector<Bytes> strings;
  bool external = false;
  std::map<std::string, std::string> location;  ///< external_data: location, offset, length
};

struct AttributeMessage {
  enum Kind { none, f_, i_, s_, t_, g_, floats_, ints_, strings_, tensors_, graphs_, sparse_, sparses_, type_, types_ };
  Bytes name, reference;  ///< `reference`: the function's attribute this one stands for
  int kind = none;
  float f = 0;
  int64_t i = 0;
  Bytes s;
  Bytes message;  ///< of a tensor, sparse tensor, graph or type
  std::vector<float> floats;
  std::vector<int64_t> ints;
  std::vector<Bytes> list;  ///< strings, or messages of tensors, graphs, types
};

struct NodeMessage {
  Bytes name, op, domain, overload;
  std::vector<Bytes> inputs, outputs;
  std::vector<AttributeMessage> attributes;
};

struct ValueMessage {
  Bytes name, type;
};

struct GraphMessage {
  Bytes name;
  std::vector<NodeMessage> nodes;
  std::vector<Bytes> initializers, sparse_initializers;
  std::vector<ValueMessage> inputs, outputs;
};

using Opsets = std::map<std::string, int64_t, std::less<>>;

struct FunctionMessage {
  Bytes name, domain, overload;
  std::vector<Bytes> inputs, outputs;
  std::vector<AttributeMessage> defaults;
  std::vector<NodeMessage> nodes;
  Opsets opsets;
};

struct ModelMessage {
  int64_t ir_version = 0;
  Bytes producer, producer_version;
  bool has_graph = false;
  Bytes graph;
  Opsets opsets;
  std::map<std::string, std::string> metadata;
  std::vector<FunctionMessage> functions;
};

ModelMessage parse_model(Bytes b);
GraphMessage parse_graph_message(Bytes b);
TensorMessage parse_tensor(Bytes b);
/// A TypeProto. Unnamed, named and known dimensions become dynamic, symbolic and static ones.
Type parse_type_message(Bytes b);

/// Where tensors of a file find their bytes.
struct Storage {
  std::shared_ptr<const void> owner;  ///< keeps the bytes of the messages alive
  std::string folder;                 ///< of external data; empty: external data are refused
  mutable std::map<std::string, std::shared_ptr<const void>> files;  ///< mapped external files by name
};

/// The tensor of a message: mapped where its bytes are aligned, else copied. Throws `Error` (unreadable, unsafe,
/// unsupported).
Tensor to_tensor(const TensorMessage& m, const Storage& storage);
/// A SparseTensorProto made dense.
Tensor sparse_to_tensor(Bytes b, const Storage& storage);
Bytes sparse_tensor_name(Bytes b);
/// TensorProto.DataType to an element type and back; `Error` (unsupported) for complex numbers and unknown ones.
ElementType element_type_of_onnx(int64_t data_type);
int32_t onnx_data_type(ElementType t);

/// A file of one TensorProto, SequenceProto or OptionalProto, told apart by the type that the model gives.
Datum parse_datum(Bytes b, const Type& type, const Storage& storage);

}  // namespace hone::onnx
