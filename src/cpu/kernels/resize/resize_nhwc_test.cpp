// Rows of Interpolate over channels-last images against plain double loops over the tables of its axes (the tables
// themselves are checked against other implementations by the samples of the operator).
#include "cpu/kernels/kernel_test.hpp"
#include "ops/resize_table.hpp"

namespace hone::cpu::test {
namespace {

using enum ElementType;

Node resize_node(const Interpolate& op, ElementType in, ElementType out, int64_t channels, int64_t h, int64_t w,
                 int64_t oh, int64_t ow) {
  Node node(op);
  node.input(Node::desc(in, {2, channels, h, w}, Layout::channels_last));
  if (op.shape_calculation_mode == ShapeCalculation::sizes) {
    node.constant(Tensor::of<int64_t>({2}, {oh, ow}));
  } else {
    node.constant(Tensor::of<float>({2}, {float(oh) / float(h), float(ow) / float(w)}));
  }
  node.constant(Tensor::of<int64_t>({2}, {2, 3}));
  node.q.outputs = {Node::desc(out, {2, channels, oh, ow}, Layout::channels_last)};
  return node;
}

void check(const Interpolate& op, ElementType in, ElementType out, int64_t channels, int64_t h, int64_t w, int64_t oh,
           int64_t ow, Layout layout = Layout::channels_last) {
  if (skip_case()) return;
  Node node = resize_node(op, in, out, channels, h, w, oh, ow);
  node.q.outputs[0].layout = layout;
  const AxisTable rows = table_of(op, {2, h, oh, float(oh) / float(h)}),
                  columns = table_of(op, {3, w, ow, float(ow) / float(w)});
  std::vector<double> want;
  for (int64_t n = 0; n < 2; ++n) {
    for (const auto& ys : rows.taps) {
      for (const auto& xs : columns.taps) {
        for (int64_t c = 0; c < channels; ++c) {
          double sum = 0;
          for (const Tap& y : ys) {
            for (const Tap& x : xs)
              sum += y.weight * x.weight * node.value(0, size_t(((n * h + y.at) * w + x.at) * channels + c));
          }
          want.push_back(sum);
        }
      }
    }
  }
  if (layout == Layout::plain) {
    std::vector<double> planes;
    for (int64_t n = 0; n < 2; ++n) {
      for (int64_t c = 0; c < channels; ++c) {
        for (int64_t p = 0; p < oh * ow; ++p) planes.push_back(want[size_t((n * oh * ow + p) * channels + c)]);
      }
    }
    want = planes;
  }
  EXPECT_GT(node.expect(want, 2e-6, 10), 0) << hone::to_string(node.q.outputs[0].shape);
}

TEST(Interpolate, channels_last_images_match_the_plain_loop) {
  for (const Interpolate& op : std::vector<Interpolate>{
           {.mode = InterpolateMode::linear_onnx},
           {.mode = InterpolateMode::linear_onnx, .coordinate_transformation_mode = CoordinateMode::align_corners},
           {.mode = InterpolateMode::linear, .antialias = true},
           {.mode = InterpolateMode::cubic, .coordinate_transformation_mode = CoordinateMode::pytorch_half_pixel},
           {.mode = InterpolateMode::bicubic_pillow, .cube_coeff = -0.5},
           {.mode = InterpolateMode::nearest,
           .shape_calculation_mode = ShapeCalculation::scales,
           .coordinate_transformation_mode = CoordinateMode::asymmetric,
           .nearest_mode = NearestMode::floor}}) {
    for (auto [in, out] : {std::pair{f32, f32}, {bf16, bf16}, {f16, f16}, {u8, u8}, {i8, i8}, {u8, f32}}) {
      check(op, in, out, 21, 4, 5, 8, 10);
      check(op, in, out, 64, 1, 1, 3, 7);
      check(op, in, out, 3, 12, 10, 6, 5);
      check(op, in, out, 17, 6, 4, 6, 8);
      // to planes: wide ones in blocks, and positions too far apart for them
      check(op, in, out, 3, 5, 20, 7, 45, Layout::plain);
      check(op, in, out, 2, 3, 90, 3, 21, Layout::plain);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(Interpolate, nearest_copies_elements_of_any_type) {
  Node node = resize_node({.mode = InterpolateMode::nearest}, i32, i32, 5, 2, 3, 4, 6);
  EXPECT_GT(node.each_row([&](const Buffer& out, const std::string& where) {
    for (int64_t i = 0; i < 2 * 4 * 6; ++i) {
      const int64_t x = i % 6 / 2, y = i / 6 % 4 / 2, n = i / 24;
      ASSERT_EQ(
          std::memcmp(out.data + i * 20, static_cast<const uint8_t*>(node.inputs[0]) + ((n * 2 + y) * 3 + x) * 20, 20),
          0)
          << where << " pixel " << i;
    }
  }),
            0);
}

TEST(Interpolate, refuses_what_it_cannot_resize) {
  const auto refused = [](const Node& node, const char* what) {
    for (const Kernel* row : kernels_for("Interpolate")) {
      if (std::string(row->name).find("nhwc") == std::string::npos) continue;
      const Support s = row->supports(node.q);
      EXPECT_FALSE(s) << row->name << " takes " << what;
    }
  };
  refused(resize_node({.coordinate_transformation_mode = CoordinateMode::tf_crop_and_resize}, f32, f32, 4, 2, 2, 4, 4),
          "a crop");
  refused(resize_node({.pads_begin = {0, 0, 1, 0}}, f32, f32, 4, 2, 2, 4, 4), "pads");
  Node unknown = resize_node({.mode = InterpolateMode::linear}, f32, f32, 4, 2, 2, 4, 4);
  unknown.q.inputs[1].value = Tensor();
  refused(unknown, "sizes that are not known");
  Node channels = resize_node({.mode = InterpolateMode::linear}, f32, f32, 4, 2, 2, 2, 2);
  channels.q.inputs[1].value = Tensor::of<int64_t>({2}, {8, 2});
  channels.q.inputs[2].value = Tensor::of<int64_t>({2}, {1, 3});
  channels.q.outputs[0].shape = {2, 8, 2, 2};
  refused(channels, "channels");
}

}  // namespace
}  // namespace hone::cpu::test
