// The messages of TensorFlow files as views into their bytes: nothing is copied, weights least of all.
// Field numbers are those of tensorflow/core/framework/*.proto and tensorflow/core/protobuf/*.proto. Malformed bytes
// throw `Error` (unreadable).
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hone/tensor.hpp"

namespace hone::tensorflow {

using Bytes = std::string_view;

struct TensorMessage {
  int32_t type = 0;
  PartialShape shape{std::vector<Dimension>{}};
  Bytes content;
  Bytes packed_floats, packed_doubles;
  std::vector<float> floats;
  std::vector<double> doubles;
  std::vector<int64_t> integers;  ///< int_val, int64_val, bool_val, half_val, uint32_val, uint64_val
  std::vector<Bytes> strings;
};

struct NameAttrMessage;

/// One attribute. Which members count follows from the operator's definition.
struct AttributeMessage {
  enum Kind { none, s_, i_, f_, b_, type_, shape_, tensor_, placeholder_, function_, list_ };
  Kind kind = none;
  Bytes s;  ///< text, or the name of the placeholder
  int64_t i = 0;
  float f = 0;
  bool b = false;
  int32_t type = 0;
  PartialShape shape;
  Bytes message;  ///< of a tensor or function
  std::vector<Bytes> strings, messages;
  std::vector<int64_t> ints;
  std::vector<float> floats;
  std::vector<int32_t> types;
  std::vector<PartialShape> shapes;
};

using RawAttributes = std::vector<std::pair<Bytes, Bytes>>;  ///< name and AttrValue, decoded when asked for

struct NodeMessage {
  Bytes name, op;
  std::vector<Bytes> inputs;
  RawAttributes attributes;
};

struct FunctionReference {
  Bytes name;
  RawAttributes attributes;
};

struct ArgumentMessage {
  Bytes name;
  int32_t type = 0;
  Bytes type_attribute;
};

struct FunctionMessage {
  Bytes name;
  std::vector<ArgumentMessage> inputs, outputs;
  std::vector<NodeMessage> nodes;
  std::vector<std::pair<Bytes, Bytes>> returns;  ///< output argument and the tensor it takes
};

struct GraphMessage {
  std::vector<NodeMessage> nodes;
  std::vector<FunctionMessage> functions;
};

struct TensorInfo {
  std::string key;
  Bytes name;  ///< "node:port"
  int32_t type = 0;
  PartialShape shape;
};

struct SignatureMessage {
  std::string key;
  std::vector<TensorInfo> inputs, outputs;  ///< sorted by key
};

struct MetaGraphMessage {
  std::vector<Bytes> tags;
  Bytes version;
  Bytes graph;
  std::vector<SignatureMessage> signatures;
  std::vector<std::pair<std::string, Bytes>> assets;  ///< tensor that holds the path of a file, name of the file
};

GraphMessage parse_graph(Bytes b);
MetaGraphMessage parse_meta_graph(Bytes b);
std::vector<Bytes> parse_saved_model(Bytes b);  ///< its MetaGraphDefs
AttributeMessage parse_attribute(Bytes b);
FunctionReference parse_function_reference(Bytes b);
TensorMessage parse_tensor(Bytes b);
PartialShape parse_shape(Bytes b);
/// Does it look like a GraphDef, a MetaGraphDef or a SavedModel? Decodes the outermost level only.
bool looks_like_graph(Bytes b);

/// The tensor of a message: mapped where its bytes are aligned, else copied. A short list of values repeats its last
/// one; where that would blow up a small file, the result is one element and `repeated` is set. Throws `Error`
/// (unreadable, unsupported).
Tensor to_tensor(const TensorMessage& m, const std::shared_ptr<const void>& owner, bool& repeated);
/// DataType to an element type; `dynamic` for resource and variant. Throws `Error` (unsupported) naming what Hone
/// lacks.
ElementType element_type_of_tf(int64_t type);
bool is_complex_type(int64_t type);
std::string name_of_tf_type(int64_t type);

}  // namespace hone::tensorflow
