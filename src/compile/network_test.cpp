// Whole networks: inference and training steps of the zoo, against the interpreter.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "compile/compile.hpp"
#include "compile/graph_file.hpp"
#include "compile/model_file.hpp"
#include "grad/train_step.hpp"
#include "graph/text.hpp"
#include "hone/error.hpp"
#include "ops/evaluate.hpp"
#include "ops/samples.hpp"
#include "zoo/zoo.hpp"

namespace hone {
namespace {

Graph network(std::string_view name, int64_t batch, int64_t size = 16) {
  NetworkOptions o;
  o.classes = 10;
  o.channels = 3;
  o.height = o.width = size;
  Graph g = build_network(name, o);
  PartialShape s = g.inputs()[0].shape();
  s[0] = Dimension(batch);
  g.reshape({{g.inputs()[0].id, s}});
  return g;
}

TrainStep small_train_step(const TrainStepOptions& options, int64_t batch = 4) {
  TrainStep t = train_step(network("resnet8", batch), options);
  std::map<ValueId, PartialShape> shapes;
  for (const Value& v : t.graph.inputs()) {
    PartialShape s = v.shape();
    if (!s.rank_known() || s.rank() == 0 || s.is_static()) continue;
    s[0] = Dimension(batch);
    shapes[v.id] = s;
  }
  t.graph.reshape(shapes);
  return t;
}

std::vector<Datum> step_inputs(const Graph& g, int step) {
  std::vector<Datum> in;
  for (const Value& v : g.inputs()) {
    const Shape s = v.shape().to_shape();
    if (v.element_type() == ElementType::i64) {
      Tensor labels(ElementType::i64, s);
      for (size_t i = 0; i < labels.size(); ++i) labels.data<int64_t>()[i] = static_cast<int64_t>(i * 3 % 10);
      in.emplace_back(labels);
    } else if (v.node().name() == "learning_rate") {
      in.emplace_back(Tensor::scalar<float>(0.05f));
    } else if (s.empty()) {
      in.emplace_back(Tensor::scalar<float>(v.node().name() == "step" ? float(step + 1) : 0.9f));
    } else {
      in.emplace_back(random_tensor(s, 3, 0, 1));
    }
  }
  return in;
}

double largest(const Tensor& a, const Tensor& b) {
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(get_element(a, i) - get_element(b, i)));
  return worst;
}

double largest_value(const Tensor& a) {
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(get_element(a, i)));
  return worst;
}

TEST(Network, inference_in_f32_equals_the_interpreter) {
  for (const char* name : {"resnet8", "mobilenet_v2"}) {
    const Graph g = network(name, 2, 32);
    const Tensor x = random_tensor(g.inputs()[0].shape().to_shape(), 5, 0, 1);
    const Tensor wanted = evaluate(g, {x})[0].tensor();
    CompiledGraph c = compile_model(g, {.threads = 2});
    // Sums of a few hundred products per layer in another order.
    EXPECT_LE(largest(c.infer({x})[0].tensor(), wanted), 1e-4 * std::max(1.0, largest_value(wanted))) << name;
  }
}

TEST(Network, bf16_stays_close_to_f32) {
  const Graph g = network("resnet8", 2);
  const Tensor x = random_tensor(g.inputs()[0].shape().to_shape(), 5, 0, 1);
  const Tensor wanted = evaluate(g, {x})[0].tensor();
  CompiledGraph c = compile_model(g, {.precision = Precision::bf16, .threads = 1});
  EXPECT_LE(largest(c.infer({x})[0].tensor(), wanted), 0.03 * largest_value(wanted));  // 8 bits of mantissa
}

TEST(Network, int8_of_a_float_model_is_refused_with_what_to_type) {
  try {
    compile_model(network("resnet8", 1), {.precision = Precision::int8});
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::usage);
    EXPECT_NE(e.hint().find("hone quantize"), std::string::npos);
  }
}

TEST(Network, automatic_precision_says_what_it_measured) {
  CompiledGraph c =
      compile_model(network("resnet8", 1), {.precision = Precision::automatic, .threads = 1, .tune_seconds = 0.05});
  EXPECT_NE(c.report().choice.find("taken"), std::string::npos) << c.report().choice;
  EXPECT_NE(c.report().choice.find("f32: "), std::string::npos);
  EXPECT_EQ(c.program()->info.at("precision"), name_of(c.report().precision));
}

TEST(TrainStep, equals_the_interpreter_step_by_step) {
  for (const OptimizerKind kind : {OptimizerKind::sgd, OptimizerKind::adamw}) {
    TrainStepOptions o;
    o.optimizer = kind;
    o.label_smoothing = 0.1;
    o.clip_norm = 1;
    o.ema_decay = 0.9;
    const TrainStep t = small_train_step(o);
    CompiledGraph c = compile_model(t.graph, {.threads = 2});
    ASSERT_EQ(c.mode(), "program");
    VariableStore variables;
    for (int step = 0; step < 3; ++step) {
      const auto in = step_inputs(t.graph, step);
      const auto wanted = evaluate(t.graph, in, {&variables, {}});
      const auto got = c.infer(in);
      const double loss = get_element(wanted[0].tensor(), 0);
      // f32 against f32 with sums in another order; AdamW's first steps divide tiny gradients by their size.
      EXPECT_NEAR(get_element(got[0].tensor(), 0), loss, 5e-3 * loss) << "step " << step;
      if (kind == OptimizerKind::adamw) continue;
      for (const auto& [name, value] : variables) {
        const Tensor& w = value.tensor();
        EXPECT_LE(largest(c.state(name).tensor(), w), 2e-3 * std::max(0.1, largest_value(w)))
            << name << " after step " << step;
      }
    }
  }
}

