#include "api/cached_model.hpp"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "api/files.hpp"
#include "api/ports.hpp"
#include "base/file.hpp"
#include "base/file_observer.hpp"
#include "base/log.hpp"
#include "base/thread_pool.hpp"
#include "compile/model_cache.hpp"
#include "cpu/features.hpp"
#include "cpu/reference/reference.hpp"
#include "hone/error.hpp"
#include "ops/extension.hpp"
#include "program/hone_file.hpp"

namespace hone {
namespace {

using nlohmann::json;

constexpr const char* facts_field = "cache/facts";

std::string question_of(const ModelJob& job) {
  const CompileOptions& o = job.options;
  std::string q = "precision " + job.precision + "\nthreads " +
                  std::to_string(o.threads > 0 ? o.threads : available_cores()) + "\n";
  if (!job.network.empty()) q += "network " + job.network + "\n";
  if (o.explain) q += "explain\n";
  if (!o.optimize) q += "plain\n";
  if (o.exact_rest) q += "exact rest\n";
  if (job.precision == "auto")
    q += "tolerance " + std::to_string(o.tolerance) + (o.tune_seconds > 0 ? " measured\n" : " by rule\n");
  if (o.records) q += "records " + content_hash(to_text(*o.records)).hex() + "\n";
  for (const std::string& p : o.disabled_passes) q += "without " + p + "\n";
  // Operators of users' libraries: another build of one may compute something else.
  for (const std::string& path : loaded_extensions())
    q += "extension " + content_hash(MappedFile::open(path)->bytes()).hex() + "\n";
  return q + job.question;
}

// An encrypted file must not appear decrypted anywhere else.
bool is_encrypted(const std::string& path) {
  if (!is_hone_path(path)) return false;
  try {
    const auto file = MappedFile::open(path);
    return file->bytes().size() < 4 || std::memcmp(file->bytes().data(), "HONE\r\n", 6) != 0;
  } catch (const Error&) {
    return true;
  }
}

std::vector<Port> ports_of(const std::vector<CompiledGraph::Port>& from, const json& names) {
  std::vector<Port> out;
  for (size_t i = 0; i < from.size(); ++i) {
    Port p;
    p.names = from[i].names;
    p.name = names.at(i);
    p.element_type = from[i].type.element;
    p.partial_shape = from[i].type.shape;
    out.push_back(std::move(p));
  }
  return out;
}

json names_of(const std::vector<Port>& ports) {
  json j = json::array();
  for (const Port& p : ports) j.push_back(p.name);
  return j;
}

json facts_of(const LoadedModel& m) {
  return {{"precision", name_of(m.precision)},
          {"taken", name_of(m.taken)},
          {"inputs", names_of(m.inputs)},
          {"outputs", names_of(m.outputs)},
          {"last_operator", m.last_operator},
          {"explanation", m.explanation},
          {"choice", m.choice}};
}

// nullopt where the entry does not say what it should, or no kernel of this process takes its steps.
std::optional<LoadedModel> from_cache(CachedModel hit, const CompileOptions& options) {
  try {
    const json facts = json::parse(hit.metadata.at(facts_field));
    hit.metadata.erase(facts_field);
    LoadedModel m;
    m.compiled = load_program(hit.program, options);
    m.inputs = ports_of(m.compiled.inputs(), facts.at("inputs"));
    m.outputs = ports_of(m.compiled.outputs(), facts.at("outputs"));
    m.precision = precision_from(facts.at("precision").get<std::string>());
    m.taken = precision_from(facts.at("taken").get<std::string>());
    m.last_operator = facts.at("last_operator");
    m.explanation = facts.at("explanation");
    m.choice = facts.at("choice");
    m.info = std::move(hit.metadata);
    m.from_cache = true;
    return m;
  } catch (const std::exception& e) {
    log(LogLevel::warning, std::string("[cache] compiled anew (") + e.what() + ")");
    return std::nullopt;
  }
}

void describe(LoadedModel& m, const Graph& g) {
  m.info = g.info;
  for (const Value& v : g.inputs()) m.inputs.push_back(port_of(v, v.node().name()));
  for (NodeId r : g.results()) m.outputs.push_back(output_port(g, r));
  if (!g.results().empty()) m.last_operator = g.outputs()[0].node().op().name;
}

std::string precision_of(const Program& p) {
  const auto it = p.info.find("precision");
  return it == p.info.end() ? "f32" : it->second;
}

// A program that the file itself carries for this CPU.
std::optional<LoadedModel> from_file(const ModelJob& job) {
  if (!job.accepts || job.graph || job.options.records || !is_hone_path(job.path)) return std::nullopt;
  // A first look reads no weights.
  const auto fits = [&](const HoneFile& file, const Program& p) {
    const std::string precision = precision_of(p);
    // A file's own arithmetic is that of its program, be it f32 or int8.
    const bool own = job.precision.empty() && (precision == "f32" || precision == "int8");
    return (own || job.precision == "auto" || job.precision == precision) && job.accepts(p, file.metadata) &&
           (file.graph.empty() || p.target == cpu::to_string(cpu::features()));
  };
  HoneFile file = read_hone(job.path, ReadHoneOptions{.checksums = false, .key_file = {}});
  if (std::none_of(file.programs.begin(), file.programs.end(), [&](const Program& p) { return fits(file, p); }))
    return std::nullopt;
  cpu::add_reference_kernels();
  file = read_hone(job.path);
  for (Program& p : file.programs) {
    if (!fits(file, p)) continue;
    const std::string precision = precision_of(p);
    try {
      LoadedModel m;
      m.compiled = load_program(std::make_shared<const Program>(std::move(p)), job.options);
      m.precision = job.precision == "auto" ? Precision::automatic : precision_from(precision);
      m.taken = precision_from(precision);
      m.info = file.metadata;
      const auto port_names = [](const std::vector<CompiledGraph::Port>& ports) {
        json j = json::array();
        for (const auto& port : ports) j.push_back(port.names.empty() ? port.name : port.names[0]);
        return j;
      };
      m.inputs = ports_of(m.compiled.inputs(), port_names(m.compiled.inputs()));
      m.outputs = ports_of(m.compiled.outputs(), port_names(m.compiled.outputs()));
      const Program& own = *m.compiled.program();
      for (const ProgramStep& s : own.steps) {
        for (uint32_t t : s.outputs) {
          if (t != no_tensor && !own.outputs.empty() && own[t].root == own[own.outputs[0].tensor].root)
            m.last_operator = s.op;
        }
      }
      return m;
    } catch (const Error& e) {
      if (e.code() != ErrorCode::unsupported) throw;
    }
  }
  return std::nullopt;
}

}  // namespace

std::string cache_folder(bool wanted) {
  return wanted ? default_cache_folder() : std::string();
}

std::string to_text(const std::map<std::string, PartialShape>& shapes) {
  std::string s;
  for (const auto& [name, shape] : shapes) s += "shape " + name + " " + to_string(shape) + "\n";
  return s;
}

void settle_shapes(Graph& g, const std::map<std::string, PartialShape>& given, const char* verb) {
  std::map<ValueId, PartialShape> shapes;
  for (const auto& [name, shape] : given) shapes[find_input(g, name).id] = shape;
  for (const Value& v : g.inputs()) {
    if (shapes.contains(v.id) || !v.type().is_tensor() || !v.shape().is_dynamic()) continue;
    if (!v.shape().rank_known())
      throw Error(ErrorCode::usage, std::string("[") + verb + "] an input has no known shape",
                  port_of(v, v.node().name()).name, "give it with --shape");
    PartialShape s = v.shape();
    for (size_t i = 0; i < s.rank(); ++i) {
      if (s[i].is_dynamic()) s[i] = std::max<int64_t>(1, s[i].min());
    }
    shapes[v.id] = s;
  }
  if (!shapes.empty()) g.reshape(shapes);
}

LoadedModel load_model(const ModelJob& job) {
  if (auto m = from_file(job)) return std::move(*m);
  const bool keep = !job.cache_folder.empty() && (job.path.empty() || !is_encrypted(job.path));
  ModelCache cache(keep ? job.cache_folder : std::string());
  const std::string question = question_of(job);
  ContentHash content;
  if (keep) {
    cpu::add_reference_kernels();
    if (job.path.empty()) content = content_hash(*job.graph);
    auto hit = job.path.empty() ? cache.find(content, question) : cache.find(job.path, question);
    if (hit) {
      if (auto m = from_cache(std::move(*hit), job.options)) return std::move(*m);
    }
  }
  LoadedModel m;
  FileObserver files;
  Graph graph = job.graph ? *job.graph : read_any_model(job.path, job.network);
  m.precision = job.choose(graph);
  if (job.prepare) job.prepare(graph);
  describe(m, graph);
  CompileOptions options = job.options;
  options.precision = m.precision;
  m.compiled = compile_model(std::move(graph), options);
  m.taken = m.compiled.report().precision;
  m.explanation = m.compiled.report().explanation;
  m.choice = m.compiled.report().choice;
  if (keep && m.compiled.program()) {
    auto metadata = m.info;
    metadata[facts_field] = facts_of(m).dump(-1, ' ', false, json::error_handler_t::replace);
    if (job.path.empty())
      cache.store(content, question, *m.compiled.program(), std::move(metadata));
    else if (!job.graph)
      cache.store(job.path, question, files.paths(), *m.compiled.program(), std::move(metadata));
  }
  return m;
}

}  // namespace hone
