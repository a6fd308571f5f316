// LSTM, GRU and RNN as ONNX nodes: gates and axes back in its order; Einsum, pictures, columns and samplers by name.
#include <cctype>

#include "formats/onnx/emit.hpp"
#include "ops/blocks.hpp"
#include "ops/einsum.hpp"
#include "ops/image_decoder.hpp"
#include "ops/recurrent.hpp"
#include "ops/sampling.hpp"

namespace hone::onnx {
namespace {

std::string swapped(EmitContext& e, const std::string& v, std::vector<int64_t> order) {
  return e.op("Transpose", {v}, AttributeList().ints("perm", order));
}

// Blocks of gates along axis 1 in another order.
std::string reordered(EmitContext& e, const std::string& v, size_t blocks, const std::vector<size_t>& order,
                      int64_t hidden) {
  std::vector<std::string> parts;
  for (size_t k : order) {
    const auto from = static_cast<int64_t>(k) * hidden;
    if (k < blocks) parts.push_back(e.op("Slice", {v, e.ints({from}), e.ints({from + hidden}), e.ints({1})}));
  }
  return parts.size() == 1 ? parts[0] : e.op("Concat", parts, AttributeList().i("axis", 1));
}

template <class Op>
AttributeList attributes(EmitContext& e, const Op& op) {
  const char* directions[] = {"forward", "reverse", "bidirectional"};
  AttributeList a;
  a.i("hidden_size", op.hidden_size).s("direction", directions[static_cast<size_t>(op.direction)]);
  if (op.clip > 0) a.f("clip", op.clip);
  auto plain = [](std::string s) {
    for (char& c : s) c = static_cast<char>(std::tolower(c));
    return s;
  };
  const Op usual;
  // The usual ones once, or once for each direction.
  const size_t n = usual.activations.size();
  bool same = op.activations.size() % n == 0 && op.activations_alpha.empty() && op.activations_beta.empty();
  for (size_t k = 0; same && k < op.activations.size(); ++k)
    same = plain(op.activations[k]) == usual.activations[k % n];
  if (!same) e.refuse("with other activations than the usual ones is not offered in ONNX");
  return a;
}

// Outputs: Y [T, D, N, H] and the states [D, N, H], turned back to Hone's axes.
void outputs(EmitContext& e, const char* type, const std::vector<std::string>& in, const AttributeList& a,
             size_t states) {
  std::vector<std::string> raw{e.w.fresh(e.out(0) + "_raw")};
  for (size_t k = 1; k <= states; ++k) raw.push_back(e.w.fresh(e.out(k) + "_raw"));
  e.w.emit(type, in, raw, a, e.node.name());
  e.result_to(0, "Transpose", {raw[0]}, AttributeList().ints("perm", {2, 1, 0, 3}));
  for (size_t k = 1; k <= states; ++k) e.result_to(k, "Transpose", {raw[k]}, AttributeList().ints("perm", {1, 0, 2}));
}

int64_t directions(RecurrentDirection d) {
  return d == RecurrentDirection::bidirectional ? 2 : 1;
}
std::string lengths(EmitContext& e, size_t i) {
  return e.has(i) ? e.cast(e.in(i), ElementType::i32) : std::string();
}
// ONNX adds two biases; the second is zero.
std::string doubled(EmitContext& e, const std::string& bias, int64_t d, int64_t n) {
  return e.op("Concat", {bias, e.constant(Tensor(ElementType::f32, {d, n}))}, AttributeList().i("axis", 1));
}

void lstm(EmitContext& e) {
  const auto& op = e.as<LSTMSequence>();
  const int64_t h = op.hidden_size;
  const std::vector<size_t> order{1, 3, 0, 2};  // f, i, c, o -> i, o, f, c
  AttributeList a = attributes(e, op);
  if (op.input_forget) a.i("input_forget", 1);
  std::vector<std::string> in{
      swapped(e, e.in(0), {1, 0, 2}),
      reordered(e, e.in(4), 4, order, h),
      reordered(e, e.in(5), 4, order, h),
      e.has(6) ? doubled(e, reordered(e, e.in(6), 4, order, h), directions(op.direction), 4 * h) : std::string(),
      lengths(e, 3),
      swapped(e, e.in(1), {1, 0, 2}),
      swapped(e, e.in(2), {1, 0, 2})};
  if (e.has(7)) in.push_back(e.in(7));
  outputs(e, "LSTM", in, a, 2);
}

void gru(EmitContext& e) {
  const auto& op = e.as<GRUSequence>();
  const int64_t h = op.hidden_size, d = directions(op.direction);
  std::string bias;
  if (e.has(5) && op.linear_before_reset) {
    // z, r, input part of h, recurrent part of h -> Wz Wr Wh, then 0 0 Rh.
    const auto first = reordered(e, e.in(5), 4, {0, 1, 2}, h), last = reordered(e, e.in(5), 4, {3}, h);
    bias =
        e.op("Concat", {first, e.constant(Tensor(ElementType::f32, {d, 2 * h})), last}, AttributeList().i("axis", 1));
  } else if (e.has(5)) {
    bias = doubled(e, e.in(5), d, 3 * h);
  }
  outputs(e, "GRU",
          {swapped(e, e.in(0), {1, 0, 2}), e.in(3), e.in(4), bias, lengths(e, 2), swapped(e, e.in(1), {1, 0, 2})},
          attributes(e, op).i("linear_before_reset", op.linear_before_reset), 1);
}

void rnn(EmitContext& e) {
  const auto& op = e.as<RNNSequence>();
  const std::string bias = e.has(5) ? doubled(e, e.in(5), directions(op.direction), op.hidden_size) : std::string();
  outputs(e, "RNN",
          {swapped(e, e.in(0), {1, 0, 2}), e.in(3), e.in(4), bias, lengths(e, 2), swapped(e, e.in(1), {1, 0, 2})},
          attributes(e, op), 1);
}

void einsum(EmitContext& e) {
  e.result("Einsum", e.ins(), AttributeList().s("equation", e.as<Einsum>().equation));
}

void grid_sample(EmitContext& e) {
  const auto& op = e.as<GridSample>();
  e.needs(16);
  const bool renamed = e.opset >= 20;
  const char* mode = op.mode == GridMode::nearest    ? "nearest"
                     : op.mode == GridMode::bilinear ? (renamed ? "linear" : "bilinear")
                                                     : (renamed ? "cubic" : "bicubic");
  const char* padding[] = {"zeros", "border", "reflection"};
  e.result("GridSample", e.ins(),
           AttributeList()
               .i("align_corners", op.align_corners)
               .s("mode", mode)
               .s("padding_mode", padding[static_cast<size_t>(op.padding_mode)]));
}

// Inputs of Hone: signal [N, length], window, frame size, frame step.
void image_decoder(EmitContext& e) {
  e.needs(20);
  const char* formats[] = {"RGB", "BGR", "Grayscale"};
  e.result("ImageDecoder", e.ins(),
           AttributeList().s("pixel_format", formats[static_cast<size_t>(e.as<ImageDecoder>().pixel_format)]));
}

void col2im(EmitContext& e) {
  e.needs(18);
  const auto& op = e.as<Col2Im>();
  std::vector<int64_t> pads = op.pads_begin;
  pads.insert(pads.end(), op.pads_end.begin(), op.pads_end.end());
  AttributeList a;
  if (!op.strides.empty()) a.ints("strides", op.strides);
  if (!op.dilations.empty()) a.ints("dilations", op.dilations);
  if (!pads.empty()) a.ints("pads", pads);
  e.result("Col2Im", {e.in(0), e.cast(e.in(1), ElementType::i64), e.cast(e.in(2), ElementType::i64)}, a);
}

void determinant(EmitContext& e) {
  e.result("Det", e.ins());
}

constexpr EmitRow rows[] = {
    {"Col2Im", col2im},          {"Determinant", determinant},    {"Einsum", einsum},     {"GRUSequence", gru},
    {"GridSample", grid_sample}, {"ImageDecoder", image_decoder}, {"LSTMSequence", lstm}, {"RNNSequence", rnn},
};

}  // namespace

std::span<const EmitRow> emit_recurrent_rows() {
  return rows;
}

}  // namespace hone::onnx
