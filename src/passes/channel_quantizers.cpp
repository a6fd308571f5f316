// Quantizers with a range for each channel in front of depthwise convolutions, as quantizers of networks place them,
// become quantizers with one range: the scales of the channels move into the weights before and behind.
#include <cmath>

#include "graph/builder.hpp"
#include "ops/activation.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/convolution.hpp"
#include "ops/quantize.hpp"
#include "passes/facts.hpp"
#include "passes/precision.hpp"
#include "passes/scale_channels.hpp"

namespace hone {
namespace {

// A grid of integers for each channel, with one zero point for all.
struct ChannelGrid {
  Value from;  ///< what is quantized
  std::vector<double> steps;
  double zero = 0;
  int64_t levels = 256;
};

std::optional<std::vector<double>> per_channel(Value v, const PartialShape& shape, size_t channels) {
  const Tensor t = v.constant();
  if (!t || !spreads_along(v, shape, 1) || (t.size() != 1 && t.size() != channels)) return std::nullopt;
  std::vector<double> out(channels);
  for (size_t c = 0; c < channels; ++c) out[c] = get_element(t, t.size() == 1 ? 0 : c);
  return out;
}

// Dequantize of Quantize, with the same numbers.
std::optional<ChannelGrid> grid_of_pair(Node dq) {
  const Node q = dq.input(0).node();
  const auto* to = q.as<Quantize>();
  const auto* from = dq.as<Dequantize>();
  if (!to || to->low < to->high || (to->output_type != ElementType::u8 && to->output_type != ElementType::i8))
    return std::nullopt;
  const PartialShape shape = q.input(0).shape();
  if (!shape.rank_known() || shape.rank() < 3 || !shape[1].is_static() || to->axis != 1 || from->axis != 1 ||
      q.input(0).element_type() != ElementType::f32 || dq.output().element_type() != ElementType::f32)
    return std::nullopt;
  const Tensor scales[2] = {q.input(1).constant(), dq.input(1).constant()};
  const auto channels = static_cast<size_t>(shape[1].get_length());
  ChannelGrid grid;
  grid.from = q.input(0);
  const double lowest = to->output_type == ElementType::i8 ? -128 : 0;
  for (size_t i = 0; i < 2; ++i) {
    if (!scales[i] || scales[i].size() != channels || channels < 2) return std::nullopt;
    const Value zero = i == 0 ? q.input(2) : dq.input(2);
    const Tensor z = zero ? zero.constant() : Tensor();
    if (zero && (!z || (z.size() != channels && z.size() != 1))) return std::nullopt;
    for (size_t c = 0; c < channels; ++c) {
      const double step = get_element(scales[i], c);
      const double level = (z ? get_element(z, z.size() == 1 ? 0 : c) : 0) - lowest;
      if (!(step > 0) || (i == 1 && step != grid.steps[c])) return std::nullopt;
      if (i == 0) grid.steps.push_back(step);
      if (i == 0 && c == 0) grid.zero = level;
      if (level != grid.zero) return std::nullopt;
    }
  }
  return grid;
}

std::optional<ChannelGrid> channel_grid(Node fq) {
  if (fq.is<Dequantize>()) return grid_of_pair(fq);
  const auto* a = fq.as<FakeQuantize>();
  if (!a) return std::nullopt;
  const PartialShape shape = fq.input(0).shape();
  if ((a->levels != 255 && a->levels != 256) || !shape.rank_known() || shape.rank() < 3 || !shape[1].is_static() ||
      fq.input(0).element_type() != ElementType::f32 || splat_value(fq.input(2)))
    return std::nullopt;
  const auto channels = static_cast<size_t>(shape[1].get_length());
  std::optional<std::vector<double>> ends[4];
  for (size_t i = 0; i < 4; ++i) {
    ends[i] = per_channel(fq.input(i + 1), shape, channels);
    if (!ends[i]) return std::nullopt;
  }
  ChannelGrid grid;
  grid.from = fq.input(0);
  grid.levels = a->levels;
  for (size_t c = 0; c < channels; ++c) {
    const double low = (*ends[0])[c], range = (*ends[1])[c] - low;
    if (!(range > 0) || std::fabs(low - (*ends[2])[c]) > 1e-4 * range ||
        std::fabs((*ends[1])[c] - (*ends[3])[c]) > 1e-4 * range)
      return std::nullopt;
    const double step = range / static_cast<double>(a->levels - 1), zero = std::nearbyint(-low / step);
    if (std::fabs(-low / step - zero) > 1e-2 || zero < 0 || zero > 255 || (c > 0 && zero != grid.zero))
      return std::nullopt;
    grid.zero = zero;
    grid.steps.push_back(step);
  }
  return grid;
}

bool is_depthwise(Node n) {
  const PartialShape w = n.num_inputs() > 1 ? n.input(1).shape() : PartialShape();
  return n.is<GroupConvolution>() && w.is_static() && w.rank() > 3 && w[1] == Dimension(1) && w[2] == Dimension(1);
}

class Mover {
 public:
  explicit Mover(Graph& g) : g_(g) {}

