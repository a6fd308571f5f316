#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "api/convert_job.hpp"
#include "api/ports.hpp"
#include "graph/builder.hpp"
#include "ops/basic.hpp"
#include "passes/batch.hpp"
#include "passes/pre_post_process.hpp"
#include "tasks/model_info.hpp"
#include "tensor/fields.hpp"

namespace hone {
namespace {

[[noreturn]] void usage(const std::string& what, const std::string& text, const std::string& hint = {}) {
  throw Error(ErrorCode::usage, "[convert] " + what, "'" + text + "'", hint);
}

// `NAME[SHAPE]:TYPE=VALUE`, each part behind the name optional.
struct InputSpec {
  std::string name;
  std::optional<PartialShape> shape;
  std::optional<ElementType> type;
  std::string value;
};

InputSpec parse_input(const std::string& text) {
  InputSpec s;
  std::string rest = text;
  if (const size_t eq = rest.find('='); eq != std::string::npos) {
    s.value = rest.substr(eq + 1);
    rest.resize(eq);
    if (s.value.empty()) usage("--input has an empty value", text);
  }
  const size_t close = rest.rfind(']');
  const size_t colon = rest.rfind(':');
  if (colon != std::string::npos && (close == std::string::npos || colon > close)) {
    if (const auto type = element_type_from(rest.substr(colon + 1))) {
      s.type = type;
      rest.resize(colon);
    } else if (close != std::string::npos || !s.value.empty()) {
      usage("--input names no element type behind the ':'", text, "types are f32, f16, i64, u8...");
    }
  }
  if (!rest.empty() && rest.back() == ']') {
    const size_t open = rest.rfind('[');
    if (open == std::string::npos) usage("--input wants NAME[SHAPE]:TYPE=VALUE", text);
    s.shape = PartialShape::parse(rest.substr(open));
    rest.resize(open);
  } else if (rest.find('[') != std::string::npos && rest.find(']') == std::string::npos) {
    usage("--input wants NAME[SHAPE]:TYPE=VALUE", text);
  }
  if (text.empty() || (rest.empty() && !s.shape && !s.type && s.value.empty()))
    usage("--input wants NAME[SHAPE]:TYPE=VALUE", text);
  s.name = rest;
  return s;
}

// The input of that name; a name inside of the graph cuts it there.
Value input_or_cut(Graph& g, const std::string& name) {
  if (const Value v = g.input(name)) return v;
  Value v = find_tensor(g, name);
  if (!v) {
    const size_t colon = name.rfind(':');
    if (colon != std::string::npos && find_tensor(g, name.substr(0, colon)))
      usage("--input names no element type behind the ':'", name, "types are f32, f16, i64, u8...");
    return find_input(g, name);  // a position, or an error that lists the names
  }
  if (v.node().is<Parameter>()) return v;
  const Value cut = Builder(g).parameter(v.type(), name);
  g.replace_uses(v.id, cut.id);
  return cut;
}

void freeze(Graph& g, Value v, const InputSpec& s) {
  const Type t = v.type();
  const ElementType e = s.type.value_or(t.element);
  std::string body = s.value;
  if (body.front() == '[' && body.back() == ']') body = body.substr(1, body.size() - 2);
  const auto count = std::count(body.begin(), body.end(), ',') + 1;
  PartialShape shape = s.shape.value_or(t.shape);
  if (!s.shape && t.shape.rank_known() && t.shape.rank() == 1 && t.shape[0].is_dynamic())
    shape = Shape{count};
  else if (!shape.is_static())
    shape = count == 1 ? PartialShape(Shape{}) : PartialShape(Shape{count});
  if (!shape.compatible(t.shape))
    usage("--input freezes '" + s.name + "' to " + to_string(shape) + ", it is " + to_string(t), s.value,
          "give the shape, as in NAME[2,3]=...");
  Tensor value;
  try {
    value = tensor_from_text(std::string(name_of(e)) + to_string(shape) + "{" + body + "}");
  } catch (const Error& error) {
    usage("--input has a value that is no " + std::string(name_of(e)) + to_string(shape), s.value, error.message());
  }
  if (e != t.element && t.element != ElementType::dynamic) value = value.converted(t.element);
  const Value c = Builder(g).constant(value);
  g.replace_uses(v.id, c.id);
  g.remove(v.node().id);
  g.infer_all();
}

void cut_outputs(Graph& g, const std::vector<std::string>& names) {
  if (names.empty()) return;
  std::vector<NodeId> order;
  for (const std::string& name : names) {
    const Value v = find_tensor(g, name);
    if (!v) usage("--output names no tensor of the model", name);
    const auto& results = g.results();
    const auto own = std::find_if(results.begin(), results.end(), [&](NodeId r) { return g.handle(r).input(0) == v; });
    const NodeId r = own != results.end() ? *own : Builder(g).result(v, name).id;
    if (std::find(order.begin(), order.end(), r) != order.end()) usage("--output names a tensor twice", name);
    order.push_back(r);
  }
  for (NodeId r : std::vector<NodeId>(g.results())) {
    if (std::find(order.begin(), order.end(), r) == order.end()) g.remove(r);
  }
  g.reorder_results(order);
}

// `[NAME=]VALUE` of a picture switch, with the input it is for.
std::pair<Value, std::string> for_input(const Graph& g, const std::string& option, const std::string& text) {
  const size_t eq = text.find('=');
  if (eq != std::string::npos) return {find_input(g, text.substr(0, eq)), text.substr(eq + 1)};
  Value picture;
  std::string names;
  for (const Value& v : g.inputs()) {
    names += (names.empty() ? "" : ", ") + port_of(v, v.node().name()).name;
    if (!v.type().is_tensor() || !v.shape().rank_known() || v.shape().rank() != 4) continue;
    if (picture)
      usage(option + ": several inputs could be meant", text, "write NAME=" + text + ", NAME being one of " + names);
    picture = v;
  }
  if (!picture && g.inputs().size() == 1) picture = g.inputs()[0];
  if (!picture)
    usage(option + ": no input of 4 dimensions", text, "write NAME=" + text + ", NAME being one of " + names);
  return {picture, text};
}

std::vector<float> numbers(const std::string& option, const std::string& text) {
  std::vector<float> out;
  std::string body = text;
  if (body.size() >= 2 && body.front() == '[' && body.back() == ']') body = body.substr(1, body.size() - 2);
  for (const char* at = body.c_str();;) {
    char* end = nullptr;
    const float v = std::strtof(at, &end);
    if (end == at || !std::isfinite(v)) usage(option + " wants numbers with commas between them", text);
    out.push_back(v);
    if (*end == 0) return out;
    if (*end != ',') usage(option + " wants numbers with commas between them", text);
    at = end + 1;
  }
}

InterpolateMode filter(const std::string& text, const std::string& name) {
  if (name == "linear") return InterpolateMode::linear;
  if (name == "cubic") return InterpolateMode::cubic;
  if (name == "nearest") return InterpolateMode::nearest;
  usage("--resize knows the filters linear, cubic and nearest", text);
}

// Where the channels are, where nobody said so: 1, 3 or 4 of them, in front or at the end.
DimensionNames guessed_layout(const PartialShape& s) {
  if (!s.rank_known() || s.rank() != 4) return {};
  const auto channels = [](const Dimension& d) { return d == Dimension(1) || d == Dimension(3) || d == Dimension(4); };
  if (channels(s[1])) return DimensionNames("NCHW");
  if (channels(s[3])) return DimensionNames("NHWC");
  return {};
}

// Everything that is wanted of one input.
struct Wanted {
  InputProcess process;
  bool resize = false, reverse = false;
  ResizeStep resize_step;
  std::vector<float> mean, scale;
  bool pictures() const { return resize || reverse || !mean.empty() || !scale.empty(); }
};

Wanted& wanted_for(std::map<NodeId, Wanted>& all, Value input) {
  return all[input.node().id];
}

void read_picture_switches(const Graph& g, const ConvertOptions& o, std::map<NodeId, Wanted>& all) {
  for (const std::string& text : o.layout) {
    const auto [input, value] = for_input(g, "--layout", text);
    InputProcess& p = wanted_for(all, input).process;
    const size_t arrow = value.find("->");
    if (value.ends_with("-")) usage("--layout wants FROM->TO in quotes, or the shell takes the arrow away", text);
    p.model_layout = DimensionNames(value.substr(0, arrow));
    if (arrow != std::string::npos) p.layout = DimensionNames(value.substr(arrow + 2));
    if (p.model_layout.empty() || (arrow != std::string::npos && p.layout.empty()))
      usage("--layout wants NCHW or NCHW->NHWC", text);
  }
  for (const std::string& text : o.mean) {
    const auto [input, value] = for_input(g, "--mean", text);
    wanted_for(all, input).mean = numbers("--mean", value);
  }
  for (const std::string& text : o.scale) {
    const auto [input, value] = for_input(g, "--scale", text);
    wanted_for(all, input).scale = numbers("--scale", value);
  }
  for (const std::string& name : o.reverse_channels) {
    const Value input = name.empty() ? for_input(g, "--reverse-channels", "").first : find_input(g, name);
    wanted_for(all, input).reverse = true;
  }
  for (const std::string& text : o.resize) {
    const auto [input, value] = for_input(g, "--resize", text);
    Wanted& w = wanted_for(all, input);
    const size_t colon = value.find(':');
    if (colon != std::string::npos) w.resize_step.mode = filter(text, value.substr(colon + 1));
    const std::string size = value.substr(0, colon);
    w.resize = true;
    if (size == "any") {
      w.process.height = w.process.width = Dimension();
      continue;
    }
    int h = 0, n = 0, width = 0;
    if (std::sscanf(size.c_str(), "%dx%d%n", &h, &width, &n) != 2 || static_cast<size_t>(n) != size.size() || h <= 0 ||
        width <= 0) {
      usage("--resize wants HEIGHTxWIDTH or any", text);
    }
    w.process.height = h;
    w.process.width = width;
  }
}

// A model's own record of what pictures go through follows what is now part of the graph.
void update_stored_preprocessing(Graph& g, const Wanted& w) {
  auto info = load_info(g);
  if (!info) return;
  data::Preprocessing& p = info->preprocessing;
  if (!w.mean.empty() || !w.scale.empty()) p.mean = p.scale = {};
  if (w.reverse && p.color != data::ColorOrder::grey)
    p.color = p.color == data::ColorOrder::rgb ? data::ColorOrder::bgr : data::ColorOrder::rgb;
  const std::string& layout = w.process.layout.text();
  if (layout == "NHWC") p.layout = data::PixelLayout::nhwc;
  if (layout == "NCHW") p.layout = data::PixelLayout::nchw;
  if (w.process.height) {
    p.height = w.process.height->is_static() ? w.process.height->min() : 0;
    p.width = w.process.width->is_static() ? w.process.width->min() : 0;
    if (p.height == 0) p.resize = data::ResizeRule::exact;
  }
  store_info(g, *info);
}

void build_in(Graph& g, Value input, Wanted& w) {
  InputProcess& p = w.process;
  const ElementType own = input.element_type();
  if (p.model_layout.empty() && w.pictures()) p.model_layout = guessed_layout(input.shape());
  if (p.element && *p.element != own) p.steps.push_back(ConvertElementTypeStep{own});
  if (w.resize) p.steps.push_back(w.resize_step);
  if (w.reverse) p.steps.push_back(ReverseChannelsStep{});
  if (!w.mean.empty()) p.steps.push_back(MeanStep{w.mean});
  if (!w.scale.empty()) p.steps.push_back(ScaleStep{w.scale});
  try {
    add_preprocessing(g, input, p);
  } catch (const Error& e) {
    const bool layout = e.message().find("which dimension") != std::string::npos;
    throw Error(e.code(), "[convert]" + e.message().substr(e.message().find(']') + 1), e.where(),
                layout ? "say it with --layout, as in --layout NCHW" : e.hint());
  }
  if (w.pictures() || !p.layout.empty()) update_stored_preprocessing(g, w);
}

// Bounded dimensions as their largest or smallest number, but not as none at all.
PartialShape at_bound(const PartialShape& s, bool upper) {
  if (!s.rank_known()) return s;
  std::vector<Dimension> dims(s.begin(), s.end());
  for (Dimension& d : dims) {
    if (d.is_dynamic() && d.max() < int64_t{1} << 20) d = upper ? d.max() : std::max<int64_t>(d.min(), 1);
  }
  return PartialShape(std::move(dims));
}

// All shapes at once, since inputs may hang together; a size that stays open hides what one of its numbers would show,
// so bounds are tried first.
void take_shapes(Graph& g, const std::map<ValueId, PartialShape>& shapes) {
  if (shapes.empty()) return;
  const auto take = [&](Graph& to, const std::map<ValueId, PartialShape>& wanted) {
    try {
      reshape_with_batch(to, wanted);
    } catch (const Error& e) {
      std::string text, before;
      for (const auto& [v, shape] : wanted) {
        const Value input = g.value_handle(v);
        text += (text.empty() ? "" : " ") + port_of(input, input.node().name()).name + to_string(shape);
        before += (before.empty() ? "" : " ") + to_string(input.shape());
      }
      const bool refused = e.code() == ErrorCode::failed || e.code() == ErrorCode::unsupported;
      throw Error(refused ? ErrorCode::usage : e.code(),
                  "[convert] --input " + text + ": the model does not take that shape instead of " + before + ": " +
                      e.message(),
                  e.where(), e.hint());
    }
  };
  for (const bool upper : {false, true}) {
    std::map<ValueId, PartialShape> bounds;
    for (const auto& [v, shape] : shapes) bounds[v] = at_bound(shape, upper);
    if (bounds == shapes) break;
    Graph copy(g);
    take(copy, bounds);
  }
  take(g, shapes);
}

void rename(Graph& g, const std::string& text) {
  const size_t eq = text.find('=');
  if (eq == std::string::npos || eq == 0 || eq + 1 == text.size()) usage("--rename wants OLD=NEW", text);
  const std::string from = text.substr(0, eq), to = text.substr(eq + 1);
  if (find_tensor(g, to)) usage("--rename: the model has a tensor of that name already", to);
  bool found = false;
  if (const Value v = find_tensor(g, from)) {
    auto names = v.names();
    std::replace(names.begin(), names.end(), from, to);
    if (std::find(names.begin(), names.end(), to) == names.end()) names.insert(names.begin(), to);
    g.set_names(v.id, names);
    if (v.node().name() == from) g.set_name(v.node().id, to);
    found = true;
  }
  for (NodeId r : std::vector<NodeId>(g.results())) {
    if (g.node(r).name != from) continue;
    g.set_name(r, to);
    found = true;
  }
  if (!found) {
    std::string names;
    for (const Value& v : g.inputs()) names += (names.empty() ? "" : ", ") + port_of(v, v.node().name()).name;
    for (NodeId r : g.results()) names += (names.empty() ? "" : ", ") + output_port(g, r).name;
    usage("--rename names no tensor of the model", from, "inputs and outputs are " + names);
  }
}

}  // namespace

void apply_convert_options(Graph& g, const ConvertOptions& o) {
  cut_outputs(g, o.outputs);
  std::map<NodeId, Wanted> wanted;
  std::map<ValueId, PartialShape> shapes;
  for (const std::string& text : o.inputs) {
    const InputSpec s = parse_input(text);
    const Value v = input_or_cut(g, s.name);
    if (!s.value.empty()) {
      freeze(g, v, s);
      continue;
    }
    if (s.shape) shapes[v.id] = *s.shape;
    if (s.type && *s.type != v.element_type()) wanted_for(wanted, v).process.element = s.type;
  }
  take_shapes(g, shapes);
  // Parameters that fed only what was cut off go with it.
  g.remove_dead();
  if (!o.inputs.empty() || !o.outputs.empty()) {
    for (NodeId p : std::vector<NodeId>(g.parameters())) {
      if (g.handle(p).output().uses().empty()) g.remove(p);
    }
  }
  if (!o.batch.empty()) {
    const PartialShape batch = PartialShape::parse("[" + o.batch + "]");
    if (batch.rank() != 1 || batch[0].max() == 0) usage("--batch wants a number, an interval like 1..8, or ?", o.batch);
    const auto shared = std::make_shared<Graph>(std::move(g));
    Model m(shared);
    try {
      if (batch[0].is_dynamic()) {  // a size that stays open hides what one of its numbers would show
        const bool bounded = batch[0].max() < int64_t{1} << 20;
        Model(std::make_shared<Graph>(*shared)).set_batch(bounded ? batch[0].max() : batch[0].min() + 2);
      }
      m.set_batch(batch[0]);
    } catch (const Error& e) {
      throw Error(ErrorCode::usage,
                  "[convert] --batch " + o.batch + ": the model does not take another batch: " + e.message(), e.where(),
                  e.hint());
    }
    g = std::move(*shared);
  }
  read_picture_switches(g, o, wanted);
  for (auto& [node, w] : wanted) {
    if (g.alive(node)) build_in(g, g.handle(node).output(), w);
  }
  for (const std::string& text : o.rename) rename(g, text);
}

}  // namespace hone
