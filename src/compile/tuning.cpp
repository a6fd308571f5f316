#include "compile/tuning.hpp"

#include <nlohmann/json.hpp>

#include "base/content_hash.hpp"
#include "cpu/features.hpp"
#include "hone/error.hpp"

#if defined(__x86_64__)
#include <cpuid.h>

#include <cstring>
#endif

namespace hone {
namespace {

using nlohmann::json;

void add(std::string& s, const std::vector<TensorDesc>& tensors) {
  for (const TensorDesc& d : tensors) {
    if (!d.present) {
      s += " _";
      continue;
    }
    s += std::string(" ") + name_of(d.type) + to_string(d.shape);
    if (d.layout != Layout::plain) s += std::string("@") + name_of(d.layout);
    if (d.constant) s += "=";
    if (d.quantization) {
      s += "q" + std::to_string(d.quantization->scales.size());
      if (!d.quantization->zero_points.empty()) s += "z";
    }
  }
}

}  // namespace

std::string query_key(const KernelQuery& q) {
  std::string s = std::string(q.op) + " " + content_hash(std::span(q.attributes)).hex().substr(0, 16);
  add(s, q.inputs);
  s += " ->";
  add(s, q.outputs);
  s += " epilogue " + std::to_string(q.num_op_inputs);
  for (const EpilogueOperand& o : q.epilogue.operands)
    s += " " + std::to_string(o.input) + "/" + std::to_string(static_cast<int>(o.spread));
  for (const EpilogueStep& e : q.epilogue.steps)
    s += " " + std::to_string(static_cast<int>(e.op)) + ":" + std::to_string(e.a) + "," + std::to_string(e.b);
  s += " threads " + std::to_string(q.threads) + (q.bf16_compute ? " bf16" : "");
  return s;
}

std::string query_key(const Program& p, const ProgramStep& step, int threads) {
  return query_key(query_of(p, step, threads, false));
}

std::string describe(const KernelQuery& q) {
  std::string s(q.op);
  add(s, q.inputs);
  s += " ->";
  add(s, q.outputs);
  return s;
}

std::string tuning_cpu() {
  std::string name = "CPU";
#if defined(__x86_64__)
  uint32_t words[12] = {}, a = 0, b, c, d;
  if (__get_cpuid(0x80000000u, &a, &b, &c, &d) && a >= 0x80000004u) {
    for (uint32_t i = 0; i < 3; ++i)
      __get_cpuid(0x80000002u + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2], &words[4 * i + 3]);
    const char* text = reinterpret_cast<const char*>(words);
    name.assign(text, strnlen(text, sizeof words));
    while (!name.empty() && name.back() == ' ') name.pop_back();
  }
#endif
  return name + ", " + cpu::to_string(cpu::features());
}

std::string to_text(const TuningRecords& records) {
  json rows = json::array();
  for (const auto& [key, r] : records.by_query) {
    rows.push_back({{"query", key},
                    {"kernel", r.kernel},
                    {"us", r.microseconds},
                    {"incumbent_us", r.incumbent_microseconds},
                    {"layer", r.description}});
  }
  return json{{"format", "hone tuning records"}, {"version", 1}, {"cpu", records.cpu}, {"records", rows}}.dump(1) +
         "\n";
}

TuningRecords tuning_records_from(const std::string& text, const std::string& where) {
  const auto refuse = [&](const std::string& why) {
    return Error(ErrorCode::unreadable, "[tune] not a file of tuning records" + why, where,
                 "make one with: hone tune MODEL --out RECORDS");
  };
  try {
    const json j = json::parse(text);
    if (j.at("format") != "hone tuning records" || j.at("version") != 1) throw refuse("");
    TuningRecords r;
    r.cpu = j.at("cpu");
    for (const json& row : j.at("records")) {
      r.by_query[row.at("query")] = {row.at("kernel"), row.value("us", 0.0), row.value("incumbent_us", 0.0),
                                     row.value("layer", "")};
    }
    return r;
  } catch (const json::exception& e) {
    throw refuse(std::string(" (") + e.what() + ")");
  }
}

}  // namespace hone
