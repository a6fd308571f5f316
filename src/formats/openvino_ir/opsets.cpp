// Which operators OpenVINO has, and since when.
#include <algorithm>
#include <cctype>
#include <unordered_map>

#include "formats/openvino_ir/writer.hpp"
#include "formats/prepare.hpp"
#include "ops/pooling.hpp"
#include "ops/random.hpp"
#include "ops/recurrent.hpp"
#include "ops/sampling.hpp"

namespace hone::ir {
namespace {

struct OpsetRow {
  std::string_view name;
  int opset;
};
// Operators that OpenVINO has, with the set whose version means what Hone means. Set 1 where nothing else is said.
constexpr OpsetRow table[] = {
    // clang-format off
    {"Abs", 1}, {"Acos", 1}, {"Acosh", 4}, {"AdaptiveAvgPool", 8}, {"AdaptiveMaxPool", 8}, {"Add", 1}, {"Asin", 1}, {"Asinh", 4}, {"Assign", 6},
    {"Atan", 1}, {"Atanh", 4}, {"AvgPool", 14}, {"BatchNormInference", 5}, {"BatchToSpace", 2}, {"BinaryConvolution", 1}, {"BitwiseAnd", 13}, {"BitwiseLeftShift", 15},
    {"BitwiseNot", 13}, {"BitwiseOr", 13}, {"BitwiseRightShift", 15}, {"BitwiseXor", 13}, {"Broadcast", 3}, {"Bucketize", 3}, {"CTCGreedyDecoder", 1},
    {"CTCGreedyDecoderSeqLen", 6}, {"CTCLoss", 4}, {"Ceiling", 1}, {"Clamp", 1}, {"Col2Im", 15}, {"Concat", 1}, {"Constant", 1}, {"Convert", 1}, {"Convolution", 1},
    {"ConvolutionBackpropData", 1}, {"Cos", 1}, {"Cosh", 1}, {"CumSum", 3}, {"DFT", 7}, {"DeformableConvolution", 8}, {"DeformablePSROIPooling", 1},
    {"DepthToSpace", 1}, {"Divide", 1}, {"Einsum", 7}, {"Elu", 1}, {"Equal", 1}, {"Erf", 1}, {"Exp", 1},
    {"ExperimentalDetectronDetectionOutput", 6}, {"ExperimentalDetectronGenerateProposalsSingleImage", 6}, {"ExtractImagePatches", 3}, {"Eye", 9}, {"FakeQuantize", 1}, {"Floor", 1}, {"FloorMod", 1},
    {"GRUCell", 3}, {"GRUSequence", 5}, {"Gather", 8}, {"GatherElements", 6}, {"GatherND", 8}, {"GatherTree", 1}, {"Gelu", 7}, {"GenerateProposals", 9},
    {"Greater", 1}, {"GreaterEqual", 1}, {"GridSample", 9}, {"GroupConvolution", 1}, {"GroupConvolutionBackpropData", 1}, {"GroupNormalization", 12},
    {"HSigmoid", 5}, {"HSwish", 4}, {"HardSigmoid", 1}, {"IDFT", 7}, {"IRDFT", 9}, {"ISTFT", 16}, {"If", 8}, {"Interpolate", 11}, {"Inverse", 14},
    {"IsFinite", 10}, {"IsInf", 10}, {"IsNaN", 10}, {"LRN", 1}, {"LSTMCell", 4}, {"LSTMSequence", 5}, {"Less", 1}, {"LessEqual", 1}, {"Log", 1},
    {"LogSoftmax", 5}, {"LogicalAnd", 1}, {"LogicalNot", 1}, {"LogicalOr", 1}, {"LogicalXor", 1}, {"Loop", 5}, {"MVN", 6}, {"MatMul", 1},
    {"MatrixNms", 8}, {"MaxPool", 14}, {"Maximum", 1}, {"Minimum", 1}, {"Mish", 4}, {"Mod", 1}, {"MulticlassNms", 9}, {"Multiply", 1}, {"NMSRotated", 13},
    {"Negative", 1}, {"NonMaxSuppression", 9}, {"NonZero", 3}, {"NormalizeL2", 1}, {"NotEqual", 1}, {"OneHot", 1}, {"PRelu", 1}, {"PSROIPooling", 1},
    {"Pad", 12}, {"Parameter", 1}, {"Power", 1}, {"Proposal", 4}, {"RDFT", 9}, {"RNNCell", 3}, {"RNNSequence", 5}, {"RandomUniform", 8}, {"ROIAlign", 9},
    {"ROIAlignRotated", 15}, {"ROIPooling", 2}, {"Range", 4}, {"ReadValue", 6}, {"ReduceL1", 4}, {"ReduceL2", 4}, {"ReduceLogicalAnd", 1},
    {"ReduceLogicalOr", 1}, {"ReduceMax", 1}, {"ReduceMean", 1}, {"ReduceMin", 1}, {"ReduceProd", 1}, {"ReduceSum", 1}, {"Relu", 1}, {"ReorgYolo", 2},
    {"Reshape", 1}, {"Result", 1}, {"Reverse", 1}, {"ReverseSequence", 1}, {"Roll", 7}, {"Round", 5}, {"STFT", 15}, {"ScaledDotProductAttention", 13},
    {"ScatterElementsUpdate", 12}, {"ScatterNDUpdate", 15}, {"ScatterUpdate", 3}, {"SearchSorted", 15}, {"Select", 1}, {"Selu", 1}, {"ShapeOf", 3},
    {"ShuffleChannels", 3}, {"Sigmoid", 1}, {"Sign", 1}, {"Sin", 1}, {"Sinh", 1}, {"Slice", 8}, {"SoftPlus", 4}, {"SoftSign", 9}, {"Softmax", 8},
    {"SpaceToBatch", 2}, {"SpaceToDepth", 1}, {"SparseFillEmptyRows", 16}, {"Split", 1}, {"Sqrt", 1}, {"SquaredDifference", 1}, {"Squeeze", 1},
    {"StridedSlice", 1}, {"StringTensorPack", 15}, {"StringTensorUnpack", 15}, {"Subtract", 1}, {"Swish", 4}, {"Tan", 1}, {"Tanh", 1}, {"Tile", 1},
    {"TopK", 11}, {"Transpose", 1}, {"Unique", 10}, {"Unsqueeze", 1}, {"VariadicSplit", 1},
    // clang-format on
};

}  // namespace

int opset_of(std::string_view op) {
  static const auto index = [] {
    std::unordered_map<std::string_view, int> m;
    for (const OpsetRow& r : table) m.emplace(r.name, r.opset);
    return m;
  }();
  const auto it = index.find(op);
  return it == index.end() ? 0 : it->second;
}

namespace {

// Recurrent operators as OpenVINO has them: the activations its plugins know, the same for both directions, every input
// there.
template <class Op>
bool plain_recurrent(const Node& node, size_t inputs, size_t activations) {
  const Op* op = node.as<Op>();
  if (!op) return true;
  const auto known = [](const std::string& name) {
    std::string lower;
    for (char c : name) lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return lower == "sigmoid" || lower == "tanh" || lower == "relu";
  };
  if (op->activations.size() != activations || !std::all_of(op->activations.begin(), op->activations.end(), known))
    return false;
  if constexpr (requires { op->input_forget; }) {
    if (op->input_forget) return false;
  }
  if (node.num_inputs() != inputs) return false;
  for (size_t i = 0; i < inputs; ++i) {
    if (!node.input(i)) return false;
  }
  return true;
}

// Attributes and inputs that Hone has and OpenVINO lacks.
bool has_counterpart(const Graph& g, NodeId id) {
  const Node node = g.handle(id);
  if (const auto* op = node.as<AvgPool>()) {
    return std::all_of(op->dilations.begin(), op->dilations.end(), [](int64_t d) { return d == 1; });
  }
  if (const auto* op = node.as<RandomUniform>()) {
    // Seeds stand for a state that is known and begins; OpenVINO has no bf16 there.
    const Tensor state = node.input(3).constant();
    return state && state.size() == 2 && get_integer(state, 1) == 0 && node.output(1).uses().empty() &&
           op->output_type != ElementType::bf16;
  }
  if (const auto* op = node.as<ROIAlign>()) return op->mode != RoiMode::max_neighbour;
  if (node.is<GridSample>()) return !node.input(0).shape().rank_known() || node.input(0).shape().rank() == 4;
  return plain_recurrent<LSTMCell>(node, 6, 3) && plain_recurrent<GRUCell>(node, 5, 2) &&
         plain_recurrent<RNNCell>(node, 5, 1) && plain_recurrent<LSTMSequence>(node, 7, 3) &&
         plain_recurrent<GRUSequence>(node, 6, 2) && plain_recurrent<RNNSequence>(node, 6, 1);
}

}  // namespace

Graph prepared_for_ir(const Graph& g) {
  FormatRules rules;
  rules.name = "OpenVINO";
  rules.has = [](const Graph& graph, NodeId id) {
    if (graph.node(id).op->name == "Custom") return true;
    return opset_of(graph.node(id).op->name) > 0 && has_counterpart(graph, id);
  };
  rules.fake_quantize = true;
  rules.state = true;
  rules.whole_sequences = true;
  return prepared_for(g, rules);
}

}  // namespace hone::ir
