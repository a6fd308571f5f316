#include <algorithm>
#include <cmath>
#include <filesystem>

#include "api/cached_model.hpp"
#include "api/job_support.hpp"
#include "graph/builder.hpp"
#include "hone/error.hpp"
#include "passes/batch.hpp"
#include "train/evaluate_classifier.hpp"

namespace hone {
namespace {

// A frame in the colour of the confidence, from red to green: what a glance needs.
void draw(const std::string& file, const std::string& folder, const Prediction& best) {
  data::Image image = data::read_image(file);
  data::Image rgb(image.width(), image.height(), 3);
  for (int y = 0; y < image.height(); ++y) {
    for (int x = 0; x < image.width(); ++x) {
      for (int c = 0; c < 3; ++c) rgb.pixel(x, y)[c] = image.pixel(x, y)[image.channels() >= 3 ? c : 0];
    }
  }
  const int width = std::max(2, std::min(image.width(), image.height()) / 40);
  for (int y = 0; y < rgb.height(); ++y) {
    for (int x = 0; x < rgb.width(); ++x) {
      if (x >= width && y >= width && x < rgb.width() - width && y < rgb.height() - width) continue;
      rgb.pixel(x, y)[0] = static_cast<uint8_t>(255 * (1 - best.score));
      rgb.pixel(x, y)[1] = static_cast<uint8_t>(200 * best.score);
      rgb.pixel(x, y)[2] = 0;
    }
  }
  std::string label;
  for (char c : best.label) label += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  data::write_image(
      (std::filesystem::path(folder) / (std::filesystem::path(file).stem().string() + "." + label + ".png")).string(),
      rgb);
}

}  // namespace

std::vector<FilePredictions> predict(const PredictOptions& o) {
  // A program is all that is left of some models: its input stands for theirs.
  const auto info_of = [&](const std::map<std::string, std::string>& info, const Type& input) {
    Graph carrier;
    Builder(carrier).parameter(input);
    carrier.info = info;
    return classifier_info(carrier, o.model, o.picture, o.labels, "predict");
  };
  ModelJob job;
  job.path = o.model;
  job.precision = o.precision;
  job.question = "one picture " + o.picture.layout + "\n";
  const auto one_picture = [](const ModelInfo& i) { return PartialShape(i.preprocessing.batch_shape(1)); };
  job.choose = [&](const Graph& g) { return choose_precision(o.precision, g, o.model); };
  job.prepare = [&](Graph& g) {
    if (g.inputs().size() != 1)
      throw Error(ErrorCode::unsupported, "[predict] a model with one input is expected", o.model);
    const ModelInfo info = classifier_info(g, o.model, o.picture, o.labels, "predict");
    reshape_with_batch(g, {{g.inputs()[0].id, one_picture(info)}});
  };
  job.accepts = [&](const Program& p, const std::map<std::string, std::string>& info) {
    if (p.inputs.size() != 1) return false;
    const PartialShape input(p[p.inputs[0].tensor].shape);
    return input == one_picture(info_of(info, Type{ElementType::f32, input}));
  };
  job.options.threads = o.threads;
  job.cache_folder = cache_folder(o.cache);
  LoadedModel model = load_model(job);
  CompiledGraph& compiled = model.compiled;
  const ModelInfo info = info_of(model.info, Type{model.inputs[0].element_type, model.inputs[0].partial_shape});
  const bool probabilities = model.last_operator == "Softmax";
  if (!o.draw.empty()) make_folder(o.draw);
  std::vector<FilePredictions> out;
  const ElementType taken =
      model.inputs[0].element_type;  // bytes where the rest of the preprocessing is part of the graph
  for (const std::string& file : o.files) {
    const Tensor y =
        compiled.infer({as_input(info.preprocessing.apply_file(file), taken)})[0].tensor().converted(ElementType::f32);
    std::vector<double> score = y.to_doubles();
    if (!probabilities) {
      const double top = *std::max_element(score.begin(), score.end());
      double sum = 0;
      for (double& s : score) sum += s = std::exp(s - top);
      for (double& s : score) s /= sum;
    }
    std::vector<size_t> order(score.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return score[a] > score[b]; });
    FilePredictions f{file, {}};
    for (size_t k = 0; k < std::min<size_t>(static_cast<size_t>(o.top), order.size()); ++k) {
      f.predictions.push_back(
          {order[k] < info.labels.size() ? info.labels[order[k]] : std::to_string(order[k]), score[order[k]]});
    }
    if (!o.draw.empty()) draw(file, o.draw, f.predictions[0]);
    out.push_back(std::move(f));
  }
  return out;
}

}  // namespace hone
