#include "cpu/kernels/training/convolution_geometry.hpp"

#include <algorithm>

#include "ops/convolution.hpp"

namespace hone::cpu::training {
namespace {

int64_t item(const std::vector<int64_t>& list, size_t axis, int64_t otherwise) {
  return axis < list.size() ? list[axis] : otherwise;
}

int64_t floor_div(int64_t a, int64_t b) {
  return a >= 0 ? a / b : -((-a + b - 1) / b);
}

/// Units of a channel block: small counts stay small, else 16, or 8 where that pads less.
int64_t choose_block(int64_t units) {
  if (units == 1) return 1;
  if (units <= 4) return 4;
  return (units + 15) / 16 * 16 == (units + 7) / 8 * 8 ? 16 : 8;
}

template <class Op>
std::string fill(const Op& op, const Shape& data, const Shape& result, size_t spatial, bool shape_given,
                 ConvolutionGeometry& g) {
  int64_t kernel[2] = {g.kernel_height, g.kernel_width}, stride[2] = {1, 1}, dilation[2] = {1, 1}, pad[2] = {0, 0};
  for (size_t a = 0; a < spatial; ++a) {
    const size_t at = a + 2 - spatial;
    stride[at] = item(op.strides, a, 1);
    dilation[at] = item(op.dilations, a, 1);
    pad[at] = item(op.pads_begin, a, 0);
    if (stride[at] < 1 || dilation[at] < 1) return "strides and dilations must be positive";
    if constexpr (requires { op.auto_pad; }) {
      if (op.auto_pad == AutoPad::valid) pad[at] = 0;
      if (op.auto_pad == AutoPad::same_upper || op.auto_pad == AutoPad::same_lower) {
        const int64_t all =
            std::max<int64_t>(0, (result[a + 2] - 1) * stride[at] + (kernel[at] - 1) * dilation[at] + 1 - data[a + 2]);
        pad[at] = op.auto_pad == AutoPad::same_upper ? all / 2 : (all + 1) / 2;
        // a transposed convolution pads so that its own output has the given size, the other way round
        if constexpr (requires { op.output_padding; }) {
          const int64_t extra =
              std::max<int64_t>(0, (result[a + 2] - 1) * stride[at] + (kernel[at] - 1) * dilation[at] + 1 +
                                       item(op.output_padding, a, 0) - data[a + 2]);
          pad[at] = !shape_given ? 0 : op.auto_pad == AutoPad::same_upper ? extra - extra / 2 : extra / 2;
        }
      }
    }
  }
  g.stride_y = stride[0], g.stride_x = stride[1];
  g.dilation_y = dilation[0], g.dilation_x = dilation[1];
  g.pad_top = pad[0], g.pad_left = pad[1];
  g.data_height = spatial == 2 ? data[2] : 1;
  g.data_width = data[spatial + 1];
  g.result_height = spatial == 2 ? result[2] : 1;
  g.result_width = result[spatial + 1];
  return {};
}

}  // namespace

bool channels_last(const TensorDesc& d) {
  if (d.shape.size() < 3) return d.layout == Layout::plain;
  if (d.layout == Layout::channels_last) return true;
  int64_t space = 1;
  for (size_t a = 2; a < d.shape.size(); ++a) space *= d.shape[a];
  return space == 1 || d.shape[1] == 1;
}

std::string refuse_activation(const TensorDesc& d, const char* what) {
  const std::string name(what);
  if (!d.present) return name + " is absent";
  if (d.type != ElementType::f32 && d.type != ElementType::bf16)
    return name + " is " + name_of(d.type) + ", not f32 or bf16";
  if (d.quantization) return name + " is quantized";
  if (!channels_last(d)) return name + " is not in channels_last order";
  return {};
}

std::string read_epilogue(const KernelQuery& q, AddedTensor& a) {
  if (q.epilogue.steps.empty()) return {};
  const char* no = "runs no epilogue but the addition of a tensor like the result";
  if (q.epilogue.steps.size() != 1 || q.epilogue.operands.size() != 1) return no;
  const EpilogueStep& s = q.epilogue.steps[0];
  const EpilogueOperand& operand = q.epilogue.operands[0];
  if (s.op != EpilogueOp::add || s.a + s.b != 1 || operand.spread != Spread::full || operand.input >= q.inputs.size())
    return no;
  const TensorDesc& d = q.inputs[operand.input];
  if (auto why = refuse_activation(d, "the added tensor"); !why.empty()) return why;
  if (d.shape != q.outputs[0].shape) return no;
  a = {true, operand.input, d.type == ElementType::f32 ? Storage::f32 : Storage::bf16};
  return {};
}

std::string read_geometry(const KernelQuery& q, ConvolutionGeometry& g) {
  const bool weights_wanted = q.op == ConvolutionBackpropWeights::name;
  const bool backward = q.op == ConvolutionBackpropData::name || q.op == GroupConvolutionBackpropData::name;
  const bool grouped = q.op == GroupConvolution::name || q.op == GroupConvolutionBackpropData::name;
  if (q.inputs.size() < 2 || q.outputs.empty()) return "inputs are missing";
  const Shape& data = backward ? q.outputs[0].shape : q.inputs[0].shape;
  const Shape& result = weights_wanted ? q.inputs[1].shape : backward ? q.inputs[0].shape : q.outputs[0].shape;
  if (data.size() != result.size() || data.size() < 3 || data.size() > 4) return "only one or two spatial dimensions";
  const size_t spatial = data.size() - 2;
  g.batch = data[0];
  const bool shape_given = q.inputs.size() > 2 && q.num_op_inputs > 2 && q.inputs[2].present;
  std::string why;
  if (weights_wanted) {
    const auto op = q.attrs<ConvolutionBackpropWeights>();
    g.groups = op.groups;
    g.kernel_height = spatial == 2 ? item(op.kernel, 0, 1) : 1;
    g.kernel_width = item(op.kernel, spatial - 1, 1);
    why = fill(op, data, result, spatial, shape_given, g);
  } else {
    const Shape& w = q.inputs[1].shape;
    if (w.size() != spatial + (grouped ? 3 : 2)) return "weights of an unexpected rank";
    g.groups = grouped ? w[0] : 1;
    g.kernel_height = spatial == 2 ? w[w.size() - 2] : 1;
    g.kernel_width = w.back();
    if (q.op == Convolution::name) why = fill(q.attrs<Convolution>(), data, result, spatial, shape_given, g);
    if (q.op == GroupConvolution::name) why = fill(q.attrs<GroupConvolution>(), data, result, spatial, shape_given, g);
    if (q.op == ConvolutionBackpropData::name)
      why = fill(q.attrs<ConvolutionBackpropData>(), data, result, spatial, shape_given, g);
    if (q.op == GroupConvolutionBackpropData::name)
      why = fill(q.attrs<GroupConvolutionBackpropData>(), data, result, spatial, shape_given, g);
  }
  if (!why.empty()) return why;
  if (g.groups < 1 || data[1] % g.groups || result[1] % g.groups) return "channels do not divide into the groups";
  g.data_channels = data[1] / g.groups;
  g.result_channels = result[1] / g.groups;
  for (int64_t n : {g.batch, g.data_channels, g.data_height, g.data_width, g.result_channels, g.result_height,
                    g.result_width, g.taps()})
    if (n < 1) return "an empty tensor";
  constexpr int64_t limit = int64_t{1} << 30;
  if (g.data_width * g.data_channels > limit || g.result_width * g.result_channels > limit ||
      g.taps() * g.data_channels * g.result_channels > limit)
    return "a row or the weights exceed 2^30 elements";
  return {};
}

std::string refuse_convolution(const KernelQuery& q, bool forward, ConvolutionGeometry& g) {
  if (q.inputs.size() < 2 || q.outputs.empty()) return "inputs are missing";
  AddedTensor added;
  if (auto why = read_epilogue(q, added); !why.empty()) return why;
  const TensorDesc& w = q.inputs[1];
  if (forward && w.constant) return "the weights are constant: kernels with packed weights are better";
  if (!w.packed.empty()) return "takes weights as they are, not packed";
  if (auto why = refuse_activation(q.inputs[0], "the input"); !why.empty()) return why;
  if (auto why = refuse_activation(q.outputs[0], "the output"); !why.empty()) return why;
  if (w.type != ElementType::f32 && w.type != ElementType::bf16) return "weights are not f32 or bf16";
  if (w.layout != Layout::plain) return "weights are not in plain order";
  return read_geometry(q, g);
}

std::string refuse_weight_gradient(const KernelQuery& q, ConvolutionGeometry& g) {
  if (!q.epilogue.empty()) return "an epilogue is not run here";
  if (q.inputs.size() < 2 || q.outputs.empty()) return "inputs are missing";
  if (auto why = refuse_activation(q.inputs[0], "x"); !why.empty()) return why;
  if (auto why = refuse_activation(q.inputs[1], "dy"); !why.empty()) return why;
  const TensorDesc& w = q.outputs[0];
  if ((w.type != ElementType::f32 && w.type != ElementType::bf16) || w.layout != Layout::plain)
    return "the result is not f32 or bf16 in plain order";
  return read_geometry(q, g);
}

std::string refuse_winograd(const ConvolutionGeometry& g) {
  if (g.groups != 1) return "grouped";
  const bool is_plain_3x3 = g.kernel_height == 3 && g.kernel_width == 3 && g.stride_x == 1 && g.stride_y == 1 &&
                            g.dilation_x == 1 && g.dilation_y == 1;
  return is_plain_3x3 ? "" : "not 3x3 with stride 1";
}

ConvolutionTables convolution_tables(const ConvolutionGeometry& g, bool forward, const TrainingIsa& isa, Storage in,
                                     Storage out, bool pairs) {
  ConvolutionTables t;
  DirectConvolution& c = t.conv;
  const int64_t channels_in = forward ? g.data_channels : g.result_channels;
  c.channels_out = forward ? g.result_channels : g.data_channels;
  c.height_in = forward ? g.data_height : g.result_height;
  c.rows.width_in = forward ? g.data_width : g.result_width;
  c.height_out = forward ? g.result_height : g.data_height;
  c.width_out = forward ? g.result_width : g.data_width;
  c.rows.pixel = channels_in * g.groups;
  c.rows.channels = channels_in;
  c.rows.storage = in;
  c.rows.pairs = pairs;
  c.pixel_in_row = c.rows.width_in * c.rows.pixel;
  c.pixel_out = c.channels_out * g.groups;
  c.out = out;
  const int64_t per_unit = pairs ? 2 : 1, units = (channels_in + per_unit - 1) / per_unit;
  c.rows.block = choose_block(units);
  c.rows.blocks = (units + c.rows.block - 1) / c.rows.block;
  const int64_t all_vectors = (c.channels_out + isa.lanes - 1) / isa.lanes, widest = isa.accumulators >= 24 ? 4 : 2;
  const int64_t tiles = (all_vectors + widest - 1) / widest;
  c.vectors = (all_vectors + tiles - 1) / tiles;

  // columns of the source that an output column reads: j + shift of a phase
  const int64_t sx = g.stride_x, sy = g.stride_y;
  int64_t least_shift = 0, most_shift = 0;
  if (forward) {
    c.rows.phases = sx;
    c.rows.base = -g.pad_left;
    most_shift = (g.kernel_width - 1) * g.dilation_x / sx;
  } else {
    c.rows.phases = 1;
    bool any = false;
    for (int64_t px = 0; px < sx; ++px)
      for (int64_t kx = 0; kx < g.kernel_width; ++kx) {
        const int64_t at = px + g.pad_left - kx * g.dilation_x;
        if (floor_div(at, sx) * sx != at) continue;
        const int64_t shift = floor_div(at, sx);
        least_shift = any ? std::min(least_shift, shift) : shift;
        most_shift = any ? std::max(most_shift, shift) : shift;
        any = true;
      }
    c.rows.base = least_shift;
  }
  const int64_t widest_phase = forward ? c.width_out : (c.width_out + sx - 1) / sx;
  c.rows.width = widest_phase + most_shift - least_shift;

  const int64_t taps = g.taps();
  const int64_t block = c.rows.block;
  auto add_units = [&](int64_t cb, int64_t tap) {
    for (int64_t u = 0; u < block; ++u) {
      const int64_t ch = (cb * block + u) * per_unit;
      // the gradient walks over result channels, whose stride in [result][data][taps] is data_channels * taps
      const int64_t stride = forward ? taps : g.data_channels * taps;
      t.first_element.push_back(ch < channels_in ? static_cast<int32_t>(ch * stride + tap) : -1);
      t.second_element.push_back(pairs && ch + 1 < channels_in ? static_cast<int32_t>((ch + 1) * stride + tap) : -1);
    }
  };
  const int64_t phases_y = forward ? 1 : std::min(sy, c.height_out), phases_x = forward ? 1 : std::min(sx, c.width_out);
  for (int64_t py = 0; py < phases_y; ++py) {
    for (int64_t px = 0; px < phases_x; ++px) {
      Phase p{};
      p.y0 = py, p.x0 = px;
      p.y_step = forward ? 1 : sy, p.x_step = forward ? 1 : sx;
      p.row_step = forward ? sy : 1;
      p.first_run = static_cast<int64_t>(t.runs.size());
      p.first_unit = static_cast<int64_t>(t.first_element.size());
      for (int64_t i = 0; i < g.kernel_height; ++i) {
        // the gradient takes taps backwards, so that its runs grow with the address too
        const int64_t ky = forward ? i : g.kernel_height - 1 - i;
        const int64_t at_y = forward ? ky * g.dilation_y - g.pad_top : py + g.pad_top - ky * g.dilation_y;
        if (!forward && floor_div(at_y, sy) * sy != at_y) continue;
        const int64_t row = forward ? at_y : floor_div(at_y, sy);
        for (int64_t cb = 0; cb < c.rows.blocks; ++cb) {
          for (int64_t j = 0; j < g.kernel_width; ++j) {
            const int64_t kx = forward ? j : g.kernel_width - 1 - j;
            int64_t phase = 0, shift = 0;
            if (forward) {
              phase = kx * g.dilation_x % sx;
              shift = kx * g.dilation_x / sx;
            } else {
              const int64_t at_x = px + g.pad_left - kx * g.dilation_x;
              if (floor_div(at_x, sx) * sx != at_x) continue;
              shift = floor_div(at_x, sx) - least_shift;
            }
            const int64_t offset = ((cb * c.rows.phases + phase) * c.rows.width + shift) * block;
            const auto unit = static_cast<int64_t>(t.first_element.size()) - p.first_unit;
            add_units(cb, ky * g.kernel_width + kx);
            const bool joins = static_cast<int64_t>(t.runs.size()) > p.first_run && t.runs.back().row == row &&
                               t.runs.back().offset + t.runs.back().length == offset;
            if (joins)
              t.runs.back().length += static_cast<int32_t>(block);
            else
              t.runs.push_back({static_cast<int32_t>(row), static_cast<int32_t>(offset), static_cast<int32_t>(block),
                                static_cast<int32_t>(unit)});
          }
        }
      }
      p.run_count = static_cast<int64_t>(t.runs.size()) - p.first_run;
      p.unit_count = static_cast<int64_t>(t.first_element.size()) - p.first_unit;
      t.most_runs = std::max(t.most_runs, p.run_count);
      t.phases.push_back(p);
    }
  }
  const int64_t left = forward ? g.pad_left : (g.kernel_width - 1) * g.dilation_x - g.pad_left;
  c.same_rows = g.kernel_width == 3 && sx == 1 && sy == 1 && g.dilation_x == 1 && left == 1 &&
                c.rows.width_in == c.width_out && g.groups == 1 && channels_in == c.rows.blocks * block * per_unit &&
                (in == Storage::bf16) == pairs;
  c.units = static_cast<int64_t>(t.first_element.size());
  c.phases = t.phases.data();
  c.phase_count = static_cast<int64_t>(t.phases.size());
  c.runs = t.runs.data();
  return t;
}

void ConvolutionTables::source_rows(int64_t y0, int64_t y1, int64_t& row0, int64_t& row1) const {
  row0 = conv.height_in, row1 = 0;
  for (const Phase& p : phases) {
    const int64_t first = y0 <= p.y0 ? 0 : (y0 - p.y0 + p.y_step - 1) / p.y_step;
    if (p.y0 + first * p.y_step >= y1) continue;
    const int64_t last = (y1 - 1 - p.y0) / p.y_step;
    for (int64_t i = 0; i < p.run_count; ++i) {
      const int64_t row = runs[static_cast<size_t>(p.first_run + i)].row;
      row0 = std::min(row0, std::max<int64_t>(0, first * p.row_step + row));
      row1 = std::max(row1, std::min(conv.height_in, last * p.row_step + row + 1));
    }
  }
  row1 = std::max(row0, row1);
}

GradientTables gradient_tables(const ConvolutionGeometry& g, const TrainingIsa& isa, Storage x, Storage dy,
                               bool pairs) {
  (void)isa;
  GradientTables t;
  WeightGradient& w = t.gradient;
  w.height_in = g.data_height;
  w.height_out = g.result_height;
  w.width_out = g.result_width;
  w.row_step = g.stride_y;
  PackedRows& r = w.rows;
  r.width_in = g.data_width;
  r.pixel = g.data_channels * g.groups;
  r.channels = g.data_channels;
  r.storage = x;
  r.pairs = pairs;
  r.block = choose_block(g.data_channels);
  r.blocks = (g.data_channels + r.block - 1) / r.block;
  r.phases = g.stride_x;
  r.base = -g.pad_left;
  r.width = g.result_width + (g.kernel_width - 1) * g.dilation_x / g.stride_x;
  w.pixel_in_row = r.width_in * r.pixel;
  w.image_in = g.data_height * w.pixel_in_row;
  w.pixel_out = g.result_channels * g.groups;
  w.channels_out = g.result_channels;
  w.image_out = g.result_height * g.result_width * w.pixel_out;
  w.out = dy;
  w.copy_out = pairs || dy == Storage::bf16;
  for (int64_t cb = 0; cb < r.blocks; ++cb) {
    for (int64_t ky = 0; ky < g.kernel_height; ++ky) {
      const size_t first = t.runs.size();
      for (int64_t kx = 0; kx < g.kernel_width; ++kx) {
        const int64_t phase = kx * g.dilation_x % g.stride_x, shift = kx * g.dilation_x / g.stride_x;
        const int64_t offset = ((cb * r.phases + phase) * r.width + shift) * r.block;
        const auto unit = static_cast<int32_t>(t.element.size());
        for (int64_t u = 0; u < r.block; ++u) {
          const int64_t ch = cb * r.block + u;
          t.element.push_back(ch < g.data_channels ? static_cast<int32_t>(ch * g.taps() + ky * g.kernel_width + kx)
                                                   : -1);
        }
        if (t.runs.size() > first && t.runs.back().offset + t.runs.back().length == offset)
          t.runs.back().length += static_cast<int32_t>(r.block);
        else
          t.runs.push_back({static_cast<int32_t>(ky * g.dilation_y - g.pad_top), static_cast<int32_t>(offset),
                            static_cast<int32_t>(r.block), unit});
      }
    }
  }
  w.same_rows = g.kernel_width == 3 && g.stride_x == 1 && g.stride_y == 1 && g.dilation_x == 1 && g.pad_left == 1 &&
                g.data_width == g.result_width && g.data_width >= 2 && r.block >= 8 && g.data_channels % r.block == 0;
  w.units = static_cast<int64_t>(t.element.size());
  w.runs = t.runs.data();
  w.run_count = static_cast<int64_t>(t.runs.size());
  return t;
}

void GradientTables::source_rows(int64_t y0, int64_t y1, int64_t& row0, int64_t& row1) const {
  row0 = gradient.height_in, row1 = 0;
  for (const Run& run : runs) {
    row0 = std::min(row0, std::max<int64_t>(0, y0 * gradient.row_step + run.row));
    row1 = std::max(row1, std::min(gradient.height_in, (y1 - 1) * gradient.row_step + run.row + 1));
  }
  row1 = std::max(row0, row1);
}

}  // namespace hone::cpu::training