TEST(TrainStep, updates_every_weight_in_place) {
  const TrainStep t = small_train_step({});
  const Program p = compile_program(t.graph, {.threads = 2});
  size_t updated = 0;
  for (const ProgramState& s : p.states) {
    if (s.next == no_tensor) continue;
    EXPECT_EQ(p[s.next].place, Place::state) << s.name;
    ++updated;
  }
  EXPECT_GT(updated, t.weights.size());
}

TEST(TrainStep, gives_the_same_bits_on_any_number_of_threads) {
  const TrainStep t = small_train_step({});
  std::vector<Tensor> losses, weights;
  for (int threads : {1, 2, 3}) {
    auto program = std::make_shared<const Program>(compile_program(t.graph, {.threads = 2}));
    CompiledGraph c = load_program(program, {.threads = threads});
    for (int step = 0; step < 3; ++step) losses.push_back(c.infer(step_inputs(t.graph, step))[0].tensor());
    weights.push_back(c.state(t.weights[0].variable_id).tensor().clone());
  }
  for (int step = 0; step < 3; ++step) {
    EXPECT_TRUE(losses[step].identical(losses[3 + step])) << "2 threads, step " << step;
    EXPECT_TRUE(losses[step].identical(losses[6 + step])) << "3 threads, step " << step;
  }
  EXPECT_TRUE(weights[0].identical(weights[1]));
  EXPECT_TRUE(weights[0].identical(weights[2]));
}

TEST(TrainStep, lowers_the_loss_in_f32_and_bf16) {
  const TrainStep t = small_train_step({});
  for (const Precision precision : {Precision::f32, Precision::bf16}) {
    CompiledGraph c = compile_model(t.graph, {.precision = precision, .threads = 1});
    double first = 0, last = 0;
    for (int step = 0; step < 20; ++step) {
      last = get_element(c.infer(step_inputs(t.graph, step))[0].tensor(), 0);
      if (step == 0) first = last;
    }
    EXPECT_LT(last, 0.3 * first) << name_of(precision);
  }
}

class ModelFileTest : public testing::Test {
 protected:
  ~ModelFileTest() override { std::filesystem::remove(path_); }
  std::string path_ =
      std::filesystem::temp_directory_path() / ("model_file_test_" + std::to_string(::getpid()) + ".hone");
};

TEST(GraphFile, graphs_come_back_as_they_were) {
  for (const Graph& g : {network("mobilenet_v2", 1, 32), small_train_step({}).graph}) {
    std::vector<Tensor> constants;
    const auto bytes = graph_bytes(g, constants);
    const Graph back = graph_from_bytes(bytes, constants);
    verify(back);
    EXPECT_EQ(to_text(back), to_text(g));
  }
}

TEST(GraphFile, malformed_bytes_are_refused) {
  std::vector<Tensor> constants;
  const auto bytes = graph_bytes(parse_graph(R"(
    graph g {
      %x = Parameter() {element_type=f32,shape=[N,5]} "x"
      %w = Constant() {value=f32[5,4]{random:1}}
      %b = Constant() {value=f32[4]{random:2}}
      %y = MatMul(%x, %w, %b) epilogue {
        %a = Parameter() {element_type=f32,shape=[N,4]}
        %b = Parameter() {element_type=f32,shape=[4]}
        %s = Add(%a, %b)
        Result(%s)
      }
      Result(%y) "y"
    })"),
                                 constants);
  EXPECT_NO_THROW(verify(graph_from_bytes(bytes, constants)));
  for (size_t n = 0; n < bytes.size(); ++n)
    EXPECT_THROW(graph_from_bytes(std::span(bytes).first(n), constants), Error) << n;
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (uint8_t v : {uint8_t{0}, uint8_t{3}, uint8_t{0xff}}) {
      auto bad = bytes;
      bad[i] = v;
      try {
        verify(graph_from_bytes(bad, constants));
      } catch (const Error&) {  // refused: any other way out ends the test program
      }
    }
  }
}

TEST_F(ModelFileTest, a_file_runs_from_its_program_and_from_its_graph) {
  const Graph g = network("resnet8", 1);
  const Tensor x = random_tensor(g.inputs()[0].shape().to_shape(), 5, 0, 1);
  ModelFile file;
  file.metadata["labels"] = "[\"a\",\"b\"]";
  file.graph = std::make_shared<const Graph>(g);
  file.programs = {std::make_shared<const Program>(compile_program(g, {.threads = 1}))};
  save_model_file(path_, file);
  const ModelFile back = load_model_file(path_);
  EXPECT_EQ(back.metadata, file.metadata);
  CompiledGraph from_program = compile_file(back, {.threads = 1});
  EXPECT_EQ(from_program.report().milliseconds, 0);  // nothing was compiled
  const Tensor wanted = compile_model(g, {.threads = 1}).infer({x})[0].tensor();
  EXPECT_TRUE(from_program.infer({x})[0].tensor().identical(wanted));
  ModelFile graph_only = back;
  graph_only.programs.clear();
  EXPECT_TRUE(compile_file(graph_only, {.threads = 1}).infer({x})[0].tensor().identical(wanted));
  ModelFile stripped;
  stripped.programs = back.programs;
  EXPECT_THROW(compile_file(stripped, {.precision = Precision::bf16, .threads = 1}), Error);
}

}  // namespace
}  // namespace hone
