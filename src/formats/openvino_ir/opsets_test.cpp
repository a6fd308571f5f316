#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "formats/openvino_ir/reader.hpp"
#include "formats/openvino_ir/writer.hpp"
#include "graph/builder.hpp"
#include "graph/text.hpp"
#include "hone/error.hpp"
#include "ops/evaluate.hpp"
#include "ops/pooling.hpp"
#include "ops/random.hpp"
#include "ops/recurrent.hpp"
#include "ops/sampling.hpp"

namespace hone {
namespace {

bool holds(const Graph& g, std::string_view op) {
  for (NodeId id : g.topological_order()) {
    if (g.node(id).op->name == op) return true;
  }
  return false;
}

Graph lstm(bool input_forget) {
  Graph g;
  Builder b(g);
  LSTMSequence op{2};
  op.input_forget = input_forget;
  const auto f32 = [&](PartialShape s) { return b.parameter(ElementType::f32, s); };
  const Values out = b.all(
      op, {f32({1, 3, 2}), f32({1, 1, 2}), f32({1, 1, 2}), b.ints({3}), f32({1, 8, 2}), f32({1, 8, 2}), f32({1, 8})});
  b.result(out[0]);
  return g;
}

TEST(OpenVinoOpsets, expands_what_openvino_would_compute_otherwise) {
  EXPECT_TRUE(holds(ir::prepared_for_ir(lstm(false)), "LSTMSequence"));
  const Graph coupled = ir::prepared_for_ir(lstm(true));
  EXPECT_FALSE(holds(coupled, "LSTMSequence"));
  EXPECT_TRUE(holds(coupled, "MatMul"));
}

TEST(OpenVinoOpsets, refuses_attributes_that_openvino_lacks) {
  Graph g;
  Builder b(g);
  const Value x = b.parameter(ElementType::f32, {1, 1, 8, 8});
  AvgPool pool{{1, 1}, {0, 0}, {0, 0}, {2, 2}};
  pool.dilations = {2, 2};
  b.result(b(pool, x));
  EXPECT_THROW(ir::prepared_for_ir(g), Error);
  Graph h;
  Builder c(h);
  ROIAlign roi{2, 2};
  roi.mode = RoiMode::max_neighbour;
  const Value boxes = c.parameter(ElementType::f32, {1, 4}), images = c.parameter(ElementType::i64, {1});
  c.result(c(roi, c.parameter(ElementType::f32, {1, 1, 8, 8}), boxes, images));
  EXPECT_THROW(ir::prepared_for_ir(h), Error);
}

// Each operator with inputs as parameters, and the same from its own IR.
TEST(OpenVinoOpsets, operators_mean_the_same_after_writing_and_reading) {
  for (const char* name : {"MulticlassNms", "MatrixNms", "Proposal", "GenerateProposals",
                           "ExperimentalDetectronGenerateProposalsSingleImage", "ExperimentalDetectronDetectionOutput",
                           "PSROIPooling", "DeformablePSROIPooling", "NMSRotated", "ROIAlignRotated",
                           "CTCGreedyDecoder", "CTCGreedyDecoderSeqLen", "CTCLoss", "Col2Im", "GatherTree", "Inverse",
                           "SparseFillEmptyRows", "StringTensorPack", "StringTensorUnpack"}) {
    const OpDef* op = find_op(name);
    ASSERT_TRUE(op) << name;
    for (const Sample& sample : op->samples()) {
      Graph g;
      Builder b(g);
      Values in;
      std::vector<Datum> values;
      for (const Datum& d : sample.inputs) {
        in.push_back(b.parameter(Type(d.tensor().element_type(), PartialShape(d.tensor().shape())),
                                 "in" + std::to_string(in.size())));
        values.push_back(d);
      }
      const Node node = b.add(*op, sample.attributes, in);
      for (size_t i = 0; i < node.num_outputs(); ++i) b.result(node.output(i), "out" + std::to_string(i));
      const auto [xml, weights] = to_openvino_ir(g);
      const Graph back = parse_openvino_ir(xml, weights, nullptr);
      EXPECT_TRUE(holds(back, name));
      const auto want = evaluate(g, values), got = evaluate(back, values);
      ASSERT_EQ(want.size(), got.size()) << name;
      for (size_t i = 0; i < want.size(); ++i)
        EXPECT_TRUE(got[i].tensor().identical(want[i].tensor())) << name << " output " << i;
    }
  }
}

Tensor drawn(const std::string& attributes, std::vector<float> probabilities, int64_t count) {
  const auto classes = std::to_string(probabilities.size());
  const std::string xml =
      "<net name='n' version='11'><layers><layer id='0' name='p' type='Parameter' version='opset1'><data shape='1," +
      classes +
      "' element_type='f32'/><output><port id='0' precision='FP32'/></output></layer><layer id='1' name='k' "
      "type='Parameter' version='opset1'>"
      "<data shape='' element_type='i64'/><output><port id='0' precision='I64'/></output></layer><layer id='2' "
      "name='m' type='Multinomial' version='opset13'><data " +
      attributes +
      " global_seed='1' op_seed='2'/><input><port id='0'/><port id='1'/></input><output><port id='2' "
      "precision='I64'/></output></layer>"
      "<layer id='3' name='r' type='Result' version='opset1'><input><port "
      "id='0'/></input></layer></layers><edges><edge from-layer='0' from-port='0' to-layer='2' "
      "to-port='0'/><edge from-layer='1' from-port='0' to-layer='2' to-port='1'/><edge from-layer='2' from-port='2' "
      "to-layer='3' to-port='0'/></edges></net>";
  const Graph g = parse_openvino_ir(xml, {}, nullptr);
  const Tensor p =
      Tensor::of<float>({1, static_cast<int64_t>(probabilities.size())}, std::span<const float>(probabilities));
  return evaluate(g, {p, Tensor::scalar<int64_t>(count)})[0].tensor();
}

TEST(OpenVinoOpsets, multinomial_draws_by_its_probabilities) {
  for (const bool log : {false, true}) {
    std::vector<float> p{1, 0, 3, 4};
    if (log) {
      for (float& v : p) v = std::log(v);
    }
    const std::string flags = "convert_type='i32' log_probs='" + std::string(log ? "true" : "false") + "'";
    const Tensor many = drawn(flags + " with_replacement='true'", p, 20000);
    ASSERT_EQ(many.element_type(), ElementType::i32);
    std::vector<double> share(4);
    for (int64_t c : many.to_ints()) share.at(static_cast<size_t>(c)) += 1.0 / 20000;
    // Four standard deviations of 20,000 draws.
    EXPECT_NEAR(share[0], 0.125, 0.01);
    EXPECT_EQ(share[1], 0);
    EXPECT_NEAR(share[2], 0.375, 0.014);
    EXPECT_NEAR(share[3], 0.5, 0.0145);
    auto once = drawn(flags + " with_replacement='false'", p, 3).to_ints();
    std::sort(once.begin(), once.end());
    EXPECT_EQ(once, (std::vector<int64_t>{0, 2, 3}));
  }
}

TEST(OpenVinoOpsets, random_numbers_are_the_same_after_writing_and_reading) {
  Graph g;
  Builder b(g);
  const Value shape = b.parameter(ElementType::i64, {2}, "shape"),
              state = b.constant(Tensor::of<uint64_t>({2}, {77, 0}));
  const Node draw = b.add(op_def<RandomUniform>(), std::make_shared<RandomUniform>(),
                          {shape, b.scalar<float>(-1), b.scalar<float>(2), state});
  b.result(draw.output(0), "y");
  const auto [xml, weights] = to_openvino_ir(g);
  EXPECT_EQ(std::string(xml).find("u64"), std::string::npos);  // no layer for the state
  const Tensor size = Tensor::of<int64_t>({2}, {3, 5});
  const Tensor want = evaluate(g, {size})[0].tensor();
  EXPECT_TRUE(evaluate(parse_openvino_ir(xml, weights, nullptr), {size})[0].tensor().identical(want));
  // A state that somebody goes on with cannot be a seed.
  b.result(draw.output(1), "state");
  EXPECT_THROW(to_openvino_ir(g), Error);
}

TEST(OpenVinoOpsets, best_boxes_are_filled_up_with_zeros) {
  const std::string xml =
      "<net name='n' version='11'><layers><layer id='0' name='b' type='Parameter' version='opset1'><data shape='2,4' "
      "element_type='f32'/><output><port id='0' "
      "precision='FP32'/></output></layer><layer id='1' name='s' type='Parameter' version='opset1'><data shape='2' "
      "element_type='f32'/><output><port id='0' "
      "precision='FP32'/></output></layer><layer id='2' name='t' type='ExperimentalDetectronTopKROIs' "
      "version='opset6'><data max_rois='3'/><input><port id='0'/>"
      "<port id='1'/></input><output><port id='2' precision='FP32'/></output></layer><layer id='3' name='r' "
      "type='Result' version='opset1'><input><port id='0'/></input>"
      "</layer></layers><edges><edge from-layer='0' from-port='0' to-layer='2' to-port='0'/><edge from-layer='1' "
      "from-port='0' to-layer='2' to-port='1'/>"
      "<edge from-layer='2' from-port='2' to-layer='3' to-port='0'/></edges></net>";
  const Graph g = parse_openvino_ir(xml, {}, nullptr);
  const Tensor boxes = Tensor::of<float>({2, 4}, {1, 2, 3, 4, 5, 6, 7, 8}),
               scores = Tensor::of<float>({2}, {0.1f, 0.9f});
  EXPECT_EQ(evaluate(g, {boxes, scores})[0].tensor().to_doubles(),
            (std::vector<double>{5, 6, 7, 8, 1, 2, 3, 4, 0, 0, 0, 0}));
}

}  // namespace
}  // namespace hone
