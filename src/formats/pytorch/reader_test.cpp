#include "formats/pytorch/reader.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "base/file.hpp"
#include "formats/conformance/conformance.hpp"
#include "formats/pytorch/archive_samples_test.hpp"
#include "formats/pytorch/mapping.hpp"
#include "hone/error.hpp"
#include "ops/evaluate.hpp"

namespace hone {
namespace {

using namespace archive_samples;

std::vector<double> run(const Program& p, const Tensor& x, const std::vector<Payload>& weights = {}) {
  const Graph g = parse_torch_export(blob(archive(p, weights)));
  verify(g);
  return evaluate(g, {x})[0].tensor().to_doubles();
}

std::string message_of(const std::string& bytes) {
  try {
    parse_torch_export(blob(bytes));
  } catch (const Error& e) {
    return e.what();
  }
  return {};
}

// x -> one node -> y
Program one_node(const std::string& target, std::vector<std::string> arguments,
                 const std::vector<std::string>& sizes = {"2", "3"}) {
  Program p;
  p.inputs = {"x"};
  arguments.insert(arguments.begin(), tensor_argument("self", "x"));
  p.nodes = {node(target, arguments, {tensor_name("y")}, "y")};
  p.outputs = {"y"};
  p.tensors = {{"x", meta(sizes)}};
  return p;
}

const Tensor two_by_three = Tensor::of<float>({2, 3}, {1, -2, 3, -4, 5, -6});

}  // namespace

TEST(TorchExport, reads_weights_and_dynamic_dimensions) {
  const Graph g = parse_torch_export(blob(linear_archive()));
  EXPECT_EQ(to_string(g.inputs()[0].shape()), "[s0:0..64,3]");
  EXPECT_EQ(to_string(g.outputs()[0].shape()), "[s0:0..64,2]");
  EXPECT_EQ(g.info.at("producer"), "torch 2.15.0");
  const auto y = evaluate(g, {Tensor::of<float>({2, 3}, {1, 1, 1, -1, 0, 0})})[0].tensor().to_doubles();
  EXPECT_EQ(y, (std::vector<double>{6, 0, 0, 1}));
}

TEST(TorchExport, keeps_aligned_weights_in_the_file_s_memory) {
  const auto file = blob(linear_archive());
  const Graph g = parse_torch_export(file);
  for (NodeId id : g.topological_order()) {
    const Tensor t = g.handle(id).num_outputs() ? g.handle(id).output().constant() : Tensor();
    if (!t || t.rank() != 2) continue;
    const auto* p = static_cast<const char*>(t.raw());
    // Strings are aligned to 16 bytes at least, entries to 64.
    EXPECT_TRUE(p >= file.bytes.data() && p < file.bytes.data() + file.bytes.size());
  }
}

TEST(TorchExport, reads_strided_weights_of_a_shared_storage) {
  Program p;
  p.inputs = {"x"};
  p.parameters = {{"p_w", "w"}};
  p.nodes = {node("torch.ops.aten.mm.default", {tensor_argument("self", "x"), tensor_argument("mat2", "p_w")},
                  {tensor_name("y")})};
  p.outputs = {"y"};
  p.tensors = {{"x", meta({"2", "3"})}};
  // [3, 2] of strides 1, 3 from element 1 on: columns 1 2 3 and 4 5 6.
  const auto y = run(p, Tensor::of<float>({2, 3}, {1, 0, 0, 0, 0, 1}),
                     {{"w", meta({"3", "2"}, 7, {1, 3}, 1), floats({0, 1, 2, 3, 4, 5, 6})}});
  EXPECT_EQ(y, (std::vector<double>{1, 4, 3, 6}));
}

TEST(TorchExport, computes_with_symbolic_sizes) {
  Program p = one_node("torch.ops.aten.sym_size.int", {argument("dim", R"({"as_int": 0})")}, {"s0", "3"});
  p.nodes = {
      node("torch.ops.aten.sym_size.int", {tensor_argument("self", "x"), argument("dim", R"({"as_int": 0})")},
           {R"({"as_sym_int": {"as_name": "n"}})"}),
      node("_operator.mul", {argument("a", R"({"as_sym_int": {"as_name": "n"}})"), argument("b", R"({"as_int": 3})")},
           {R"({"as_sym_int": {"as_name": "m"}})"}),
      node("torch.ops.aten.view.default",
           {tensor_argument("self", "x"), argument("size", R"({"as_sym_ints": [{"as_name": "m"}, {"as_int": 1}]})")},
           {tensor_name("y")})};
  const Graph g = parse_torch_export(blob(archive(p)));
  EXPECT_EQ(evaluate(g, {Tensor(ElementType::f32, {5, 3})})[0].tensor().shape(), (Shape{15, 1}));
}

TEST(TorchExport, takes_one_where_pytorch_wrote_that_a_size_is_at_least_two) {
  Program p = one_node("torch.ops.aten.relu.default", {});
  p.tensors = {{"x", meta({"s0", "s1"})}, {"y", meta({"s0", "s1"})}};
  p.ranges = R"("s0": {"min_val": 2, "max_val": 128}, "s1": {"min_val": 4})";
  const PartialShape shape = parse_torch_export(blob(archive(p))).inputs()[0].shape();
  EXPECT_EQ(shape[0].min(), 0);
  EXPECT_EQ(shape[0].max(), 128);
  EXPECT_EQ(shape[1].min(), 4);
}

TEST(TorchExport, attention_gives_zeros_where_a_row_may_look_at_no_key) {
  Program p = one_node("torch.ops.aten.scaled_dot_product_attention.default", {});
  p.nodes = {node("torch.ops.aten.scaled_dot_product_attention.default",
                  {tensor_argument("query", "x"), tensor_argument("key", "x"), tensor_argument("value", "x"),
                   tensor_argument("attn_mask", "m")},
                  {tensor_name("y")})};
  p.inputs = {"x", "m"};
  const Tensor x = Tensor::of<float>({1, 2, 3}, {1, 2, 3, 4, 5, 6});
  for (const bool added : {false, true}) {
    p.tensors = {{"x", meta({"1", "2", "3"})}, {"m", meta({"2", "2"}, added ? 7 : 12)}, {"y", meta({"1", "2", "3"})}};
    const Tensor mask = added ? Tensor::of<float>({2, 2}, {-INFINITY, -INFINITY, 0, -INFINITY})
                              : Tensor::of<bool>({2, 2}, {false, false, true, false});
    const Graph g = parse_torch_export(blob(archive(p)));
    EXPECT_EQ(evaluate(g, {x, mask})[0].tensor().to_doubles(), (std::vector<double>{0, 0, 0, 1, 2, 3})) << added;
  }
}

TEST(TorchExport, multiplies_rows_by_the_matrix_of_their_group) {
  Program p = one_node("torch.ops.transformers.grouped_mm_fallback.default", {});
  p.nodes = {node("torch.ops.transformers.grouped_mm_fallback.default",
                  {tensor_argument("input", "x"), tensor_argument("weight", "w"), tensor_argument("offs", "o")},
                  {tensor_name("y")})};
  p.inputs = {"x", "w", "o"};
  p.tensors = {{"x", meta({"4", "2"})}, {"w", meta({"3", "2", "1"})}, {"o", meta({"3"}, 4)}, {"y", meta({"4", "1"})}};
  // Rows 0 and 1 are of group 0, none of group 1, row 2 of group 2, row 3 of none.
  const Tensor x = Tensor::of<float>({4, 2}, {1, 2, 3, 4, 5, 6, 7, 8});
  const Tensor w = Tensor::of<float>({3, 2, 1}, {1, 10, 2, 20, 3, 30});
  const auto y = evaluate(parse_torch_export(blob(archive(p))), {x, w, Tensor::of<int32_t>({3}, {2, 2, 3})});
  EXPECT_EQ(y[0].tensor().to_doubles(), (std::vector<double>{21, 43, 195, 0}));
}

TEST(TorchExport, outer_products_promote_types) {
  Program p = one_node("torch.ops.aten.outer.default", {});
  p.nodes = {node("torch.ops.aten.outer.default", {tensor_argument("self", "x"), tensor_argument("vec2", "w")},
                  {tensor_name("y")})};
  p.inputs = {"x", "w"};
  p.tensors = {{"x", meta({"2"})}, {"w", meta({"3"}, 8)}, {"y", meta({"2", "3"}, 8)}};
  const auto y = evaluate(parse_torch_export(blob(archive(p))),
                          {Tensor::of<float>({2}, {1, 2}), Tensor::of<double>({3}, {0.1, 3, 4})});
  EXPECT_EQ(y[0].tensor().element_type(), ElementType::f64);
  EXPECT_EQ(y[0].tensor().to_doubles(), (std::vector<double>{0.1, 3, 4, 0.2, 6, 8}));
}

TEST(TorchExport, counts_elements_in_bins) {
  const auto y = run(one_node("torch.ops.aten.histc.default",
                              {argument("bins", R"({"as_int": 4})"), argument("min", R"({"as_int": 0})"),
                               argument("max", R"({"as_int": 3})")}),
                     Tensor::of<float>({2, 3}, {0, 1, 3, 3, 2, 4}));
  EXPECT_EQ(y, (std::vector<double>{1, 1, 1, 2}));
}

TEST(TorchExport, promotes_types_as_pytorch_does) {
  // int64 tensor + float number -> f32; boolean comparison of mixed types.
  Program p = one_node("torch.ops.aten.mul.Tensor", {argument("other", R"({"as_float": 0.5})")});
  p.tensors = {{"x", meta({"2", "3"}, 5)}, {"y", meta({"2", "3"}, 7)}};
  EXPECT_EQ(run(p, Tensor::of<int64_t>({2, 3}, {1, 2, 3, 4, 5, 6})), (std::vector<double>{0.5, 1, 1.5, 2, 2.5, 3}));
  p = one_node("torch.ops.aten.gt.Scalar", {argument("other", R"({"as_float": 2.5})")});
  p.tensors = {{"x", meta({"2", "3"}, 5)}, {"y", meta({"2", "3"}, 12)}};
  EXPECT_EQ(run(p, Tensor::of<int64_t>({2, 3}, {1, 2, 3, 4, 5, 6})), (std::vector<double>{0, 0, 1, 1, 1, 1}));
}

TEST(TorchExport, writes_changes_in_place_back_through_views) {
  // y = x * 1; y[:, 1] += 10 by a view; the result is y, and x is as it was.
  Program p = one_node("torch.ops.aten.clone.default", {});
  p.nodes = {
      node("torch.ops.aten.clone.default", {tensor_argument("self", "x")}, {tensor_name("y")}),
      node("torch.ops.aten.select.int",
           {tensor_argument("self", "y"), argument("dim", R"({"as_int": 1})"), argument("index", R"({"as_int": 1})")},
           {tensor_name("v")}),
      node("torch.ops.aten.view.default", {tensor_argument("self", "y"), argument("size", R"({"as_ints": [6]})")},
           {tensor_name("flat")}),
      node("torch.ops.aten.add_.Tensor", {tensor_argument("self", "v"), argument("other", R"({"as_int": 10})")},
           {tensor_name("changed")})};
  p.outputs = {"y", "flat", "x"};
  p.tensors = {{"x", meta({"2", "3"})},
               {"y", meta({"2", "3"})},
               {"v", meta({"2"})},
               {"changed", meta({"2"})},
               {"flat", meta({"6"})}};
  const Graph g = parse_torch_export(blob(archive(p)));
  const auto out = evaluate(g, {two_by_three});
  EXPECT_EQ(out[0].tensor().to_doubles(), (std::vector<double>{1, 8, 3, -4, 15, -6}));
  EXPECT_EQ(out[1].tensor().to_doubles(), (std::vector<double>{1, 8, 3, -4, 15, -6}));
  EXPECT_EQ(out[2].tensor().to_doubles(), two_by_three.to_doubles());
}

TEST(TorchExport, keeps_changed_buffers_from_run_to_run) {
  Program p = one_node("torch.ops.aten.add_.Tensor", {});
  p.buffers = {{"b_count", "count"}};
  p.nodes = {node("torch.ops.aten.add_.Tensor",
                  {tensor_argument("self", "b_count"), argument("other", R"({"as_int": 1})")}, {tensor_name("next")}),
             node("torch.ops.aten.mul.Tensor", {tensor_argument("self", "x"), tensor_argument("other", "next")},
                  {tensor_name("y")})};
  p.tensors = {{"x", meta({"1"})}, {"b_count", meta({"1"})}, {"next", meta({"1"})}, {"y", meta({"1"})}};
  const Graph g = parse_torch_export(blob(archive(p, {{"count", meta({"1"}, 7, {1}), floats({3})}})));
  VariableStore state;
  EvaluateOptions o;
  o.variables = &state;
  EXPECT_EQ(evaluate(g, {Tensor::of<float>({1}, {2})}, o)[0].tensor().to_doubles()[0], 8);
  EXPECT_EQ(evaluate(g, {Tensor::of<float>({1}, {2})}, o)[0].tensor().to_doubles()[0], 10);
}

TEST(TorchExport, reads_branches) {
  const auto branch = [](const char* op) {
    Program b;
    b.inputs = {"a"};
    b.nodes = {
        node(std::string("torch.ops.aten.") + op + ".default", {tensor_argument("self", "a")}, {tensor_name("r")})};
    b.outputs = {"r"};
    b.tensors = {{"a", meta({"2", "3"})}, {"r", meta({"2", "3"})}};
    return R"({"as_graph": {"name": "g", "graph": )" + b.graph() + "}}";
  };
  Program p = one_node("", {});
  p.nodes = {node("torch.ops.aten.sum.default", {tensor_argument("self", "x")}, {tensor_name("s")}),
             node("torch.ops.aten.gt.Scalar", {tensor_argument("self", "s"), argument("other", R"({"as_int": 0})")},
                  {tensor_name("c")}),
             node("torch.ops.higher_order.cond",
                  {tensor_argument("", "c"), argument("", branch("neg")), argument("", branch("abs")),
                   argument("", R"({"as_tensors": [{"name": "x"}]})")},
                  {R"({"as_tensors": [{"name": "y"}]})"})};
  p.tensors = {{"x", meta({"2", "3"})}, {"c", meta({}, 12)}};
  EXPECT_EQ(run(p, two_by_three), (std::vector<double>{1, 2, 3, 4, 5, 6})) << "the sum is negative";
  EXPECT_EQ(run(p, Tensor::of<float>({2, 3}, {1, 2, 3, 4, 5, -6})), (std::vector<double>{-1, -2, -3, -4, -5, 6}));
}

TEST(TorchExport, lists_all_unknown_operators_at_once) {
  Program p = one_node("torch.ops.aten.soft_max.default", {});
  p.nodes.push_back(node("torch.ops.mylib.thing.default", {tensor_argument("self", "y")}, {tensor_name("z")}, "z"));
  const std::string m = message_of(archive(p));
  EXPECT_NE(m.find("soft_max x1 (y), nearest known: softmax"), std::string::npos) << m;
  EXPECT_NE(m.find("mylib.thing x1 (z)"), std::string::npos) << m;
}

TEST(TorchExport, refuses_what_it_cannot_mean) {
  Program p = one_node("torch.ops.aten.relu.default", {});
  p.schema = 99;
  EXPECT_NE(message_of(archive(p)).find("schema version 99"), std::string::npos);
  p = one_node("torch.ops.aten.dropout.default",
               {argument("p", R"({"as_float": 0.5})"), argument("train", R"({"as_bool": true})")});
  p.nodes[0].replace(p.nodes[0].find("\"self\""), 6, "\"input\"");
  EXPECT_NE(message_of(archive(p)).find("model.eval()"), std::string::npos);
  p = one_node("torch.ops.aten.relu.default", {});
  p.parameters = {{"p_w", "w"}};
  p.nodes = {node("torch.ops.aten.add.Tensor", {tensor_argument("self", "x"), tensor_argument("other", "p_w")},
                  {tensor_name("y")})};
  EXPECT_NE(message_of(archive(p)).find("lacks weight 'w'"), std::string::npos);
  EXPECT_NE(
      message_of(archive(p, {{"w", meta({"2", "3"}, 7, {3, 1}), floats({1, 2, 3})}})).find("outside of its storage"),
      std::string::npos);
  EXPECT_NE(message_of(zip({{"m/version", "3"}})).find("no exported program"), std::string::npos);
  EXPECT_NE(message_of(linear_archive().substr(0, 700)).find("[zip]"), std::string::npos);
}

TEST(TorchExport, reads_the_layout_before_pytorch_2_8) {
  Program p = one_node("torch.ops.aten.add.Tensor", {});
  p.parameters = {{"p_w", "w"}};
  p.nodes = {node("torch.ops.aten.add.Tensor", {tensor_argument("self", "x"), tensor_argument("other", "p_w")},
                  {tensor_name("y")})};
  const std::string weights =
      checkpoint(dictionary({{"w", tensor("FloatStorage", "0", 3, 0, {3}, {1})}}), {{"0", floats({10, 20, 30})}});
  const Graph g = parse_torch_export(blob(zip(
      {{"version", "8.2"}, {"serialized_exported_program.json", p.json()}, {"serialized_state_dict.pt", weights}})));
  EXPECT_EQ(evaluate(g, {two_by_three})[0].tensor().to_doubles(), (std::vector<double>{11, 18, 33, 6, 25, 24}));
}

// Made by tests/peers/torch_operators.py --store: one case a family of operators, with PyTorch's outputs.
TEST(TorchExport, computes_what_pytorch_computed) {
  ConformanceOptions o;
  o.isolate = false;
  const ConformanceReport r = run_conformance(std::string(HONE_SOURCE_DIR) + "/tests/data/torch_export.tar.gz", o);
  EXPECT_EQ(r.cases.size(), 35u);
  for (const CaseResult& c : r.cases) EXPECT_EQ(c.status, CaseStatus::pass) << c.name << ": " << c.reason;
}

TEST(TorchExport, takes_complex_tensors_as_pairs_of_parts) {
  // x is complex64 [2]; y = x * x + 1j
  Program p = one_node("torch.ops.aten.mul.Tensor", {tensor_argument("other", "x")}, {"2"});
  p.nodes.push_back(node("torch.ops.aten.add.Tensor",
                         {tensor_argument("self", "y"), argument("other", R"({"as_complex": {"real": 0, "imag": 1}})")},
                         {tensor_name("z")}));
  p.outputs = {"z"};
  p.tensors = {{"x", meta({"2"}, 10)}, {"y", meta({"2"}, 10)}, {"z", meta({"2"}, 10)}};
  EXPECT_EQ(run(p, Tensor::of<float>({2, 2}, {1, 2, 0, -3})), (std::vector<double>{-3, 5, -9, 1}));
}

TEST(TorchExport, refuses_operators_that_have_no_complex_form_by_name) {
  Program p = one_node("torch.ops.aten.relu.default", {}, {"2"});
  p.tensors = {{"x", meta({"2"}, 10)}, {"y", meta({"2"}, 10)}};
  EXPECT_NE(message_of(archive(p)).find("[relu] of complex numbers is not offered"), std::string::npos);
}

TEST(TorchExport, refuses_views_of_themselves) {
  Program p = one_node("torch.ops.aten.view_as.default", {});
  p.nodes = {node("torch.ops.aten.alias.default", {tensor_argument("self", "b")}, {tensor_name("a")}),
             node("torch.ops.aten.alias.default", {tensor_argument("self", "a")}, {tensor_name("b")}),
             node("torch.ops.aten.add_.Tensor", {tensor_argument("self", "a"), argument("other", R"({"as_int": 1})")},
                  {tensor_name("y")})};
  EXPECT_NE(message_of(archive(p)).find("is a view of itself"), std::string::npos);
}

TEST(TorchExport, names_complex_tensors_that_no_node_makes) {
  Program p =
      one_node("torch.ops.aten.cat.default", {argument("tensors", R"({"as_tensors": [{"name": "gone"}]})")}, {"2"});
  p.tensors = {{"x", meta({"2"}, 10)}, {"gone", meta({"2"}, 10)}, {"y", meta({"2"}, 10)}};
  EXPECT_NE(message_of(archive(p)).find("'gone' is made by no earlier node"), std::string::npos);
}

TEST(TorchExport, gives_real_tensors_the_shape_of_complex_ones) {
  // x real [1], w complex [2]: x.expand_as(w) is real.
  Program p = one_node("torch.ops.aten.expand_as.default", {tensor_argument("other", "w")}, {"1"});
  p.inputs = {"x", "w"};
  p.tensors = {{"x", meta({"1"})}, {"w", meta({"2"}, 10)}, {"y", meta({"2"})}};
  const Graph g = parse_torch_export(blob(archive(p)));
  const Tensor y = evaluate(g, {Tensor::of<float>({1}, {7}), Tensor::of<float>({2, 2}, {1, 2, 3, 4})})[0].tensor();
  EXPECT_EQ(y.shape(), (Shape{2}));
  EXPECT_EQ(y.to_doubles(), (std::vector<double>{7, 7}));
}

TEST(TorchExport, fills_complex_tensors_with_real_numbers) {
  Program p = one_node("torch.ops.aten.constant_pad_nd.default",
                       {argument("pad", R"({"as_ints": [0, 1]})"), argument("value", R"({"as_float": 5.0})")}, {"1"});
  p.tensors = {{"x", meta({"1"}, 10)}, {"y", meta({"2"}, 10)}};
  EXPECT_EQ(run(p, Tensor::of<float>({1, 2}, {1, 2})), (std::vector<double>{1, 2, 5, 0}));
}

TEST(TorchExport, cuts_dynamic_lengths_into_chunks) {
  Program p = one_node("torch.ops.aten.chunk.default", {argument("chunks", R"({"as_int": 2})")}, {"s0"});
  p.nodes[0] =
      node("torch.ops.aten.chunk.default", {tensor_argument("self", "x"), argument("chunks", R"({"as_int": 2})")},
           {R"({"as_tensors": [{"name": "a"}, {"name": "b"}]})"});
  p.outputs = {"a", "b"};
  const Graph g = parse_torch_export(blob(archive(p)));
  const auto y = evaluate(g, {Tensor::of<float>({5}, {1, 2, 3, 4, 5})});
  EXPECT_EQ(y[0].tensor().to_doubles(), (std::vector<double>{1, 2, 3}));
  EXPECT_EQ(y[1].tensor().to_doubles(), (std::vector<double>{4, 5}));
}

TEST(TorchExport, takes_scalars_where_an_axis_is_written) {
  Program p = one_node("torch.ops.aten.movedim.intlist",
                       {argument("source", R"({"as_ints": [0]})"), argument("destination", R"({"as_ints": [0]})")}, {});
  EXPECT_EQ(run(p, Tensor::of<float>({}, {7})), (std::vector<double>{7}));
  p = one_node(
      "torch.ops.aten.index_fill.int_Scalar",
      {argument("dim", R"({"as_int": 0})"), tensor_argument("index", "i"), argument("value", R"({"as_int": 3})")}, {});
  p.inputs = {"x", "i"};
  p.tensors.emplace_back("i", meta({"1"}, 5));
  const Graph g = parse_torch_export(blob(archive(p)));
  EXPECT_EQ(evaluate(g, {Tensor::of<float>({}, {7}), Tensor::of<int64_t>({1}, {0})})[0].tensor().to_doubles(),
            (std::vector<double>{3}));
}

TEST(TorchExport, inputs_of_past_fuzzing_end_in_a_model_or_an_error) {
  size_t files = 0;
  for (const auto& e :
       std::filesystem::directory_iterator(std::string(HONE_SOURCE_DIR) + "/tests/fuzz/corpus/torch_export")) {
    const std::string bytes = read_text_file(e.path().string());
    try {
      parse_torch_export(blob(bytes.starts_with("{") ? zip({{"m/models/model.json", bytes}}) : bytes));
    } catch (const Error&) {
    }
    ++files;
  }
  EXPECT_GT(files, 0u);
}

TEST(TorchExport, knows_more_than_two_hundred_operators) {
  EXPECT_GE(pytorch::operator_count(), 600u);
}

}  // namespace hone
