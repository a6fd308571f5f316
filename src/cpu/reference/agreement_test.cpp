// Rows that move, pick and sample, against the reference evaluation of their operators.
#include <numeric>

#include "cpu/kernels/kernel_test.hpp"
#include "cpu/reference/reference.hpp"
#include "ops/indexing.hpp"
#include "ops/movement.hpp"
#include "ops/normalization.hpp"
#include "ops/pooling.hpp"
#include "ops/resize.hpp"
#include "ops/sampling.hpp"

namespace hone::cpu::test {
namespace {

using enum ElementType;
constexpr Layout last = Layout::channels_last, plain = Layout::plain;

Tensor ints(std::vector<int64_t> v) {
  return Tensor::of<int64_t>({int64_t(v.size())}, std::span<const int64_t>(v));
}
Tensor indices(std::mt19937& rng, ElementType type, const Shape& shape, int64_t low, int64_t high) {
  Tensor t(type, shape);
  std::uniform_int_distribution<int64_t> pick(low, high);
  for (size_t i = 0; i < t.size(); ++i) set_integer(t, i, pick(rng));
  return t;
}
void output(Node& node, ElementType type, Shape shape, Layout layout = plain) {
  node.q.outputs.push_back(Node::desc(type, std::move(shape), layout));
  node.q.outputs.back().quantization = node.q.inputs[0].quantization;
}

// Every row of Hone's on every level against the reference; at least one must take the node.
void expect_reference(Node& node, double tolerance = 0) {
  const Kernel* reference = nullptr;
  for (const Kernel& row : reference_kernels()) {
    if (row.op == node.op) reference = &row;
  }
  ASSERT_TRUE(reference) << node.op;
  KernelQuery plain_query = node.q;
  std::vector<const void*> inputs = node.inputs;
  std::vector<Buffer> moved;
  for (size_t i = 0; i < inputs.size(); ++i) {
    TensorDesc& d = plain_query.inputs[i];
    if (d.layout == plain) continue;
    const auto place = memory_order(d.shape, d.layout);
    const size_t bytes = byte_size(d.type, 1);
    moved.emplace_back(d.bytes());
    for (size_t k = 0; k < place.size(); ++k)
      std::memcpy(moved.back().data + k * bytes, static_cast<const uint8_t*>(inputs[i]) + place[k] * bytes, bytes);
    inputs[i] = moved.back().data;
    d.layout = plain;
  }
  for (TensorDesc& d : plain_query.outputs) d.layout = plain;
  const auto want = run_row_outputs(*reference, plain_query, inputs, 1);
  std::set<const Kernel*> seen;
  for (const std::string& level : levels()) {
    ScopedFeatures cap(features_of(level));
    for (const Kernel* row : kernels_for(node.op)) {
      if (std::string(row->provider) != "hone" || seen.count(row) || !row->supports(node.q)) continue;
      seen.insert(row);
      for (int threads : {1, 3}) {
        const auto got = run_row_outputs(*row, node.q, node.inputs, threads);
        for (size_t o = 0; o < got.size(); ++o) {
          const TensorDesc& d = node.q.outputs[o];
          const auto order = logical_order(d.shape, d.layout);
          const size_t bytes = byte_size(d.type, 1);
          for (size_t k = 0; k < order.size(); ++k) {
            const uint8_t *a = got[o].data + k * bytes, *b = want[o].data + order[k] * bytes;
            if (tolerance == 0 || is_integer(d.type)) {
              ASSERT_EQ(std::memcmp(a, b, bytes), 0)
                  << row->name << " output " << o << " at " << k << " of " << hone::to_string(d.shape) << ": "
                  << read(d, got[o].data, k) << " is not " << read(d, want[o].data, order[k]);
            } else {
              const double v = read(d, want[o].data, order[k]), g = read(d, got[o].data, k);
              if (std::isnan(v) && std::isnan(g)) continue;
              ASSERT_NEAR(g, v, tolerance * (1 + std::fabs(v))) << row->name << " at " << k;
            }
          }
        }
      }
    }
  }
  EXPECT_FALSE(seen.empty()) << "no row takes " << node.op << " of " << hone::to_string(node.q.inputs[0].shape);
}

TEST(Pad, repeats_elements_of_the_data) {
  struct Case {
    Shape shape;
    std::vector<int64_t> begins, ends;
  };
  for (const Case& c : std::vector<Case>{{{2, 3, 7, 9}, {0, 0, 1, 2}, {0, 0, 2, 1}},
                                         {{2, 5, 4, 6}, {1, 2, 0, 0}, {0, 1, 0, 0}},
                                         {{1, 3, 5, 4}, {0, 0, 3, 3}, {0, 0, 3, 3}},
                                         {{6}, {9}, {14}},
                                         {{3, 8}, {-1, 2}, {1, -3}},
                                         {{4, 5}, {0, 0}, {0, 0}},
                                         {{2, 3, 4, 5, 3}, {0, 1, 1, 0, 1}, {0, 0, 2, 1, 1}}}) {
    for (PadMode mode : {PadMode::edge, PadMode::reflect, PadMode::symmetric}) {
      for (ElementType type : {f32, bf16, u8, i64}) {
        for (Layout layout : {plain, last}) {
          if (layout == last && c.shape.size() < 3) continue;
          Node node(Pad{mode});
          node.input(Node::desc(type, c.shape, layout));
          node.constant(ints(c.begins));
          node.constant(ints(c.ends));
          Shape out = c.shape;
          for (size_t i = 0; i < out.size(); ++i) out[i] += c.begins[i] + c.ends[i];
          output(node, type, out, layout);
          expect_reference(node);
        }
      }
    }
  }
}

struct Elements {
  Shape data, indices;
  int64_t axis;
};
const std::vector<Elements> element_cases = {
    {{2, 5, 7, 3}, {2, 5, 4, 3}, 2}, {{2, 5, 7, 3}, {1, 9, 6, 2}, 1}, {{40}, {700}, 0},
    {{3, 300}, {3, 20}, 1},          {{9, 600}, {30, 600}, 0},        {{4, 6, 5}, {9, 5, 4}, -3},
    {{4, 3, 5}, {4, 3, 0}, 2},       {{7, 4, 5, 3}, {9, 4, 5, 3}, 0}, {{2, 3, 7, 5, 4}, {2, 3, 9, 5, 4}, 2},
    {{3, 4, 5}, {2, 4, 9}, 2}};

TEST(GatherElements, reads_along_any_axis) {
  for (const Elements& c : element_cases) {
    for (ElementType type : {f32, f16, boolean, i64}) {
      for (ElementType index : {i32, i64}) {
        Node node(GatherElements{c.axis});
        node.input(Node::desc(type, c.data));
        const int64_t n = c.data[size_t(c.axis < 0 ? c.axis + int64_t(c.data.size()) : c.axis)];
        node.constant(indices(node.rng, index, c.indices, -n, n - 1));
        output(node, type, c.indices);
        expect_reference(node);
      }
    }
  }
}

TEST(ScatterElementsUpdate, writes_and_reduces_along_any_axis) {
  using enum ScatterReduction;
  for (const Elements& c : element_cases) {
    for (ScatterReduction reduction : {none, sum, prod, min, max, mean}) {
      for (bool init : {true, false}) {
        for (ElementType type : {f32, i64, u8}) {
          if (type == u8 && (reduction != none || !init)) continue;
          Node node(ScatterElementsUpdate{reduction, init});
          node.input(Node::desc(type, c.data)).quantization = nullptr;
          const int64_t n = c.data[size_t(c.axis < 0 ? c.axis + int64_t(c.data.size()) : c.axis)];
          node.constant(indices(node.rng, init ? i64 : i32, c.indices, -n, n - 1));
          node.input(Node::desc(type, c.indices)).quantization = nullptr;
          node.constant(Tensor::scalar<int64_t>(c.axis));
          output(node, type, c.data);
          expect_reference(node);
        }
      }
    }
  }
}

// An index for each row, broadcast along it.
TEST(ScatterElementsUpdate, writes_and_gathers_whole_rows) {
  Tensor at(i64, {6, 20, 9});
  for (size_t i = 0; i < at.size(); ++i) set_integer(at, i, std::vector<int64_t>{4, -1, 0, 4, 2, 7}[i / 180]);
  for (ElementType type : {f32, u8, i64}) {
    for (ScatterReduction reduction : {ScatterReduction::none, ScatterReduction::sum, ScatterReduction::mean}) {
      if (type == u8 && reduction != ScatterReduction::none) continue;
      Node node(ScatterElementsUpdate{reduction});
      node.input(Node::desc(type, {8, 20, 9})).quantization = nullptr;
      node.constant(at);
      node.input(Node::desc(type, {6, 20, 9})).quantization = nullptr;
      node.constant(Tensor::scalar<int64_t>(0));
      output(node, type, {8, 20, 9});
      expect_reference(node);
    }
    Node node(GatherElements{0});
    node.input(Node::desc(type, {8, 20, 9})).quantization = nullptr;
    node.constant(at);
    output(node, type, {6, 20, 9});
    expect_reference(node);
  }
}

TEST(ScatterNDUpdate, writes_and_reduces_blocks) {
  using enum ScatterReduction;
  struct Case {
    Shape data, indices;
  };
  for (const Case& c : std::vector<Case>{{{20, 300}, {50, 1}},
                                         {{4, 5, 6}, {7, 2}},
                                         {{4, 5, 6}, {3, 2, 3}},
                                         {{8}, {30, 1}},
                                         {{3, 4}, {2, 0}},
                                         {{3, 4}, {0, 1}}}) {
    for (ScatterReduction reduction : {none, sum, prod, min, max}) {
      for (ElementType type : {f32, i64, f16}) {
        if (type == f16 && reduction != none) continue;
        Node node(ScatterNDUpdate{reduction});
        node.input(Node::desc(type, c.data));
        Tensor at(reduction == sum ? i32 : i64, c.indices);
        const size_t used = size_t(c.indices.back());
        for (size_t i = 0; i < at.size(); ++i) {
          const int64_t n = c.data[i % used];
          set_integer(at, i, std::uniform_int_distribution<int64_t>(-n, n - 1)(node.rng));
        }
        node.constant(at);
        Shape updates(c.indices.begin(), c.indices.end() - 1);
        updates.insert(updates.end(), c.data.begin() + int64_t(used), c.data.end());
        node.input(Node::desc(type, updates));
        output(node, type, c.data);
        expect_reference(node);
      }
    }
  }
}

TEST(ScatterUpdate, writes_blocks_of_an_axis) {
  for (int64_t axis : {0, 1, -1}) {
    for (ElementType type : {f32, f16}) {
      Node node(ScatterUpdate{});
      const Shape data = {6, 7, 5};
      node.input(Node::desc(type, data));
      const size_t a = size_t(axis < 0 ? axis + 3 : axis);
      node.constant(indices(node.rng, i32, {2, 4}, -data[a], data[a] - 1));
      Shape updates = data;
      updates[a] = 2;
      updates.insert(updates.begin() + int64_t(a) + 1, 4);
      node.input(Node::desc(type, updates));
      node.constant(Tensor::scalar<int64_t>(axis));
      output(node, type, data);
      expect_reference(node);
    }
  }
}

TEST(OneHot, of_any_axis_and_type) {
  for (int64_t axis : {0, 1, -1}) {
    for (NegativeIndices mode : {NegativeIndices::ignore_negative, NegativeIndices::normalize}) {
      for (ElementType type : {f32, boolean, i64}) {
        Node node(OneHot{axis, mode});
        node.constant(indices(node.rng, type == f32 ? i32 : i64, {30, 40}, -9, 9));
        node.constant(Tensor::scalar<int64_t>(7));
        for (int on : {1, 0}) {
          Tensor t(type, {});
          set_integer(t, 0, on);
          node.constant(t);
        }
        Shape out = {30, 40};
        out.insert(axis < 0 ? out.end() : out.begin() + axis, 7);
        output(node, type, out);
        expect_reference(node);
      }
    }
  }
}

TEST(TopK, of_one_finds_the_first_of_the_best) {
  struct Case {
    Shape shape;
    int64_t axis;
  };
  for (const Case& c : std::vector<Case>{{{2, 21, 700}, 1}, {{40, 77}, -1}, {{3, 5}, 1}, {{1000}, 0}, {{9, 3}, 0}}) {
    for (TopKMode mode : {TopKMode::max, TopKMode::min}) {
      for (ElementType type : {f32, i32}) {
        Node node(TopK{.axis = c.axis, .mode = mode, .index_element_type = type == f32 ? i64 : i32});
        // Few different values: ties count.
        Tensor x = indices(node.rng, type, c.shape, -4, 4);
        if (type == f32) {
          set_element(x, 2, -0.0);
          set_element(x, x.size() - 1, mode == TopKMode::max ? INFINITY : -INFINITY);
          set_element(x, x.size() / 2, NAN);
        }
        node.constant(x);
        node.constant(Tensor::scalar<int64_t>(1));
        Shape out = c.shape;
        out[size_t(c.axis < 0 ? c.axis + int64_t(out.size()) : c.axis)] = 1;
        output(node, type, out);
        output(node, type == f32 ? i64 : i32, out);
        expect_reference(node);
      }
    }
  }
}

TEST(GridSample, reads_in_all_modes) {
  for (GridMode mode : {GridMode::bilinear, GridMode::nearest, GridMode::bicubic}) {
    for (GridPadding padding : {GridPadding::zeros, GridPadding::border, GridPadding::reflection}) {
      for (bool corners : {false, true}) {
        for (auto [shape, h, w, reach] : {std::tuple{Shape{2, 3, 9, 11}, 13, 17, 2.5},
                                          {Shape{1, 5, 16, 4}, 5, 40, 0.7},
                                          {Shape{1, 2, 1, 6}, 3, 2, 1.5}}) {
          Node node(GridSample{corners, mode, padding});
          node.input(Node::desc(f32, shape));
          node.input(Node::desc(f32, {shape[0], h, w, 2}), -reach, reach);
          static_cast<float*>(const_cast<void*>(node.inputs[1]))[3] = NAN;
          static_cast<float*>(const_cast<void*>(node.inputs[1]))[4] = 1;
          output(node, f32, {shape[0], shape[1], h, w});
          expect_reference(node, 1e-5);
        }
      }
    }
  }
}

TEST(ROIAlign, pools_boxes_in_all_modes) {
  for (RoiMode mode : {RoiMode::avg, RoiMode::max, RoiMode::max_neighbour}) {
    for (RoiAlignedMode aligned :
         {RoiAlignedMode::asymmetric, RoiAlignedMode::half_pixel_for_nn, RoiAlignedMode::half_pixel}) {
      for (int64_t ratio : {0, 2, 13}) {
        Node node(ROIAlign{3, 5, ratio, 0.75, mode, aligned});
        node.input(Node::desc(f32, {2, 3, 20, 18}));
        node.input(Node::desc(f32, {12, 4}), -6, 30);
        node.constant(indices(node.rng, ratio == 2 ? i64 : i32, {12}, 0, 1));
        output(node, f32, {12, 3, 3, 5});
        expect_reference(node, 1e-5);
      }
    }
  }
}

// More channels than a vector has, boxes inside and outside, and those that are turned over.
TEST(ROIAlign, pools_many_channels) {
  for (int64_t channels : {16, 37}) {
    for (RoiAlignedMode aligned : {RoiAlignedMode::asymmetric, RoiAlignedMode::half_pixel}) {
      for (int64_t ratio : {0, 1, 2}) {
        Node node(ROIAlign{7, 4, ratio, 0.5, RoiMode::avg, aligned});
        node.input(Node::desc(f32, {2, channels, 9, 30}));
        node.input(Node::desc(f32, {40, 4}), -20, 80);
        node.constant(indices(node.rng, i64, {40}, 0, 1));
        output(node, f32, {40, channels, 7, 4});
        expect_reference(node, 1e-5);
      }
    }
  }
}

TEST(Interpolate, of_neighbouring_axes_in_the_plain_layout) {
  struct Case {
    Shape in, out;
  };
  for (const Case& c : std::vector<Case>{{{2, 1, 7, 9}, {2, 1, 14, 20}},
                                         {{2, 7, 9, 5}, {2, 14, 6, 5}},
                                         {{3, 40}, {3, 17}},
                                         {{1, 6, 50, 2, 3}, {1, 6, 25, 2, 3}},
                                         {{4, 5, 6}, {8, 10, 6}}}) {
    for (InterpolateMode mode : {InterpolateMode::nearest, InterpolateMode::linear_onnx, InterpolateMode::cubic}) {
      for (CoordinateMode coordinates :
           {CoordinateMode::half_pixel, CoordinateMode::align_corners, CoordinateMode::asymmetric}) {
        for (ElementType type : {f32, i32, u8}) {
          if (type != f32 && mode != InterpolateMode::nearest) continue;
          Node node(Interpolate{.mode = mode, .coordinate_transformation_mode = coordinates});
          node.input(Node::desc(type, c.in));
          node.constant(ints({c.out.begin(), c.out.end()}));
          output(node, type, c.out);
          expect_reference(node, 1e-5);
        }
      }
    }
  }
}

TEST(MaxPool, of_bytes_that_stand_for_no_real_numbers) {
  for (ElementType type : {u8, i8}) {
    Node node(MaxPool{.strides = {2, 2}, .pads_begin = {1, 1}, .pads_end = {1, 1}, .kernel = {3, 3}});
    node.input(Node::desc(type, {2, 37, 12, 14}, last)).quantization = nullptr;
    output(node, type, {2, 37, 6, 7}, last);
    expect_reference(node);
  }
}

TEST(LRN, along_one_axis_of_both_layouts) {
  struct Case {
    Shape shape;
    int64_t axis, size;
    double beta;
  };
  for (const Case& c : std::vector<Case>{{{2, 37, 9, 31}, 1, 5, 0.75},
                                         {{1, 300, 3, 4}, 1, 4, 0.5},
                                         {{2, 3, 5, 4}, 1, 7, 0.6},
                                         {{3, 700}, -1, 9, 0.75},
                                         {{2, 4, 30, 5}, 2, 1, 1}}) {
    for (Layout layout : {plain, last}) {
      if (layout == last && c.shape.size() < 3) continue;
      Node node(LRN{0.02, c.beta, 1.5, c.size});
      node.input(Node::desc(f32, c.shape, layout));
      node.constant(ints({c.axis}));
      output(node, f32, c.shape, layout);
      expect_reference(node, 1e-5);
    }
  }
}

TEST(Reverse, turns_axes) {
  for (const std::vector<int64_t>& axes : {std::vector<int64_t>{0}, {-1}, {1, 2}, {0, 1, 2, 3}, {}}) {
    for (ElementType type : {f32, u8, i64}) {
      for (Layout layout : {plain, last}) {
        Node node(Reverse{axes});
        node.input(Node::desc(type, {3, 5, 4, 6}, layout));
        output(node, type, {3, 5, 4, 6}, layout);
        expect_reference(node);
      }
    }
  }
}

TEST(Tile, repeats_every_axis) {
  for (const std::vector<int64_t>& times : {std::vector<int64_t>{2, 1, 3, 2, 2}, {1, 1, 1, 5, 1}, {3, 2, 1, 1, 4}}) {
    Node node(Tile{});
    Shape shape = {3, 5, 4, 6, 2};
    node.input(Node::desc(f32, shape));
    node.constant(ints(times));
    for (size_t i = 0; i < shape.size(); ++i) shape[i] *= times[i];
    output(node, f32, shape);
    expect_reference(node);
  }
}

TEST(Indices, outside_of_the_axis_are_reported) {
  Node node(GatherElements{0});
  node.input(Node::desc(f32, {4}));
  node.constant(ints({1, 4}));
  output(node, f32, {2});
  Node scatter(ScatterNDUpdate{});
  scatter.input(Node::desc(f32, {4}));
  scatter.constant(Tensor::of<int64_t>({2, 1}, {1, -5}));
  scatter.input(Node::desc(f32, {2}));
  output(scatter, f32, {4});
  for (Node* n : {&node, &scatter}) {
    int rows = 0;
    for (const Kernel* row : kernels_for(n->op)) {
      if (std::string(row->provider) != "hone" || !row->supports(n->q)) continue;
      ++rows;
      Buffer out(n->q.outputs[0].bytes());
      std::vector<void*> outs = {out.data};
      ThreadPool pool(1);
      RunError error;
      row->prepare(n->q)->run({n->inputs, outs, nullptr, pool, &error});
      EXPECT_TRUE(error.failed) << row->name;
    }
    EXPECT_GT(rows, 0);
  }
}

}  // namespace
}  // namespace hone::cpu::test
