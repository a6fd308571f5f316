#include "compile/tuning.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "compile/compile.hpp"
#include "compile/model_file.hpp"
#include "graph/text.hpp"
#include "hone/error.hpp"
#include "ops/evaluate.hpp"
#include "ops/samples.hpp"

namespace hone {
namespace {

Graph network(int channels = 16) {
  const std::string c = std::to_string(channels);
  return parse_graph(R"(
    graph g {
      %x = Parameter() {element_type=f32,shape=[1,)" +
                     c + R"(,12,12]} "x"
      %w = Constant() {value=f32[32,)" +
                     c + R"(,3,3]{random:1}}
      %y = Convolution(%x, %w) {strides=[1,1],pads_begin=[1,1],pads_end=[1,1],dilations=[1,1]}
      %z = Relu(%y)
      Result(%z) "z"
    })");
}

const ProgramStep& convolution(const Program& p) {
  for (const ProgramStep& s : p.steps) {
    if (s.op == "Convolution") return s;
  }
  throw Error(ErrorCode::failed, "no convolution");
}

TuningRecords records_for(const std::string& key, const std::string& kernel) {
  TuningRecords r;
  r.cpu = tuning_cpu();
  r.by_query[key] = {kernel, 1, 2, "Convolution"};
  return r;
}

TEST(Tuning, a_record_decides_and_every_candidate_gives_the_same_numbers) {
  const Graph g = network(32);
  KernelCandidates candidates;
  CompileOptions o;
  o.threads = 1;
  o.candidates = &candidates;
  const Program by_cost = compile_program(g, o);
  const std::string key = query_key(by_cost, convolution(by_cost), 1);
  ASSERT_TRUE(candidates.contains(key)) << key;
  EXPECT_EQ(candidates.at(key).front(), convolution(by_cost).kernel);
  const Tensor x = random_tensor({1, 32, 12, 12}, 3);
  const Tensor wanted = evaluate(g, {x})[0].tensor();
  o.candidates = nullptr;
  o.explain = true;
  for (const std::string& kernel : candidates.at(key)) {
    o.records = std::make_shared<const TuningRecords>(records_for(key, kernel));
    CompileReport report;
    auto p = std::make_shared<const Program>(compile_program(g, o, &report));
    EXPECT_EQ(convolution(*p).kernel, kernel);
    EXPECT_EQ(query_key(*p, convolution(*p), 1), key);
    const bool said = report.explanation.find("measured slower than " + kernel) != std::string::npos;
    EXPECT_EQ(said, candidates.at(key).size() > 1) << report.explanation;
    const Tensor got = load_program(p, o).infer({x})[0].tensor();
    ASSERT_EQ(got.shape(), wanted.shape());
    for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(get_element(got, i), get_element(wanted, i), 1e-3) << kernel;
  }
}

TEST(Tuning, a_graph_carries_its_records_and_options_come_first) {
  Graph g = network();
  KernelCandidates candidates;
  CompileOptions o;
  o.threads = 1;
  o.candidates = &candidates;
  const Program by_cost = compile_program(g, o);
  const std::string key = query_key(by_cost, convolution(by_cost), 1);
  const auto& names = candidates.at(key);
  if (names.size() < 2) GTEST_SKIP() << "this CPU has one kernel for the layer";
  g.info[tuning_records_info] = to_text(records_for(key, names.back()));
  o.candidates = nullptr;
  EXPECT_EQ(convolution(compile_program(g, o)).kernel, names.back());
  o.records = std::make_shared<const TuningRecords>(records_for(key, names.front()));
  EXPECT_EQ(convolution(compile_program(g, o)).kernel, names.front());
}

TEST(Tuning, records_of_another_cpu_kernel_or_thread_count_change_nothing) {
  const Graph g = network();
  KernelCandidates candidates;
  CompileOptions o;
  o.threads = 1;
  o.candidates = &candidates;
  const Program by_cost = compile_program(g, o);
  const std::string key = query_key(by_cost, convolution(by_cost), 1), kernel = convolution(by_cost).kernel;
  const std::string other = candidates.contains(key) ? candidates.at(key).back() : kernel;
  o.candidates = nullptr;
  TuningRecords r = records_for(key, other);
  r.cpu = "another CPU";
  o.records = std::make_shared<const TuningRecords>(r);
  EXPECT_EQ(convolution(compile_program(g, o)).kernel, kernel);
  o.records = std::make_shared<const TuningRecords>(records_for(key, "no_such_kernel"));
  EXPECT_EQ(convolution(compile_program(g, o)).kernel, kernel);
  o.records = std::make_shared<const TuningRecords>(records_for(query_key(by_cost, convolution(by_cost), 7), other));
  EXPECT_EQ(convolution(compile_program(g, o)).kernel, kernel);
}

// What a Hone without oneDNN, or with another version, meets in a file of one that has it.
TEST(Tuning, a_program_of_another_librarys_kernels_is_compiled_anew_or_refused_by_name) {
  auto graph = std::make_shared<const Graph>(network());
  CompileOptions o;
  o.threads = 1;
  Program p = compile_program(*graph, o);
  for (ProgramStep& s : p.steps) {
    if (s.op != "Convolution") continue;
    s.kernel = "convolution_f32__elsewhere";
    p.tensors[s.inputs[1]].packed = "elsewhere 9.9.9 form";
  }
  ModelFile file;
  file.programs.push_back(std::make_shared<const Program>(std::move(p)));
  try {
    load_program(file.programs[0], o);
    FAIL() << "there is no such kernel";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::unsupported);
    EXPECT_NE(e.message().find("convolution_f32__elsewhere"), std::string::npos) << e.message();
  }
  EXPECT_THROW(compile_file(file, o), Error);
  file.graph = graph;
  const Tensor x = random_tensor({1, 16, 12, 12}, 3);
  const Tensor got = compile_file(file, o).infer({x})[0].tensor(), wanted = evaluate(*graph, {x})[0].tensor();
  for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(get_element(got, i), get_element(wanted, i), 1e-3);
}

TEST(Tuning, own_kernels_win_where_nothing_was_measured) {
  KernelCandidates candidates;
  CompileOptions o;
  o.threads = 1;
  o.candidates = &candidates;
  CompileReport report;
  o.explain = true;
  const Program p = compile_program(network(32), o, &report);
  const std::string key = query_key(p, convolution(p), 1);
  const auto& names = candidates[key];
  const auto other = std::find(names.begin(), names.end(), "convolution_f32__onednn");
  if (other == names.end()) GTEST_SKIP() << "built without oneDNN (-DHONE_ONEDNN=ON)";
  EXPECT_NE(names.front(), "convolution_f32__onednn");
  EXPECT_EQ(convolution(p).kernel, names.front());
  EXPECT_NE(report.explanation.find("another library's is taken where `hone tune` measures it to be faster than " +
                                    names.front()),
            std::string::npos)
      << report.explanation;
}

TEST(Tuning, text_round_trips_and_what_is_none_is_refused) {
  const TuningRecords r = records_for("Convolution \"x\" é", "kernel");
  const TuningRecords back = tuning_records_from(to_text(r), "r.json");
  EXPECT_EQ(back.cpu, r.cpu);
  ASSERT_EQ(back.by_query.size(), 1u);
  EXPECT_EQ(back.by_query.begin()->first, r.by_query.begin()->first);
  EXPECT_EQ(back.by_query.begin()->second.kernel, "kernel");
  EXPECT_EQ(back.by_query.begin()->second.incumbent_microseconds, 2);
  for (const char* bad :
       {"", "{", "[]", "{\"format\": 1}", R"({"format":"hone tuning records","version":2,"cpu":"","records":[]})",
        R"({"format":"hone tuning records","version":1,"cpu":"","records":[{"query":1}]})"}) {
    try {
      tuning_records_from(bad, "r.json");
      FAIL() << bad;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::unreadable) << bad;
      EXPECT_EQ(e.where(), "r.json");
    }
  }
}

}  // namespace
}  // namespace hone
