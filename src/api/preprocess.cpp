#include "hone/preprocess.hpp"

#include <algorithm>

#include "api/ports.hpp"
#include "passes/pre_post_process.hpp"

namespace hone::preprocess {
namespace {

PixelFormat pixel_format(ColorFormat f) {
  switch (f) {
    case ColorFormat::RGB:
      return PixelFormat::rgb;
    case ColorFormat::BGR:
      return PixelFormat::bgr;
    case ColorFormat::GRAY:
      return PixelFormat::gray;
    case ColorFormat::RGBX:
      return PixelFormat::rgbx;
    case ColorFormat::BGRX:
      return PixelFormat::bgrx;
    default:
      return PixelFormat::undefined;
  }
}

InterpolateMode interpolate_mode(ResizeAlgorithm a) {
  switch (a) {
    case ResizeAlgorithm::RESIZE_CUBIC:
      return InterpolateMode::cubic;
    case ResizeAlgorithm::RESIZE_NEAREST:
      return InterpolateMode::nearest;
    case ResizeAlgorithm::RESIZE_BILINEAR_PILLOW:
      return InterpolateMode::bilinear_pillow;
    case ResizeAlgorithm::RESIZE_BICUBIC_PILLOW:
      return InterpolateMode::bicubic_pillow;
    default:
      return InterpolateMode::linear;
  }
}

PadMode pad_mode(PaddingMode m) {
  switch (m) {
    case PaddingMode::EDGE:
      return PadMode::edge;
    case PaddingMode::REFLECT:
      return PadMode::reflect;
    case PaddingMode::SYMMETRIC:
      return PadMode::symmetric;
    default:
      return PadMode::constant;
  }
}

// Adds a step and returns the object that was asked.
template <class Self, class Process, class Step>
Self& add(Self& self, Process& process, Step step) {
  process.steps.emplace_back(std::in_place_type<Step>, std::move(step));
  return self;
}

}  // namespace

InputTensorInfo::InputTensorInfo(std::shared_ptr<InputProcess> process) : process_(std::move(process)) {}
InputTensorInfo& InputTensorInfo::set_element_type(ElementType type) {
  process_->element = type;
  return *this;
}
InputTensorInfo& InputTensorInfo::set_layout(const std::string& layout) {
  process_->layout = DimensionNames(layout);
  return *this;
}
InputTensorInfo& InputTensorInfo::set_shape(const PartialShape& shape) {
  process_->shape = shape;
  return *this;
}
InputTensorInfo& InputTensorInfo::set_spatial_static_shape(int64_t height, int64_t width) {
  if (height <= 0 || width <= 0)
    throw Error(ErrorCode::usage,
                "[preprocess] a picture of " + std::to_string(height) + " x " + std::to_string(width) + " pixels");
  process_->height = height;
  process_->width = width;
  return *this;
}
InputTensorInfo& InputTensorInfo::set_spatial_dynamic_shape() {
  process_->height = process_->width = Dimension();
  return *this;
}
InputTensorInfo& InputTensorInfo::set_color_format(ColorFormat format) {
  process_->color = pixel_format(format);
  return *this;
}

PreProcessSteps::PreProcessSteps(std::shared_ptr<InputProcess> process) : process_(std::move(process)) {}
PreProcessSteps& PreProcessSteps::convert_element_type(ElementType type) {
  return add(*this, *process_, ConvertElementTypeStep{type});
}
PreProcessSteps& PreProcessSteps::convert_layout(const std::string& layout) {
  return add(*this, *process_, ConvertLayoutStep{DimensionNames(layout), {}});
}
PreProcessSteps& PreProcessSteps::convert_layout(const std::vector<int64_t>& order) {
  return add(*this, *process_, ConvertLayoutStep{{}, order});
}
PreProcessSteps& PreProcessSteps::reverse_channels() {
  return add(*this, *process_, ReverseChannelsStep{});
}
PreProcessSteps& PreProcessSteps::convert_color(ColorFormat format) {
  return add(*this, *process_, ConvertColorStep{pixel_format(format)});
}
PreProcessSteps& PreProcessSteps::resize(ResizeAlgorithm algorithm, int64_t height, int64_t width) {
  return add(*this, *process_, ResizeStep{interpolate_mode(algorithm), height, width});
}
PreProcessSteps& PreProcessSteps::crop(const std::vector<int64_t>& begin, const std::vector<int64_t>& end) {
  return add(*this, *process_, CropStep{begin, end});
}
PreProcessSteps& PreProcessSteps::pad(const std::vector<int64_t>& begin, const std::vector<int64_t>& end, double value,
                                      PaddingMode mode) {
  return add(*this, *process_, PadStep{begin, end, value, pad_mode(mode)});
}
PreProcessSteps& PreProcessSteps::mean(float value) {
  return mean(std::vector<float>{value});
}
PreProcessSteps& PreProcessSteps::mean(const std::vector<float>& values) {
  return add(*this, *process_, MeanStep{values});
}
PreProcessSteps& PreProcessSteps::scale(float value) {
  return scale(std::vector<float>{value});
}
PreProcessSteps& PreProcessSteps::scale(const std::vector<float>& values) {
  return add(*this, *process_, ScaleStep{values});
}
PreProcessSteps& PreProcessSteps::clamp(double min, double max) {
  return add(*this, *process_, ClampStep{min, max});
}

InputModelInfo::InputModelInfo(std::shared_ptr<InputProcess> process) : process_(std::move(process)) {}
InputModelInfo& InputModelInfo::set_layout(const std::string& layout) {
  process_->model_layout = DimensionNames(layout);
  return *this;
}

InputInfo::InputInfo(std::shared_ptr<InputProcess> process) : tensor_(process), steps_(process), model_(process) {}

OutputTensorInfo::OutputTensorInfo(std::shared_ptr<OutputProcess> process) : process_(std::move(process)) {}
OutputTensorInfo& OutputTensorInfo::set_element_type(ElementType type) {
  process_->element = type;
  return *this;
}
OutputTensorInfo& OutputTensorInfo::set_layout(const std::string& layout) {
  process_->layout = DimensionNames(layout);
  return *this;
}

PostProcessSteps::PostProcessSteps(std::shared_ptr<OutputProcess> process) : process_(std::move(process)) {}
PostProcessSteps& PostProcessSteps::convert_element_type(ElementType type) {
  return add(*this, *process_, ConvertElementTypeStep{type});
}
PostProcessSteps& PostProcessSteps::convert_layout(const std::string& layout) {
  return add(*this, *process_, ConvertLayoutStep{DimensionNames(layout), {}});
}
PostProcessSteps& PostProcessSteps::convert_layout(const std::vector<int64_t>& order) {
  return add(*this, *process_, ConvertLayoutStep{{}, order});
}
PostProcessSteps& PostProcessSteps::clamp(double min, double max) {
  return add(*this, *process_, ClampStep{min, max});
}

OutputModelInfo::OutputModelInfo(std::shared_ptr<OutputProcess> process) : process_(std::move(process)) {}
OutputModelInfo& OutputModelInfo::set_layout(const std::string& layout) {
  process_->model_layout = DimensionNames(layout);
  return *this;
}

OutputInfo::OutputInfo(std::shared_ptr<OutputProcess> process) : model_(process), steps_(process), tensor_(process) {}

struct PrePostProcessor::Impl {
  struct In {
    std::shared_ptr<InputProcess> process = std::make_shared<InputProcess>();
    InputInfo info{process};
  };
  struct Out {
    std::shared_ptr<OutputProcess> process = std::make_shared<OutputProcess>();
    OutputInfo info{process};
  };
  Model model;
  std::vector<std::unique_ptr<In>> inputs;
  std::vector<std::unique_ptr<Out>> outputs;
};

PrePostProcessor::PrePostProcessor(const Model& model) : impl_(std::make_unique<Impl>()) {
  impl_->model = model;
  for (size_t i = 0; i < model.graph().parameters().size(); ++i) impl_->inputs.push_back(std::make_unique<Impl::In>());
  for (size_t i = 0; i < model.graph().results().size(); ++i) impl_->outputs.push_back(std::make_unique<Impl::Out>());
}
PrePostProcessor::~PrePostProcessor() = default;

InputInfo& PrePostProcessor::input() {
  if (impl_->inputs.size() != 1)
    throw Error(ErrorCode::usage, "[preprocess] the model has " + std::to_string(impl_->inputs.size()) + " inputs", "",
                "name one");
  return impl_->inputs[0]->info;
}
OutputInfo& PrePostProcessor::output() {
  if (impl_->outputs.size() != 1)
    throw Error(ErrorCode::usage, "[preprocess] the model has " + std::to_string(impl_->outputs.size()) + " outputs",
                "", "name one");
  return impl_->outputs[0]->info;
}
InputInfo& PrePostProcessor::input(size_t index) {
  if (index >= impl_->inputs.size()) throw Error(ErrorCode::usage, "[preprocess] no input " + std::to_string(index));
  return impl_->inputs[index]->info;
}
InputInfo& PrePostProcessor::input(const std::string& name) {
  const Graph& g = impl_->model.graph();
  const NodeId node = find_input(g, name).node().id;
  const auto& all = g.parameters();
  return input(static_cast<size_t>(std::find(all.begin(), all.end(), node) - all.begin()));
}
OutputInfo& PrePostProcessor::output(size_t index) {
  if (index >= impl_->outputs.size()) throw Error(ErrorCode::usage, "[preprocess] no output " + std::to_string(index));
  return impl_->outputs[index]->info;
}
OutputInfo& PrePostProcessor::output(const std::string& name) {
  const auto ports = impl_->model.outputs();
  std::string all;
  for (size_t i = 0; i < ports.size(); ++i) {
    if (ports[i].name == name || std::find(ports[i].names.begin(), ports[i].names.end(), name) != ports[i].names.end())
      return output(i);
    all += (i ? ", " : "") + ports[i].name;
  }
  throw Error(ErrorCode::usage, "[preprocess] no output '" + name + "'", "", "the outputs are " + all);
}

Model PrePostProcessor::build() {
  Graph& g = impl_->model.graph();
  Transaction whole(g);
  for (size_t i = 0; i < impl_->inputs.size(); ++i) add_preprocessing(g, g.inputs()[i], *impl_->inputs[i]->process);
  for (size_t i = 0; i < impl_->outputs.size(); ++i) add_postprocessing(g, g.results()[i], *impl_->outputs[i]->process);
  whole.commit();
  // Built once: what is asked for from now on is asked of the model as it is now.
  for (auto& in : impl_->inputs) *in->process = {};
  for (auto& out : impl_->outputs) *out->process = {};
  return impl_->model;
}

}  // namespace hone::preprocess
