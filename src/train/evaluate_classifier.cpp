#include "train/evaluate_classifier.hpp"

#include <algorithm>
#include <cmath>

#include "data/loader.hpp"
#include "hone/error.hpp"

namespace hone {

int64_t best_class(std::span<const float> scores) {
  return std::max_element(scores.begin(), scores.end()) - scores.begin();
}

Tensor as_input(const Tensor& picture, ElementType type) {
  if (picture.element_type() == type) return picture;
  if (!is_integer(type)) return picture.converted(type);
  Tensor whole = picture.clone();
  for (float& v : whole.span<float>()) v = std::nearbyint(v);
  return whole.converted(type);
}

void score_samples(CompiledGraph& model, const data::Dataset& data, const std::vector<uint32_t>& samples,
                   const data::Preprocessing& preprocessing, const ScoreSink& sink,
                   const std::function<bool(size_t, size_t)>& progress) {
  const int64_t batch = model.inputs()[0].type.shape[0].get_length();
  const ElementType taken = model.inputs()[0].type.element;
  data::LoaderOptions options;
  options.batch = batch;
  options.shuffle = false;
  options.threads = 1;
  options.cache_bytes = 0;
  data::Loader loader(data, samples, preprocessing, {}, options);
  size_t done = 0;
  while (const data::Batch* b = loader.next()) {
    Tensor images = b->images;
    if (b->size() < batch) {  // the program has one size: fill the rest with zeros
      Shape shape = images.shape();
      shape[0] = batch;
      Tensor full(images.element_type(), shape);
      std::copy_n(static_cast<const uint8_t*>(images.raw()), images.byte_size(), static_cast<uint8_t*>(full.raw()));
      images = full;
    }
    const Tensor scores = model.infer({as_input(images, taken)})[0].tensor().converted(ElementType::f32);
    const auto classes = static_cast<size_t>(scores.shape().back());
    for (size_t i = 0; i < b->samples.size(); ++i) {
      sink(b->samples[i], data.label(b->samples[i]),
           std::span<const float>(scores.data<float>() + i * classes, classes));
    }
    done += b->samples.size();
    if (progress && !progress(done, samples.size())) throw Error(ErrorCode::interrupted, "[test] interrupted");
  }
}

void set_scoring_shape(Graph& g, const data::Preprocessing& preprocessing, int64_t batch) {
  if (g.inputs().size() != 1 || g.outputs().empty())
    throw Error(ErrorCode::unsupported, "[test] a model with one input and one output is expected");
  const Value input = g.inputs()[0];
  if (!input.shape().rank_known() || input.shape().rank() != 4)
    throw Error(ErrorCode::unsupported,
                "[test] the model does not take pictures [N, C, H, W] but " + to_string(input.type()));
  PartialShape shape(preprocessing.batch_shape(input.shape()[0].is_static() ? input.shape()[0].min() : batch));
  if (!shape.compatible(input.shape())) {
    throw Error(ErrorCode::unsupported,
                "[test] the model takes " + to_string(input.type()) + ", the data give f32" + to_string(shape), "",
                "train a model for these data");
  }
  if (input.shape() != shape) g.reshape({{input.id, shape}});
}

void score_samples(const Graph& model, const data::Dataset& data, const std::vector<uint32_t>& samples,
                   const data::Preprocessing& preprocessing, const CompileOptions& options, int64_t batch,
                   const ScoreSink& sink, const std::function<bool(size_t, size_t)>& progress) {
  if (samples.empty()) return;
  Graph g = model;
  set_scoring_shape(g, preprocessing, std::min<int64_t>(batch, static_cast<int64_t>(samples.size())));
  CompiledGraph compiled = compile_model(g, options);
  score_samples(compiled, data, samples, preprocessing, sink, progress);
}

}  // namespace hone
