// Steps in front of a model's inputs and behind its outputs, built into the graph as operators: the rewrite behind
// PrePostProcessor and the switches of `hone convert`. Meaning and order are those of OpenVINO 2.0's `ov::preprocess`.
#pragma once
#include <optional>
#include <variant>
#include <vector>

#include "graph/graph.hpp"
#include "ops/movement.hpp"
#include "ops/resize.hpp"
#include "passes/dimension_names.hpp"

namespace hone {

/// What the channels of a picture are.
enum class PixelFormat { undefined, rgb, bgr, gray, rgbx, bgrx };
const char* name_of(PixelFormat f);

struct ConvertElementTypeStep {
  ElementType to = ElementType::dynamic;  ///< dynamic: the model's own (inputs), the tensor's (outputs)
};
/// By names, or by the order of axes where `order` is not empty. Both empty: to the names of the other end.
struct ConvertLayoutStep {
  DimensionNames to;
  std::vector<int64_t> order;
};
struct ReverseChannelsStep {};
struct ConvertColorStep {
  PixelFormat to = PixelFormat::undefined;
};
/// Along H and W; sizes of 0 are the model's.
struct ResizeStep {
  InterpolateMode mode = InterpolateMode::linear;
  int64_t height = 0, width = 0;
};
struct CropStep {
  std::vector<int64_t> begin, end;  ///< one an axis; negative: from the end
};
struct PadStep {
  std::vector<int64_t> begin, end;  ///< one an axis; negative: cut off
  double value = 0;
  PadMode mode = PadMode::constant;
};
/// x - mean, x / scale: one value, or one a channel.
struct MeanStep {
  std::vector<float> values;
};
struct ScaleStep {
  std::vector<float> values;
};
struct ClampStep {
  double min = 0, max = 0;
};
using ProcessStep = std::variant<ConvertElementTypeStep, ConvertLayoutStep, ReverseChannelsStep, ConvertColorStep,
                                 ResizeStep, CropStep, PadStep, MeanStep, ScaleStep, ClampStep>;

/// What the user's tensor is, the steps, and what the model's own input is. What is not given is taken from the model.
struct InputProcess {
  std::optional<ElementType> element;
  std::optional<PartialShape> shape;
  std::optional<Dimension> height, width;  ///< in place of the model's own; not with `shape`
  DimensionNames layout, model_layout;
  PixelFormat color = PixelFormat::undefined;
  std::vector<ProcessStep> steps;
};
/// What the model gives, the steps, and what the user's tensor is.
struct OutputProcess {
  DimensionNames model_layout, layout;
  std::optional<ElementType> element;
  std::vector<ProcessStep> steps;  ///< element type, layout, clamp
};

/// The parameter takes what `p` says and keeps its place and names; the steps lead from it to its users, with a
/// conversion of type and layout at the end where they are still needed. Throws `Error` (usage) naming the input, with
/// the graph as before.
void add_preprocessing(Graph& g, Value input, const InputProcess& p);
/// The result keeps its place and names and gives what `p` says.
void add_postprocessing(Graph& g, NodeId result, const OutputProcess& p);

}  // namespace hone
