// Preprocessing and postprocessing built into a model. Names and meaning follow OpenVINO 2.0's ov::preprocess:
//     PrePostProcessor p(model);
//     p.input().tensor().set_element_type(ElementType::u8).set_layout("NHWC").set_color_format(ColorFormat::BGR).set_spatial_static_shape(480,
//     640);
//     p.input().preprocess().convert_element_type(ElementType::f32).convert_color(ColorFormat::RGB).resize(ResizeAlgorithm::RESIZE_LINEAR).scale(255);
//     p.input().model().set_layout("NCHW");
//     p.build();
//
// A layout is text: one letter a dimension, `?` for one without a name, `...` for any number of them. Steps run in the
// order in which they are called, first on the tensor as the user gives it; a conversion of type and layout is added at
// the end where it is still needed.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "hone/model.hpp"

namespace hone {
struct InputProcess;
struct OutputProcess;
}  // namespace hone

namespace hone::preprocess {

/// Filters of `resize`, with half-pixel centres. LINEAR, CUBIC (coefficient -0.75) and NEAREST (rounds half down) take
/// the nearest elements only; the PILLOW filters average over what an element of the result covers, as the Python
/// library does.
enum class ResizeAlgorithm {
  RESIZE_LINEAR,
  RESIZE_CUBIC,
  RESIZE_NEAREST,
  RESIZE_BILINEAR_PILLOW,
  RESIZE_BICUBIC_PILLOW
};
/// What the channels are; X is a fourth channel that is ignored.
enum class ColorFormat { UNDEFINED, RGB, BGR, GRAY, RGBX, BGRX };
/// What stands outside of the tensor: a value, its border, its mirror image without or with the border element.
enum class PaddingMode { CONSTANT, EDGE, REFLECT, SYMMETRIC };

/// The tensor as the user gives it. What is not set is as the model has it. Every function returns the object itself;
/// none fails before `build`, unless it says so. One thread at a time.
class HONE_API InputTensorInfo {
 public:
  /// For the library.
  explicit InputTensorInfo(std::shared_ptr<InputProcess> process);
  /// What the elements are; a conversion to the model's type follows where no step makes it.
  InputTensorInfo& set_element_type(ElementType type);
  /// Throws `Error` (usage) where the text is no layout.
  InputTensorInfo& set_layout(const std::string& layout);
  /// The whole shape, in the tensor's own layout.
  InputTensorInfo& set_shape(const PartialShape& shape);
  /// Height and width in pixels; wants a layout with H and W. Throws `Error` (usage) unless both are above 0.
  InputTensorInfo& set_spatial_static_shape(int64_t height, int64_t width);
  /// Any height and width.
  InputTensorInfo& set_spatial_dynamic_shape();
  /// What the channels are: where `convert_color` starts.
  InputTensorInfo& set_color_format(ColorFormat format);

 private:
  std::shared_ptr<InputProcess> process_;
};

/// The steps between the tensor and the model, in the order of the calls. Every function returns the object itself;
/// steps that do not fit are refused by `build`. One thread at a time.
class HONE_API PreProcessSteps {
 public:
  /// For the library.
  explicit PreProcessSteps(std::shared_ptr<InputProcess> process);
  /// To the type named, or the model's. Float to integer truncates toward zero and saturates.
  PreProcessSteps& convert_element_type(ElementType type = ElementType::dynamic);
  /// To the layout named, or the model's.
  PreProcessSteps& convert_layout(const std::string& layout = {});
  /// `order[i]` is the axis that becomes axis i.
  PreProcessSteps& convert_layout(const std::vector<int64_t>& order);
  /// Channels from last to first; wants a layout with C and a known number of channels.
  PreProcessSteps& reverse_channels();
  /// From the tensor's colour format: drops X, exchanges red and blue, or makes GRAY = 0.299 R + 0.587 G + 0.114 B
  /// (ITU-R BT.601; integers are rounded half to even).
  PreProcessSteps& convert_color(ColorFormat format);
  /// Along H and W, to sizes in pixels or to what the model takes.
  PreProcessSteps& resize(ResizeAlgorithm algorithm, int64_t height = 0, int64_t width = 0);
  /// Elements `begin` (included) to `end` (excluded) of every axis; negative numbers count from the end.
  PreProcessSteps& crop(const std::vector<int64_t>& begin, const std::vector<int64_t>& end);
  /// That many elements in front of and behind every axis; negative numbers cut off.
  PreProcessSteps& pad(const std::vector<int64_t>& begin, const std::vector<int64_t>& end, double value,
                       PaddingMode mode);
  /// x - mean: one value, or one a channel (wants a layout with C). The element type must be a float.
  PreProcessSteps& mean(float value);
  /// The same with a value a channel.
  PreProcessSteps& mean(const std::vector<float>& values);
  /// x / scale: one value, or one a channel (wants a layout with C), none of them 0. The element type must be a float.
  PreProcessSteps& scale(float value);
  /// The same with a value a channel.
  PreProcessSteps& scale(const std::vector<float>& values);
  /// Into [min, max].
  PreProcessSteps& clamp(double min, double max);

