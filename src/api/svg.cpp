// The graph as a drawing: nodes in layers by depth, edges as curves. Constants are left out; their shapes stand in the
// node.
#include <algorithm>
#include <map>

#include "graph/graph.hpp"
#include "hone/tools.hpp"
#include "ops/basic.hpp"

namespace hone {
namespace {

std::string escaped(const std::string& s) {
  std::string out;
  for (char c : s)
    out += c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : c == '"' ? "&quot;" : std::string(1, c);
  return out;
}

// Dense work, data movement, elementwise... in colours that print well.
const char* colour(const std::string& op) {
  if (op.find("Convolution") != std::string::npos || op == "MatMul") return "#cfe3ff";
  if (op == "Parameter" || op == "Result") return "#dff2d8";
  if (op.find("Norm") != std::string::npos || op.starts_with("Reduce") || op.find("Pool") != std::string::npos)
    return "#ffe9c9";
  if (op.find("Quantize") != std::string::npos) return "#f3d4ef";
  if (op == "Reshape" || op == "Transpose" || op == "Concat" || op == "Split" || op == "Slice" || op == "Pad" ||
      op == "Gather")
    return "#eeeeee";
  return "#fff7c2";
}

struct Box {
  double x = 0, y = 0;
  std::string title, detail, op;
};

}  // namespace

std::string to_svg(const Model& model) {
  constexpr double width = 190, height = 40, gap_x = 24, gap_y = 34;
  const Graph& g = model.graph();
  std::map<NodeId, size_t> depth;
  std::map<size_t, std::vector<NodeId>> layers;
  std::vector<NodeId> shown;
  for (NodeId id : g.topological_order()) {
    const Node n = g.handle(id);
    if (n.is<Constant>()) continue;
    size_t d = 0;
    for (const Value& v : n.inputs()) {
      if (v && !v.node().is<Constant>()) d = std::max(d, depth[v.node().id] + 1);
    }
    depth[id] = d;
    layers[d].push_back(id);
    shown.push_back(id);
  }
  std::map<NodeId, Box> boxes;
  size_t widest = 1;
  for (const auto& [d, nodes] : layers) widest = std::max(widest, nodes.size());
  const double total = static_cast<double>(widest) * (width + gap_x) + gap_x;
  for (const auto& [d, nodes] : layers) {
    const double row = static_cast<double>(nodes.size()) * (width + gap_x) - gap_x;
    for (size_t i = 0; i < nodes.size(); ++i) {
      const Node n = g.handle(nodes[i]);
      Box b;
      b.x = (total - row) / 2 + static_cast<double>(i) * (width + gap_x);
      b.y = gap_y + static_cast<double>(d) * (height + gap_y);
      b.op = std::string(n.op().name);
      b.title = b.op;
      if (n.num_outputs() > 0) b.detail = to_string(n.output().type());
      if (n.num_inputs() > 1 && n.input(1) && n.input(1).node().is<Constant>())
        b.title += " " + to_string(n.input(1).shape());
      if (b.op == "Parameter" || b.op == "Result") b.title += " " + n.name();
      boxes[nodes[i]] = b;
    }
  }
  const double tall = gap_y + static_cast<double>(layers.size()) * (height + gap_y);
  std::string s =
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + std::to_string(static_cast<int>(total)) + "\" height=\"" +
      std::to_string(static_cast<int>(tall)) +
      "\" font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n";
  char line[512];
  for (NodeId id : shown) {
    const Node n = g.handle(id);
    for (const Value& v : n.inputs()) {
      if (!v || v.node().is<Constant>()) continue;
      const Box &from = boxes[v.node().id], &to = boxes[id];
      const double x1 = from.x + width / 2, y1 = from.y + height, x2 = to.x + width / 2, y2 = to.y;
      std::snprintf(line, sizeof line,
                    "<path d=\"M%.1f %.1f C%.1f %.1f %.1f %.1f %.1f %.1f\" fill=\"none\" stroke=\"#8a8a8a\"/>\n", x1,
                    y1, x1, y1 + gap_y / 2, x2, y2 - gap_y / 2, x2, y2);
      s += line;
    }
  }
  for (NodeId id : shown) {
    const Box& b = boxes[id];
    std::snprintf(
        line, sizeof line,
        "<g><rect x=\"%.1f\" y=\"%.1f\" width=\"%.0f\" height=\"%.0f\" rx=\"5\" fill=\"%s\" stroke=\"#555\"/>", b.x,
        b.y, width, height, colour(b.op));
    s += line;
    s += "<title>" + escaped(g.node(id).name) + "</title>";
    std::snprintf(line, sizeof line, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">", b.x + width / 2, b.y + 16);
    s += line + escaped(b.title) + "</text>";
    std::snprintf(line, sizeof line, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" fill=\"#666\">",
                  b.x + width / 2, b.y + 31);
    s += line + escaped(b.detail.substr(0, 34)) + "</text></g>\n";
  }
  return s + "</svg>\n";
}

}  // namespace hone
