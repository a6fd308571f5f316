// The graph of a `torch.export` archive as messages: what the JSON says, checked in form, without meaning.
//
// Schema: torch/_export/serde/schema.py, versions 5 (PyTorch 2.3) to 8 (2.15); fields are only added within a version.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hone::pytorch {

struct GraphMessage;

struct Argument {
  enum class Kind { none, tensor, symbol, integer, real, boolean, complex, text, list, scalar_type, graph, other };
  Kind kind = Kind::none;
  std::string text;     ///< name of a tensor, symbol or graph; text; key of another kind
  int64_t integer = 0;  ///< also boolean, scalar type
  double real = 0, imaginary = 0;
  std::vector<Argument> list;
  std::shared_ptr<const GraphMessage> graph;

  bool is_none() const { return kind == Kind::none; }
};

struct NamedArgument {
  std::string name;
  Argument value;
};

struct NodeMessage {
  std::string target;  ///< `torch.ops.aten.add.Tensor`
  std::vector<NamedArgument> inputs;
  std::vector<Argument> outputs;
  std::string name;
};

/// A size: a number, a symbol, or an expression of which nothing is known.
struct SizeMessage {
  int64_t number = -1;
  std::string symbol;
};

struct TensorMessage {
  int64_t dtype = 0;
  std::vector<SizeMessage> sizes, strides;
  SizeMessage storage_offset{0, {}};
};

struct GraphMessage {
  std::vector<Argument> inputs, outputs;
  std::vector<NodeMessage> nodes;
  std::map<std::string, TensorMessage, std::less<>> tensors;
};

struct InputSpec {
  enum class Kind { user, parameter, buffer, constant, literal, other };
  Kind kind = Kind::user;
  Argument argument;   ///< the graph's name for it; a literal's value
  std::string target;  ///< name of the parameter, buffer or constant
};
struct OutputSpec {
  enum class Kind { user, buffer_mutation, input_mutation, other };
  Kind kind = Kind::user;
  Argument argument;
  std::string target;
};
struct SymbolRange {
  std::optional<int64_t> min, max;
};

struct ProgramMessage {
  GraphMessage graph;
  std::vector<InputSpec> inputs;
  std::vector<OutputSpec> outputs;
  std::map<std::string, SymbolRange> ranges;  ///< of symbols
  std::string torch_version;
};

/// Throws `Error`: unreadable (malformed JSON or form), unsupported (another schema version).
ProgramMessage parse_program(std::string_view json);

/// Where the bytes of a named tensor lie in the archive.
struct PayloadMessage {
  std::string path;
  bool pickled = false;
  TensorMessage meta;
};
std::map<std::string, PayloadMessage> parse_payloads(std::string_view json);

}  // namespace hone::pytorch