 private:
  std::shared_ptr<InputProcess> process_;
};

/// The model's own input.
class HONE_API InputModelInfo {
 public:
  /// For the library.
  explicit InputModelInfo(std::shared_ptr<InputProcess> process);
  /// What the dimensions of the model's input are. Throws `Error` (usage) where the text is no layout.
  InputModelInfo& set_layout(const std::string& layout);

 private:
  std::shared_ptr<InputProcess> process_;
};

/// Everything about one input: the user's tensor, the steps, the model's own input.
class HONE_API InputInfo {
 public:
  /// For the library.
  explicit InputInfo(std::shared_ptr<InputProcess> process);
  /// The user's tensor.
  InputTensorInfo& tensor() { return tensor_; }
  /// The steps.
  PreProcessSteps& preprocess() { return steps_; }
  /// The model's own input.
  InputModelInfo& model() { return model_; }

 private:
  InputTensorInfo tensor_;
  PreProcessSteps steps_;
  InputModelInfo model_;
};

/// The tensor as the user gets it. What is not set is as the steps leave it.
class HONE_API OutputTensorInfo {
 public:
  /// For the library.
  explicit OutputTensorInfo(std::shared_ptr<OutputProcess> process);
  /// What the elements shall be; a conversion is added where no step makes it.
  OutputTensorInfo& set_element_type(ElementType type);
  /// Throws `Error` (usage) where the text is no layout.
  OutputTensorInfo& set_layout(const std::string& layout);

 private:
  std::shared_ptr<OutputProcess> process_;
};

/// The steps between the model and the user's tensor, in the order of the calls.
class HONE_API PostProcessSteps {
 public:
  /// For the library.
  explicit PostProcessSteps(std::shared_ptr<OutputProcess> process);
  /// To the type named, or the tensor's.
  PostProcessSteps& convert_element_type(ElementType type = ElementType::dynamic);
  /// To the layout named, or the tensor's.
  PostProcessSteps& convert_layout(const std::string& layout = {});
  /// `order[i]` is the axis that becomes axis i.
  PostProcessSteps& convert_layout(const std::vector<int64_t>& order);
  /// Into [min, max].
  PostProcessSteps& clamp(double min, double max);

 private:
  std::shared_ptr<OutputProcess> process_;
};

/// The model's own output.
class HONE_API OutputModelInfo {
 public:
  /// For the library.
  explicit OutputModelInfo(std::shared_ptr<OutputProcess> process);
  /// What the dimensions of the model's output are. Throws `Error` (usage) where the text is no layout.
  OutputModelInfo& set_layout(const std::string& layout);

 private:
  std::shared_ptr<OutputProcess> process_;
};

/// Everything about one output: the model's own, the steps, the user's tensor.
class HONE_API OutputInfo {
 public:
  /// For the library.
  explicit OutputInfo(std::shared_ptr<OutputProcess> process);
  /// The model's own output.
  OutputModelInfo& model() { return model_; }
  /// The steps.
  PostProcessSteps& postprocess() { return steps_; }
  /// The user's tensor.
  OutputTensorInfo& tensor() { return tensor_; }

 private:
  OutputModelInfo model_;
  PostProcessSteps steps_;
  OutputTensorInfo tensor_;
};

/// Collects what is wanted for the inputs and outputs of a model and builds it in. One thread at a time.
class HONE_API PrePostProcessor {
 public:
  /// `build` changes this model and its copies; pass `model.clone()` to keep it.
  explicit PrePostProcessor(const Model& model);
  ~PrePostProcessor();
  PrePostProcessor(const PrePostProcessor&) = delete;
  PrePostProcessor& operator=(const PrePostProcessor&) = delete;
  /// The only input. Throws `Error` (usage) where there are several.
  InputInfo& input();
  /// The only output. Throws `Error` (usage) where there are several.
  OutputInfo& output();
  /// By position, from 0, or by tensor name. Throws `Error` (usage) where there is none. References stay valid as long
  /// as the processor.
  InputInfo& input(size_t index);
  InputInfo& input(const std::string& name);    ///< by tensor name
  OutputInfo& output(size_t index);             ///< by position
  OutputInfo& output(const std::string& name);  ///< by tensor name
  /// Builds the steps into the model's graph as operators and returns the model. Inputs and outputs keep their names
  /// and places. Throws `Error` (usage) naming the input or output and the step; the model is then as before. Steps are
  /// built once.
  Model build();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hone::preprocess
