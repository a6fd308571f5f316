#include "formats/openvino_ir/layer_attributes.hpp"

#include <algorithm>
#include <memory>

#include "formats/openvino_ir/fields.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"
#include "ops/binary_convolution.hpp"
#include "ops/convolution.hpp"
#include "ops/pooling.hpp"
#include "ops/resize.hpp"

namespace hone::ir {
namespace {

// Lists that may be empty in Hone have one entry a spatial axis in the IR; pads are zero where auto_pad rules.
template <class Op>
Attributes windowed(const Op& from, size_t spatial) {
  auto op = std::make_shared<Op>(from);
  auto fill = [&](std::vector<int64_t>& v, int64_t with) { v.resize(std::max(v.size(), spatial), with); };
  fill(op->strides, 1);
  fill(op->pads_begin, 0);
  fill(op->pads_end, 0);
  if constexpr (requires { op->dilations; }) fill(op->dilations, 1);
  if constexpr (requires { op->output_padding; }) fill(op->output_padding, 0);
  if (op->auto_pad != AutoPad::explicit_) {
    std::fill(op->pads_begin.begin(), op->pads_begin.end(), 0);
    std::fill(op->pads_end.begin(), op->pads_end.end(), 0);
  }
  return op;
}

}  // namespace

void write_custom(pugi::xml_node l, const Custom& op) {
  l.attribute("type").set_value(op.type.c_str());
  l.attribute("version").set_value(op.domain.empty() ? "extension" : op.domain.c_str());
  pugi::xml_node data;
  for (const CustomAttribute& a : custom_attributes(op)) {
    if (!data) data = l.append_child("data");
    std::string text;
    for (const std::string& v : a.values) text += (text.empty() ? "" : ",") + v;
    data.append_attribute(a.name.c_str()).set_value(text.c_str());
  }
}

void write_fields(pugi::xml_node l, const Graph& g, NodeId id) {
  const NodeData& n = g.node(id);
  const Node node = g.handle(id);
  const size_t rank =
      !n.inputs.empty() && g.value(n.inputs[0]).type.is_tensor() && g.value(n.inputs[0]).type.shape.rank_known()
          ? g.value(n.inputs[0]).type.shape.rank()
          : 2;
  const size_t spatial = rank > 2 ? rank - 2 : 0;
  Attributes a = n.attributes;
  const std::string_view op = n.op->name;
  if (op == "Convolution") a = windowed(*static_cast<const Convolution*>(a.get()), spatial);
  if (op == "BinaryConvolution") a = windowed(*static_cast<const BinaryConvolution*>(a.get()), spatial);
  if (op == "GroupConvolution") a = windowed(*static_cast<const GroupConvolution*>(a.get()), spatial);
  if (op == "ConvolutionBackpropData") a = windowed(*static_cast<const ConvolutionBackpropData*>(a.get()), spatial);
  if (op == "GroupConvolutionBackpropData")
    a = windowed(*static_cast<const GroupConvolutionBackpropData*>(a.get()), spatial);
  if (op == "MaxPool") a = windowed(*static_cast<const MaxPool*>(a.get()), spatial);
  if (op == "AvgPool") a = windowed(*static_cast<const AvgPool*>(a.get()), spatial);
  if (op == "Interpolate") {
    auto i = std::make_shared<Interpolate>(*static_cast<const Interpolate*>(a.get()));
    if (i->coordinate_transformation_mode == CoordinateMode::half_pixel_symmetric || i->exclude_outside) {
      throw Error(ErrorCode::unsupported,
                  "[Interpolate] half_pixel_symmetric and exclude_outside have no counterpart in OpenVINO",
                  "node '" + n.name + "'");
    }
    if (i->coordinate_transformation_mode == CoordinateMode::align_corners_unrounded) {
      throw Error(
          ErrorCode::unsupported,
          "[Interpolate] align_corners with scales that may give no whole length has no counterpart in OpenVINO",
          "node '" + n.name + "'", "fix the size of the input (--input), or write ONNX");
    }
    i->pads_begin.resize(std::max<size_t>(i->pads_begin.size(), 1), 0);
    i->pads_end.resize(std::max<size_t>(i->pads_end.size(), 1), 0);
    a = i;
  }
  if (op == "Reverse") {
    l.append_child("data").append_attribute("mode").set_value("index");
    return;
  }
  auto data = l.append_child("data");
  AttributeWriter writer(data);
  n.op->visit(const_cast<void*>(n.op->copy(a.get()).get()), writer);
  if (op == "AvgPool") {
    data.attribute("exclude_pad").set_name("exclude-pad");
    // Dilations came with set 16.
    const auto& d = node.as<AvgPool>()->dilations;
    if (std::any_of(d.begin(), d.end(), [](int64_t x) { return x != 1; }))
      l.attribute("version").set_value("opset16");
    else
      data.remove_attribute("dilations");
  }
  if (op == "RandomUniform") {
    data.append_attribute("global_seed").set_value(0);
    data.append_attribute("op_seed").set_value(
        static_cast<unsigned long long>(get_integer(node.input(3).constant(), 0)));
  }
  if (op == "Convert" && node.as<Convert>()->destination_type == ElementType::dynamic) l.remove_child(data);
  if (!data.first_attribute()) l.remove_child(data);
}

}  // namespace hone::ir
