// Rows that move elements: bits must arrive unchanged at the right place.
#include "ops/movement.hpp"

#include "cpu/kernels/kernel_test.hpp"
#include "ops/basic.hpp"
#include "ops/indexing.hpp"

namespace hone::cpu::test {
namespace {

using enum ElementType;
constexpr Layout last = Layout::channels_last, plain = Layout::plain;

std::vector<size_t> coordinates(size_t index, const Shape& shape) {
  std::vector<size_t> c(shape.size());
  for (size_t k = shape.size(); k-- > 0;) {
    c[k] = index % size_t(shape[k]);
    index /= size_t(shape[k]);
  }
  return c;
}
size_t index_of(const std::vector<size_t>& c, const Shape& shape) {
  size_t i = 0;
  for (size_t k = 0; k < shape.size(); ++k) i = i * size_t(shape[k]) + c[k];
  return i;
}

// `from(logical output index)` gives the logical index in input 0.
template <class F>
void expect_moved(Node& node, F from) {
  const TensorDesc &x = node.q.inputs[0], &y = node.q.outputs[0];
  const auto order = logical_order(y.shape, y.layout), place = memory_order(x.shape, x.layout);
  const size_t bytes = byte_size(y.type, 1);
  EXPECT_GT(node.each_row([&](const Buffer& out, const std::string& where) {
    for (size_t i = 0; i < order.size(); ++i) {
      const auto* source = static_cast<const uint8_t*>(node.inputs[0]) + place[from(order[i])] * bytes;
      ASSERT_EQ(std::memcmp(out.data + i * bytes, source, bytes), 0)
          << where << " at " << i << " of " << hone::to_string(y.shape);
    }
  }),
            0)
      << node.op;
}

TEST(Movement, transpose_permutes) {
  struct Case {
    Shape in;
    std::vector<int64_t> order;
    Layout from = plain, to = plain;
  };
  for (const Case& c : std::vector<Case>{{{37, 51}, {1, 0}},
                                         {{2, 33, 5, 7}, {0, 2, 3, 1}},
                                         {{2, 5, 7, 33}, {0, 3, 1, 2}},
                                         {{3, 4, 5}, {2, 1, 0}},
                                         {{2, 3, 4, 5}, {0, 2, 1, 3}},
                                         {{300, 200}, {1, 0}},
                                         {{2, 70}, {1, 0}},
                                         {{70, 2}, {1, 0}},
                                         {{3, 4, 50}, {0, 2, 1}},
                                         {{3, 50, 4}, {0, 2, 1}},
                                         {{40, 300}, {1, 0}},
                                         {{2, 18, 3, 4}, {0, 2, 3, 1}, last, plain}}) {
    for (auto type : {f32, bf16, u8, i64}) {
      Node node(Transpose{});
      node.input(Node::desc(type, c.in, c.from));
      node.constant(Tensor::of<int64_t>({int64_t(c.order.size())}, std::span<const int64_t>(c.order)));
      Shape out;
      for (int64_t i : c.order) out.push_back(c.in[size_t(i)]);
      node.q.outputs = {Node::desc(type, out, c.to)};
      expect_moved(node, [&](size_t i) {
        const auto at = coordinates(i, out);
        std::vector<size_t> from(at.size());
        for (size_t k = 0; k < at.size(); ++k) from[size_t(c.order[k])] = at[k];
        return index_of(from, c.in);
      });
    }
  }
}

TEST(Movement, shuffle_mixes_the_groups) {
  for (auto type : {f32, bf16, u8}) {
    for (const auto& each : {std::pair{Shape{2, 40, 3, 5}, 2},
                             {Shape{1, 116, 2, 2}, 58},
                             {Shape{2, 12, 4, 3}, 3},
                             {Shape{1, 64, 3, 3}, 4},
                             {Shape{1, 64, 3, 3}, 16}}) {
      const Shape& shape = each.first;
      const int group = each.second;
      for (Layout layout : {plain, last}) {
        Node node(ShuffleChannels{1, group});
        node.input(Node::desc(type, shape, layout));
        node.q.outputs = {Node::desc(type, shape, layout)};
        expect_moved(node, [&](size_t i) {
          auto at = coordinates(i, shape);
          const size_t c = at[1], groups = size_t(group), size = size_t(shape[1]) / groups;
          at[1] = c % groups * size + c / groups;
          return index_of(at, shape);
        });
      }
    }
  }
}

TEST(Movement, channels_become_space_and_back) {
  for (auto type : {f32, bf16, u8}) {
    for (Layout layout : {plain, last}) {
      for (const DepthMode mode : {DepthMode::blocks_first, DepthMode::depth_first}) {
        for (const int64_t block : {2, 3}) {
          const int64_t c = 9, h = 4, w = 7;
          const Shape deep{2, c * block * block, h, w}, wide{2, c, h * block, w * block};
          const auto n = size_t(block), channels = size_t(c);
          const auto channel = [&](size_t ch, size_t y, size_t x) {
            return mode == DepthMode::blocks_first ? (y * n + x) * channels + ch : (ch * n + y) * n + x;
          };
          Node spread(DepthToSpace{mode, block});
          spread.input(Node::desc(type, deep, layout));
          spread.q.outputs = {Node::desc(type, wide, layout)};
          expect_moved(spread, [&](size_t i) {
            auto at = coordinates(i, wide);
            at[1] = channel(at[1], at[2] % n, at[3] % n);
            at[2] /= n, at[3] /= n;
            return index_of(at, deep);
          });
          Node gathered(SpaceToDepth{mode, block});
          gathered.input(Node::desc(type, wide, layout));
          gathered.q.outputs = {Node::desc(type, deep, layout)};
          expect_moved(gathered, [&](size_t i) {
            auto at = coordinates(i, deep);
            for (size_t ch = 0; ch < channels; ++ch) {
              for (size_t place = 0; place < n * n; ++place) {
                if (channel(ch, place / n, place % n) != at[1]) continue;
                auto from = at;
                from[1] = ch, from[2] = at[2] * n + place / n, from[3] = at[3] * n + place % n;
                return index_of(from, wide);
              }
            }
            return size_t(0);
          });
        }
      }
    }
  }
}

TEST(Movement, reorder_changes_the_layout_only) {
  for (auto type : {f32, bf16, i8}) {
    for (Shape shape : {Shape{2, 3, 19, 21}, Shape{1, 70, 4, 5}, Shape{2, 5, 6}, Shape{1, 4, 3, 2, 5}}) {
      for (auto [a, b] : {std::pair{plain, last}, {last, plain}}) {
        Node node(Reorder{});
        node.input(Node::desc(type, shape, a));
        node.q.outputs = {Node::desc(type, shape, b)};
        expect_moved(node, [](size_t i) { return i; });
      }
    }
  }
}

TEST(Movement, concat_and_split_along_any_axis) {
  for (Layout layout : {plain, last}) {
    for (int64_t axis : {0, 1, 2, -1}) {
      const size_t a = size_t(axis < 0 ? 3 : axis);
      Shape s0 = {2, 5, 3, 4}, s1 = s0, y = s0;
      s1[a] = 7;
      y[a] += 7;
      Node node(Concat{.axis = axis});
      node.input(Node::desc(bf16, s0, layout));
      node.input(Node::desc(bf16, s1, layout));
      node.q.outputs = {Node::desc(bf16, y, layout)};
      const auto order = logical_order(y, layout), p0 = memory_order(s0, layout), p1 = memory_order(s1, layout);
      EXPECT_GT(node.each_row([&](const Buffer& out, const std::string& where) {
        for (size_t i = 0; i < order.size(); ++i) {
          auto at = coordinates(order[i], y);
          const bool second = at[a] >= size_t(s0[a]);
          if (second) at[a] -= size_t(s0[a]);
          const double want = second ? node.value(1, p1[index_of(at, s1)]) : node.value(0, p0[index_of(at, s0)]);
          ASSERT_EQ(read(node.q.outputs[0], out.data, i), want) << where;
        }
      }),
                0);

      Node split(VariadicSplit{});
      split.input(Node::desc(bf16, y, layout));
      split.constant(Tensor::scalar<int64_t>(axis));
      split.constant(Tensor::of<int64_t>({2}, {s0[a], 7}));
      split.q.outputs = {Node::desc(bf16, s0, layout), Node::desc(bf16, s1, layout)};
      expect_moved(split, [&](size_t i) { return index_of(coordinates(i, s0), y); });
      // A program keeps no shape for an output that nobody reads.
      split.q.outputs[1] = {};
      split.q.outputs[1].present = false;
      expect_moved(split, [&](size_t i) { return index_of(coordinates(i, s0), y); });
    }
  }
}

TEST(Movement, slice_with_steps) {
  for (Layout layout : {plain, last}) {
    const Shape in = {3, 8, 7, 6}, out = {3, 3, 4, 6};
    Node node(Slice{});
    node.input(Node::desc(f32, in, layout));
    node.constant(Tensor::of<int64_t>({2}, {1, -1}));
    node.constant(Tensor::of<int64_t>({2}, {7, -100}));
    node.constant(Tensor::of<int64_t>({2}, {2, -2}));
    node.constant(Tensor::of<int64_t>({2}, {1, 2}));
    node.q.outputs = {Node::desc(f32, out, layout)};
    expect_moved(node, [&](size_t i) {
      auto at = coordinates(i, out);
      at[1] = 1 + 2 * at[1];
      at[2] = 6 - 2 * at[2];
      return index_of(at, in);
    });
  }
}

TEST(Movement, strided_slice_with_masks) {
  // x[..., ::-2, 4, newaxis, 1:-1]
  const Shape in = {3, 5, 7, 6}, out = {3, 3, 1, 4};
  StridedSlice op;
  op.begin_mask = {0, 1, 0, 0, 0};
  op.end_mask = {0, 1, 0, 0, 0};
  op.ellipsis_mask = {1, 0, 0, 0, 0};
  op.shrink_axis_mask = {0, 0, 1, 0, 0};
  op.new_axis_mask = {0, 0, 0, 1, 0};
  for (auto type : {f32, i64, u8}) {
    Node node(op);
    node.input(Node::desc(type, in));
    node.constant(Tensor::of<int64_t>({5}, {0, 0, -3, 0, 1}));
    node.constant(Tensor::of<int64_t>({5}, {0, 0, 0, 0, -1}));
    node.constant(Tensor::of<int64_t>({5}, {1, -2, 1, 1, 1}));
    node.q.outputs = {Node::desc(type, out)};
    expect_moved(node, [&](size_t i) {
      const auto at = coordinates(i, out);
      return index_of({at[0], 4 - 2 * at[1], 4, at[3] + 1}, in);
    });
  }
}

TEST(Movement, tile_repeats_whole_tensors) {
  const Shape in = {2, 3, 5}, out = {2, 4, 3, 15};
  for (auto type : {f32, bf16, i64}) {
    Node node(Tile{});
    node.input(Node::desc(type, in));
    node.constant(Tensor::of<int64_t>({4}, {2, 2, 1, 3}));
    node.q.outputs = {Node::desc(type, out)};
    expect_moved(node, [&](size_t i) {
      const auto at = coordinates(i, out);
      return index_of({at[1] % 2, at[2], at[3] % 5}, in);
    });
  }
}

TEST(Movement, pad_fills_and_crops) {
  for (Layout layout : {plain, last}) {
    for (auto type : {f32, u8}) {
      const Shape in = {2, 3, 4, 5}, out = {2, 6, 3, 8};
      Node node(Pad{});
      node.input(Node::desc(type, in, layout));
      node.constant(Tensor::of<int64_t>({4}, {0, 1, -1, 3}));
      node.constant(Tensor::of<int64_t>({4}, {0, 2, 0, 0}));
      node.constant(Tensor::scalar<float>(0.6f));
      node.q.outputs = {Node::desc(type, out, layout)};
      const auto order = logical_order(out, layout), place = memory_order(in, layout);
      EXPECT_GT(node.each_row([&](const Buffer& b, const std::string& where) {
        for (size_t i = 0; i < order.size(); ++i) {
          const auto at = coordinates(order[i], out);
          const bool inside = at[1] >= 1 && at[1] < 4 && at[3] >= 3;
          const double want =
              inside ? node.value(0, place[index_of({at[0], at[1] - 1, at[2] + 1, at[3] - 3}, in)]) : 0.6;
          ASSERT_NEAR(read(node.q.outputs[0], b.data, i), want, 1e-6) << where << " at " << i;
        }
      }),
                0);
    }
  }
}

TEST(Movement, broadcast_repeats) {
  Node node(Broadcast{});
  node.input(Node::desc(f32, {3, 1, 5}));
  node.constant(Tensor::of<int64_t>({4}, {2, 3, 4, 5}));
  node.q.outputs = {Node::desc(f32, {2, 3, 4, 5})};
  expect_moved(node, [](size_t i) { return i / 20 % 3 * 5 + i % 5; });
}

TEST(Movement, gather_nd_copies_blocks_and_reports_bad_indices) {
  const Shape in = {2, 3, 4, 5};
  for (int64_t batch : {0, 1}) {
    const Shape at = batch == 0 ? Shape{3, 2} : Shape{2, 2, 2};
    const std::vector<int32_t> indices =
        batch == 0 ? std::vector<int32_t>{0, -1, 1, 2, -2, 0} : std::vector<int32_t>{2, 3, -1, -4, 0, 0, 1, 2};
    Node node(GatherND{batch});
    node.input(Node::desc(f32, in));
    node.constant(Tensor::of<int32_t>(at, std::span<const int32_t>(indices)));
    const Shape out = batch == 0 ? Shape{3, 4, 5} : Shape{2, 2, 5};
    node.q.outputs = {Node::desc(f32, out)};
    const size_t block = batch == 0 ? 20 : 5;
    expect_moved(node, [&](size_t i) {
      const size_t place = i / block;
      auto index = [&](size_t k, size_t axis) {
        const int64_t v = indices[place * 2 + k];
        return size_t(v < 0 ? v + in[axis] : v);
      };
      if (batch == 0) return (index(0, 0) * 3 + index(1, 1)) * 20 + i % block;
      return ((place / 2 * 3 + index(0, 1)) * 4 + index(1, 2)) * 5 + i % block;
    });
  }
  Node bad(GatherND{});
  bad.input(Node::desc(f32, {4, 2}));
  bad.constant(Tensor::of<int64_t>({1, 1}, {4}));
  bad.q.outputs = {Node::desc(f32, {1, 2})};
  for (const Kernel* row : kernels_for("GatherND")) {
    if (std::string(row->provider) != "hone") continue;
    ThreadPool pool(1);
    Buffer out(8);
    std::vector<void*> outputs{out.data};
    RunError error;
    row->prepare(bad.q)->run({bad.inputs, outputs, nullptr, pool, &error});
    EXPECT_TRUE(error.failed);
  }
}

TEST(Movement, gather_copies_rows_and_reports_bad_indices) {
  for (int64_t axis : {0, 1, 2}) {
    const Shape in = {4, 5, 6};
    const std::vector<int64_t> indices = {3, -1, 0, 2};
    Shape out = in;
    out[size_t(axis)] = 4;
    Node node(Gather{});
    node.input(Node::desc(f32, in));
    node.constant(Tensor::of<int64_t>({4}, std::span<const int64_t>(indices)));
    node.constant(Tensor::scalar<int64_t>(axis));
    node.q.outputs = {Node::desc(f32, out)};
    expect_moved(node, [&](size_t i) {
      auto at = coordinates(i, out);
      const int64_t k = indices[at[size_t(axis)]];
      at[size_t(axis)] = size_t(k < 0 ? k + in[size_t(axis)] : k);
      return index_of(at, in);
    });
  }
  Node bad(Gather{});
  bad.input(Node::desc(f32, {4, 2}));
  bad.constant(Tensor::of<int32_t>({1}, {4}));
  bad.constant(Tensor::scalar<int64_t>(0));
  bad.q.outputs = {Node::desc(f32, {1, 2})};
  for (const Kernel* row : kernels_for("Gather")) {
    if (std::string(row->provider) != "hone") continue;
    auto prepared = row->prepare(bad.q);
    float out[2];
    void* outputs[] = {out};
    ThreadPool pool(1);
    RunError error;
    prepared->run({bad.inputs, outputs, nullptr, pool, &error});
    EXPECT_TRUE(error.failed);
    EXPECT_EQ(std::string(error.message), "[Gather] an index lies outside of the axis");
  }
}

}  // namespace
}  // namespace hone::cpu::test
