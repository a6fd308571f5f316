#include "api/networks.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>

#include "graph/builder.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"
#include "ops/convolution.hpp"
#include "zoo/zoo.hpp"

namespace hone {
namespace {

struct Spec {
  std::string name;
  NetworkOptions options;
};

Spec parse_spec(const std::string& text) {
  Spec s;
  const size_t colon = text.find(':');
  s.name = text.substr(0, colon);
  std::string rest = colon == std::string::npos ? std::string() : text.substr(colon + 1);
  while (!rest.empty()) {
    const size_t comma = rest.find_first_of(",:");
    const std::string item = rest.substr(0, comma);
    rest = comma == std::string::npos ? std::string() : rest.substr(comma + 1);
    const size_t equals = item.find('=');
    const std::string key = item.substr(0, equals),
                      value = equals == std::string::npos ? std::string() : item.substr(equals + 1);
    double number = 0;
    const auto [end, ec] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (ec != std::errc() || end != value.data() + value.size() || !(number > 0 && number < 1e6)) {
      throw Error(ErrorCode::usage, "[network] a parameter wants a number, as in NAME:classes=10", "'" + item + "'");
    }
    const auto whole = static_cast<int64_t>(number);
    if (key == "classes")
      s.options.classes = whole;
    else if (key == "channels")
      s.options.channels = whole;
    else if (key == "height")
      s.options.height = whole;
    else if (key == "width")
      s.options.width = whole;
    else if (key == "size")
      s.options.height = s.options.width = whole;
    else if (key == "multiplier")
      s.options.multiplier = number;
    else if (key == "softmax")
      s.options.softmax = whole != 0;
    else
      throw Error(ErrorCode::usage, "[network] no parameter '" + key + "'", "'" + text + "'",
                  "there are classes, channels, height, width, size, multiplier, softmax");
  }
  return s;
}

bool is_counter(const std::string& name) {
  return name.ends_with("num_batches_tracked");
}

// Weights of a built network: constants with a tensor name.
std::vector<Value> weights_of(const Graph& g) {
  std::vector<Value> out;
  for (NodeId id : g.topological_order()) {
    const Node n = g.handle(id);
    if (n.is<Constant>() && !n.output().names().empty()) out.push_back(n.output());
  }
  return out;
}

// The shape that PyTorch gives a weight: biases are vectors, groups are not an axis.
Shape torch_shape(const Value& v) {
  Shape s = v.shape().to_shape();
  const auto& uses = v.uses();
  const bool grouped = std::any_of(uses.begin(), uses.end(), [&](const Use& u) {
    return u.index == 1 && v.graph->handle(u.node).is<GroupConvolution>();
  });
  if (grouped) {
    s[1] *= s[0];
    s.erase(s.begin());
  } else if (v.names()[0].ends_with(".bias") && s.size() > 1) {
    s = {element_count(s)};
  }
  return s;
}

struct Match {
  std::vector<std::string> missing, unknown, misshapen;
  bool ok() const { return missing.empty() && unknown.empty() && misshapen.empty(); }
  bool names_ok() const { return missing.empty() && unknown.empty(); }
};

Match match(const Graph& g, const StateDict& weights) {
  Match m;
  std::set<std::string> own;
  for (const Value& v : weights_of(g)) {
    const std::string& name = v.names()[0];
    own.insert(name);
    const Tensor* t = weights.find(name);
    if (!t)
      m.missing.push_back(name);
    else if (t->shape() != torch_shape(v))
      m.misshapen.push_back(name + " " + to_string(t->shape()) + " instead of " + to_string(torch_shape(v)));
  }
  for (const auto& [name, t] : weights.tensors) {
    if (!own.contains(name) && !is_counter(name)) m.unknown.push_back(name);
  }
  return m;
}

// Classes are the rows of the last layer, channels the columns of the first.
void take_sizes(const Graph& g, const StateDict& weights, NetworkOptions& o) {
  const auto own = weights_of(g);
  if (own.empty()) return;
  const Tensor* first = weights.find(own.front().names()[0]);
  if (o.channels == 0 && first && first->rank() == 4) o.channels = first->shape()[1];
  std::string last;
  for (const Value& v : own) {
    if (v.names()[0].ends_with(".weight") && v.shape().rank() == 2) last = v.names()[0];
  }
  const Tensor* t = last.empty() ? nullptr : weights.find(last);
  if (o.classes == 0 && t && t->rank() == 2) o.classes = t->shape()[0];
}

std::string shown(const std::vector<std::string>& names) {
  std::string s;
  for (size_t i = 0; i < std::min<size_t>(5, names.size()); ++i) s += (i ? ", " : "") + names[i];
  return names.size() > 5 ? s + ", ..." : s;
}

std::string listed_networks() {
  std::string s;
  for (const NetworkInfo& n : networks()) s += (s.empty() ? "" : ", ") + std::string(n.name);
  return s;
}

Graph built(Spec s, const StateDict& weights) {
  s.options.initialize = false;
  const NetworkInfo* info = find_network(s.name);
  if (info && info->classifier && (s.options.classes == 0 || s.options.channels == 0))
    take_sizes(build_network(s.name, s.options), weights, s.options);
  return build_network(s.name, s.options);
}

}  // namespace

Graph network_with_weights(const std::string& network, const StateDict& weights) {
  const Spec s = parse_spec(network);
  if (!find_network(s.name))
    throw Error(ErrorCode::usage, "[network] no network '" + s.name + "'", "", "choose one of " + listed_networks());
  Graph g = built(s, weights);
  const Match m = match(g, weights);
  if (!m.ok()) {
    std::string what = "[network] the weights are not those of " + network;
    if (!m.missing.empty()) what += "; missing: " + shown(m.missing);
    if (!m.unknown.empty()) what += "; unknown: " + shown(m.unknown);
    if (!m.misshapen.empty()) what += "; of other shapes: " + shown(m.misshapen);
    const auto fitting = fitting_networks(weights);
    throw Error(ErrorCode::unsupported, what, "",
                fitting.empty() ? "no network of the zoo fits" : "fitting: " + shown(fitting));
  }
  for (const Value& v : weights_of(g)) {
    const Tensor t = weights.find(v.names()[0])->reshaped(v.shape().to_shape());
    g.set(v.node().id, Constant{t.element_type() == ElementType::f32 ? t : t.converted(ElementType::f32)});
  }
  g.info["framework"] = "pytorch";
  g.info["network"] = network;
  return g;
}

std::vector<std::string> fitting_networks(const StateDict& weights) {
  std::vector<std::string> out;
  for (const NetworkInfo& n : networks()) {
    try {
      Spec s{std::string(n.name), {}};
      s.options.initialize = false;
      Graph g = build_network(n.name, s.options);
      const Match m = match(g, weights);
      if (!m.names_ok()) continue;
      std::string text(n.name);
      if (!m.misshapen.empty()) {
        if (!n.classifier) continue;
        take_sizes(g, weights, s.options);
        if (!match(build_network(n.name, s.options), weights).ok()) continue;
        std::string parameters;
        if (s.options.classes != n.classes) parameters += ",classes=" + std::to_string(s.options.classes);
        if (s.options.channels != 3) parameters += ",channels=" + std::to_string(s.options.channels);
        if (!parameters.empty()) text += ":" + parameters.substr(1);
      }
      out.push_back(text);
    } catch (const Error&) {
      // A network that cannot be built with these sizes does not fit.
    }
  }
  return out;
}

namespace {

Graph read(const std::string& path, const std::string& network, bool choose) {
  const StateDict weights = read_weights(path);
  try {
    if (!network.empty()) return network_with_weights(network, weights);
    const auto fitting = fitting_networks(weights);
    if (choose && fitting.size() == 1) return network_with_weights(fitting[0], weights);
    std::string names;
    for (const std::string& f : fitting) names += (names.empty() ? "" : ", ") + f;
    throw Error(ErrorCode::unsupported, "[network] the file holds weights alone", "",
                names.empty() ? "no network of the zoo has these parameters (" + listed_networks() +
                                    "); export the model with torch.export.save"
                              : "name their network with --network; fitting: " + names);
  } catch (const Error& e) {
    throw e.at(path);
  }
}

}  // namespace

Graph read_network(const std::string& path, const std::string& network) {
  return read(path, network, false);
}
Graph read_network_that_fits(const std::string& path, const std::string& network) {
  return read(path, network, true);
}

}  // namespace hone
