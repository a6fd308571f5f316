// Runs tests/passes/*.txt. A file holds cases:
//
//     === name of the case
//     passes: fold_batch_norm fold
//     tolerance: 1e-4               (optional; relative to the largest output, default 1e-5)
//     variables: on                 (optional; also compares what Assign leaves behind)
//     graph before { ... }
//     graph after { ... }
//
// The graphs are compared after reordering nodes by use from the results; names are ignored, and so are the elements of
// float and byte constants: both graphs run on the same random inputs, which settles them. With HONE_UPDATE_CASES=1 the
// program writes the graphs it got into the files instead, for review in the diff.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

#include "graph/text.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"
#include "ops/evaluate.hpp"
#include "ops/samples.hpp"
#include "passes/pipeline.hpp"

namespace hone {
namespace {

struct TextCase {
  std::string file, name, before, after;
  std::vector<std::string> passes;
  double tolerance = 1e-5;
};

void PrintTo(const TextCase& c, std::ostream* out) {
  *out << c.file << ": " << c.name;
}

std::string trimmed(std::string s) {
  while (!s.empty() && std::isspace(static_cast<unsigned char>(s.back()))) s.pop_back();
  return s.substr(std::min(s.find_first_not_of(" \t"), s.size()));
}

std::vector<TextCase> read_cases() {
  std::vector<std::filesystem::path> files;
  for (const auto& f : std::filesystem::directory_iterator(std::filesystem::path(HONE_SOURCE_DIR) / "tests/passes")) {
    if (f.path().extension() == ".txt" && f.path().filename() != "CMakeLists.txt") files.push_back(f.path());
  }
  std::sort(files.begin(), files.end());
  std::vector<TextCase> cases;
  for (const auto& file : files) {
    std::ifstream in(file);
    std::string line;
    std::string* graph = nullptr;
    while (std::getline(in, line)) {
      if (line.starts_with("=== ")) {
        cases.emplace_back();
        cases.back().file = file.stem().string();
        cases.back().name = trimmed(line.substr(4));
        graph = nullptr;
      } else if (line.starts_with("passes:")) {
        std::istringstream words(line.substr(7));
        for (std::string w; words >> w;) cases.back().passes.push_back(w);
      } else if (line.starts_with("tolerance:")) {
        cases.back().tolerance = std::stod(line.substr(10));
      } else if (line.starts_with("graph before")) {
        graph = &cases.back().before;
        *graph += line + "\n";
      } else if (line.starts_with("graph after")) {
        graph = &cases.back().after;
        *graph += line + "\n";
      } else if (graph) {
        *graph += line + "\n";
      }
    }
  }
  return cases;
}

// Nodes in the order in which results need them, without names; elements of float constants left out.
std::string canonical(const Graph& g) {
  Graph copy;
  Builder b(copy);
  std::map<ValueId, Value> map;
  for (const Value& p : g.inputs()) map[p.id] = b.parameter(p.type());
  const auto visit = [&](auto&& self, NodeId id) -> void {
    const NodeData& n = g.node(id);
    if (n.op == &op_def<Parameter>() || (!n.outputs.empty() && map.contains(n.outputs[0]))) return;
    for (ValueId v : n.inputs) {
      if (v != no_id) self(self, g.value(v).producer);
    }
    Values in;
    for (ValueId v : n.inputs) in.push_back(v == no_id ? Value{} : map.at(v));
    const size_t op_inputs = g.num_op_inputs(id);
    const Node node =
        b.add(*n.op, n.attributes, Values(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(op_inputs)), n.regions);
    if (n.epilogue) {
      std::vector<ValueId> operands;
      for (size_t i = op_inputs; i < in.size(); ++i) operands.push_back(in[i].id);
      copy.set_epilogue(node.id, n.epilogue, operands);
    }
    for (size_t i = 0; i < n.outputs.size(); ++i) {
      copy.set_type(node.output(i).id, g.value(n.outputs[i]).type);
      map[n.outputs[i]] = node.output(i);
    }
  };
  for (NodeId r : g.results()) visit(visit, r);
  for (NodeId id = 0; id < g.node_capacity(); ++id) {
    if (g.alive(id) && g.node(id).op->has_side_effect) visit(visit, id);
  }
  static const std::regex floats(R"(value=(f16|f32|f64|bf16|i8|u8)(\[[0-9,]*\])\{[^}]*\})");
  return std::regex_replace(to_text(copy), floats, "value=$1$2");
}

std::vector<Datum> random_inputs(const Graph& g) {
  std::vector<Datum> in;
  uint64_t seed = 17;
  for (const Value& p : g.inputs()) {
    Shape shape;
    for (const Dimension& d : p.shape().dims())
      shape.push_back(d.is_static() ? d.min() : std::min<int64_t>(std::max<int64_t>(d.min(), 5), d.max()));
    const bool floats = is_float(p.element_type());
    in.push_back(random_tensor(shape, ++seed, floats ? -2 : 0, floats ? 2 : 3, p.element_type()));
  }
  return in;
}

void expect_close(const Tensor& got, const Tensor& want, double tolerance, const std::string& what) {
  ASSERT_EQ(to_string(got.shape()), to_string(want.shape())) << what;
  ASSERT_STREQ(name_of(got.element_type()), name_of(want.element_type())) << what;
  double largest = 1;
  for (size_t i = 0; i < want.size(); ++i) {
    if (std::isfinite(get_element(want, i))) largest = std::max(largest, std::fabs(get_element(want, i)));
  }
  for (size_t i = 0; i < want.size(); ++i) {
    const double a = get_element(got, i), e = get_element(want, i);
    if (a == e || (std::isnan(a) && std::isnan(e))) continue;
    ASSERT_NEAR(a, e, tolerance * largest) << what << " element " << i;
  }
}

// Replaces the graph after the passes in the file of the case.
void update(const TextCase& c, const std::string& after) {
  const auto path = std::filesystem::path(HONE_SOURCE_DIR) / "tests/passes" / (c.file + ".txt");
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  std::string s = text.str();
  const size_t begin = s.find("graph after", s.find("=== " + c.name + "\n"));
  const size_t end = std::min(s.find("\n===", begin), s.size());
  s.replace(begin, end - begin, "graph after" + after.substr(5));
  std::ofstream(path) << s;
}

class TextPasses : public ::testing::TestWithParam<TextCase> {};

TEST_P(TextPasses, give_the_graph_and_the_numbers) {
  const TextCase& c = GetParam();
  ASSERT_FALSE(c.before.empty());
  ASSERT_FALSE(c.after.empty());
  const Graph before = parse_graph(c.before);
  Graph got = before;
  std::vector<Pass> passes;
  for (const std::string& name : c.passes) passes.push_back(find_pass(name));
  const PassReport report = run_passes(got, passes);
  for (const PassResult& p : report.passes) {
    for (const auto& [rule, why] : p.rules.refused) ADD_FAILURE() << rule << " was undone: " << why;
  }
  if (std::getenv("HONE_UPDATE_CASES")) {
    got.name.clear();
    static const std::regex hashes(R"(\{hash:[0-9a-f]*\})");
    update(c, std::regex_replace(to_text(got, 8), hashes, "{zeros}"));
    return;
  }
  Graph after;
  try {
    after = parse_graph(c.after);
  } catch (const Error& e) {
    FAIL() << e.what() << "\nresult:\n" << to_text(got);
  }
  EXPECT_EQ(canonical(got), canonical(after)) << "result:\n" << to_text(got);
  const auto in = random_inputs(before);
  VariableStore want_state, got_state;
  EvaluateOptions want_options, got_options;
  want_options.variables = &want_state;
  got_options.variables = &got_state;
  const auto want = evaluate(before, in, want_options), have = evaluate(got, in, got_options);
  ASSERT_EQ(have.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i)
    expect_close(have[i].tensor(), want[i].tensor(), c.tolerance, "output " + std::to_string(i));
  ASSERT_EQ(got_state.size(), want_state.size());
  for (const auto& [name, value] : want_state)
    expect_close(got_state.at(name).tensor(), value.tensor(), c.tolerance, "state " + name);
}

INSTANTIATE_TEST_SUITE_P(Files, TextPasses, ::testing::ValuesIn(read_cases()),
                         [](const auto& info) { return info.param.file + "_" + info.param.name; });

TEST(TextPasses, cover_every_pass) {
  std::set<std::string> covered;
  for (const TextCase& c : read_cases()) covered.insert(c.passes.begin(), c.passes.end());
  for (const std::string& name : pass_names()) EXPECT_TRUE(covered.contains(name)) << "no text case runs pass " << name;
}

}  // namespace
}  // namespace hone
