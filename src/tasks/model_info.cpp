#include "tasks/model_info.hpp"

#include <nlohmann/json.hpp>
#include <sstream>

#include "hone/error.hpp"
#include "tensor/fields.hpp"

namespace hone {
namespace {

using nlohmann::json;

std::string joined(const std::vector<double>& v) {
  std::string s;
  for (double x : v) {
    std::ostringstream o;
    o.precision(17);
    o << x;
    s += (s.empty() ? "" : " ") + o.str();
  }
  return s;
}

std::vector<double> numbers(const std::string& s) {
  std::vector<double> v;
  std::istringstream in(s);
  for (double x; in >> x;) v.push_back(x);
  return v;
}

// Labels of the Model API are separated by blanks; blanks inside become underscores there, so the exact ones stand in
// hone/labels too.
std::string label_list(const std::vector<std::string>& labels) {
  std::string s;
  for (std::string l : labels) {
    for (char& c : l) c = c == ' ' ? '_' : c;
    s += (s.empty() ? "" : " ") + l;
  }
  return s;
}

// An ONNX file carries them as its own metadata, which its reader keeps apart.
const std::string* find(const Graph& g, const char* key) {
  auto it = g.info.find(key);
  if (it == g.info.end()) it = g.info.find(std::string("onnx/") + key);
  return it == g.info.end() ? nullptr : &it->second;
}

}  // namespace

void store_info(Graph& g, const ModelInfo& info) {
  data::Preprocessing p = info.preprocessing;
  FieldPrinter printer;
  visit_fields(p, printer);
  json fields = json::object();
  for (const auto& [k, v] : printer.take()) fields[k] = v;
  json metrics = json::object();
  for (const auto& [precision, m] : info.metrics) {
    metrics[precision] = {{"name", m.name}, {"value", m.value}, {"ci95", {m.low, m.high}}, {"samples", m.samples}};
  }
  g.info["hone/task"] = info.task;
  g.info["hone/labels"] = json(info.labels).dump(-1, ' ', false, json::error_handler_t::replace);
  g.info["hone/preprocessing"] = fields.dump();
  g.info["hone/data"] = info.data;
  g.info["hone/data_revision"] = info.data_revision;
  g.info["hone/split"] = info.split;
  g.info["hone/metrics"] = metrics.dump();
  g.info["model_info/model_type"] = "Classification";
  g.info["model_info/labels"] = label_list(info.labels);
  if (!p.mean.empty()) g.info["model_info/mean_values"] = joined(p.mean);
  if (!p.scale.empty()) g.info["model_info/scale_values"] = joined(p.scale);
  g.info["model_info/reverse_input_channels"] = p.color == data::ColorOrder::bgr ? "True" : "False";
  g.info["model_info/resize_type"] = p.resize == data::ResizeRule::crop        ? "crop"
                                     : p.resize == data::ResizeRule::letterbox ? "fit_to_window_letterbox"
                                                                               : "standard";
}

std::optional<ModelInfo> load_info(const Graph& g) {
  ModelInfo info;
  try {
    if (const auto* fields = find(g, "hone/preprocessing")) {
      std::vector<std::pair<std::string, std::string>> values;
      const json stored = json::parse(*fields);
      for (const auto& [k, v] : stored.items()) values.emplace_back(k, v.get<std::string>());
      FieldParser parser(values);
      visit_fields(info.preprocessing, parser);
      if (const auto* v = find(g, "hone/task")) info.task = *v;
      if (const auto* v = find(g, "hone/labels")) info.labels = json::parse(*v).get<std::vector<std::string>>();
      if (const auto* v = find(g, "hone/data")) info.data = *v;
      if (const auto* v = find(g, "hone/data_revision")) info.data_revision = *v;
      if (const auto* v = find(g, "hone/split")) info.split = *v;
      if (const auto* v = find(g, "hone/metrics")) {
        const json metrics = json::parse(*v);
        for (const auto& [precision, m] : metrics.items()) {
          MeasuredMetric& to = info.metrics[precision];
          to.name = m.at("name");
          to.value = m.at("value");
          to.low = m.at("ci95").at(0);
          to.high = m.at("ci95").at(1);
          to.samples = m.at("samples");
        }
      }
      return info;
    }
  } catch (const json::exception& e) {
    throw Error(ErrorCode::unreadable, std::string("[model] damaged information about the model (") + e.what() + ")");
  }
  const auto* labels = find(g, "model_info/labels");
  if (!labels) return std::nullopt;
  std::istringstream in(*labels);
  for (std::string l; in >> l;) info.labels.push_back(l);
  if (const auto* v = find(g, "model_info/mean_values")) info.preprocessing.mean = numbers(*v);
  if (const auto* v = find(g, "model_info/scale_values")) info.preprocessing.scale = numbers(*v);
  if (const auto* v = find(g, "model_info/reverse_input_channels"))
    info.preprocessing.color = *v == "True" || *v == "YES" ? data::ColorOrder::bgr : data::ColorOrder::rgb;
  const Values inputs = g.inputs();
  if (inputs.size() == 1 && inputs[0].shape().rank_known() && inputs[0].shape().rank() == 4 &&
      inputs[0].shape()[2].is_static() && inputs[0].shape()[3].is_static()) {
    info.preprocessing.height = inputs[0].shape()[2].min();
    info.preprocessing.width = inputs[0].shape()[3].min();
    if (inputs[0].shape()[1] == Dimension(1)) info.preprocessing.color = data::ColorOrder::grey;
  }
  return info;
}

}  // namespace hone