  size_t run() {
    size_t moved = 0;
    for (NodeId id : g_.topological_order()) {
      if (g_.alive(id) && move(g_.handle(id))) ++moved;
    }
    if (moved) g_.remove_dead();
    return moved;
  }

 private:
  bool move(Node fq) {
    const auto grid = channel_grid(fq);
    if (!grid || fq.output().uses().empty()) return false;
    for (const Use& u : fq.output().uses()) {
      if (u.index != 0 || !is_depthwise(g_.handle(u.node)) || !channel_traits(g_.handle(u.node))) return false;
    }
    Builder b(g_);
    b.set_provenance(g_.node(fq.id).provenance);
    const Value x = divided(b, grid->from, *grid);
    const double low = -grid->zero, high = low + static_cast<double>(grid->levels - 1);
    const Value ends[2] = {b.scalar<float>(static_cast<float>(low)), b.scalar<float>(static_cast<float>(high))};
    const Value y = b(FakeQuantize{grid->levels}, x, ends[0], ends[1], ends[0], ends[1]);
    g_.set_name(y.node().id, fq.name());
    const std::vector<Use> uses = fq.output().uses();
    for (const Use& u : uses) {
      const Node dw = g_.handle(u.node);
      const Value scale = vector(b, grid->steps, false);
      g_.set_input(u.node, 1, scaled_weights(b, dw.input(1), scale, channel_traits(dw)->output_scale_shape).id);
      g_.set_input(u.node, 0, y.id);
    }
    return true;
  }

  static Value vector(Builder& b, const std::vector<double>& steps, bool inverse) {
    Tensor t(ElementType::f32, {static_cast<int64_t>(steps.size())});
    for (size_t c = 0; c < steps.size(); ++c) set_element(t, c, inverse ? 1 / steps[c] : steps[c]);
    return b.constant(t);
  }

  // x / steps. The factor moves through an activation that the quantizer's own range makes superfluous into the
  // operator before.
  Value divided(Builder& b, Value x, const ChannelGrid& grid) {
    const Value inverse = vector(b, grid.steps, true);
    const size_t rank = x.shape().rank();
    Value v = x;
    while (v.uses().size() == 1 && clamps_within(v.node(), grid)) v = v.node().input(0);
    const Node add = v.node();
    if (v.uses().size() == 1 && add.is<Add>()) {
      for (size_t i = 0; i < 2; ++i) {
        const Value y = add.input(i), bias = add.input(1 - i);
        const auto t = channel_traits(y.node());
        if (!t || t->output_axis != 1 || y.uses().size() != 1 || !spreads_along(bias, v.shape(), 1) || !bias.constant())
          continue;
        const Value factor = on_axis(b, inverse, 1, rank);
        return b(Add{}, scale_output_channels(b, y.node(), *t, inverse),
                 b(Multiply{}, on_axis(b, bias, 1, rank), factor));
      }
    }
    return b(Multiply{}, x, on_axis(b, inverse, 1, rank));
  }

  // Does the node clamp to a range that holds the quantizer's?
  static bool clamps_within(Node n, const ChannelGrid& grid) {
    double low = 0, high = std::numeric_limits<double>::infinity();
    if (const auto* c = n.as<Clamp>()) {
      low = c->min;
      high = c->max;
    } else if (!n.is<Relu>()) {
      return false;
    }
    const double highest = static_cast<double>(grid.levels - 1) - grid.zero;
    for (double step : grid.steps) {
      if (low / step > -grid.zero || high / step < highest - 0.5) return false;
    }
    return true;
  }

  Graph& g_;
};

}  // namespace

size_t move_channel_scales(Graph& g) {
  return Mover(g).run();
}

Pass channel_quantizers_pass() {
  Pass pass;
  pass.name = "channel_quantizers";
  pass.run = [](Graph& g, PassContext&) { return move_channel_scales(g); };
  return pass;
}

}  // namespace hone
