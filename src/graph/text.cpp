#include "graph/text.hpp"

#include <cctype>
#include <unordered_map>

#include "graph/builder.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"

namespace hone {
namespace {

std::string quoted(const std::string& s) {
  std::string q = "\"";
  for (char c : s) q += (c == '"' || c == '\\') ? std::string("\\") + c : std::string(1, c);
  return q + "\"";
}

void print(const Graph& g, size_t max_elements, const std::string& indent, std::string& out) {
  std::unordered_map<ValueId, std::string> names;
  // Parameters first and in order, so that the order of inputs survives the trip.
  std::vector<NodeId> order = g.parameters();
  for (NodeId id : g.topological_order()) {
    if (g.node(id).op != &op_def<Parameter>() && g.node(id).op != &op_def<Result>()) order.push_back(id);
  }
  order.insert(order.end(), g.results().begin(), g.results().end());
  size_t next = 0;
  for (NodeId id : order) {
    const NodeData& n = g.node(id);
    out += indent;
    for (size_t i = 0; i < n.outputs.size(); ++i) {
      names[n.outputs[i]] = "%" + std::to_string(next++);
      out += (i ? ", " : "") + names[n.outputs[i]];
    }
    if (!n.outputs.empty()) out += " = ";
    out += std::string(n.op->name) + "(";
    for (size_t i = 0; i < n.inputs.size(); ++i)
      out += (i ? ", " : "") + (n.inputs[i] == no_id ? "_" : names.at(n.inputs[i]));
    out += ")";
    const auto defaults = attribute_text(*n.op, n.op->make().get(), max_elements);
    const auto fields = attribute_text(*n.op, n.attributes.get(), max_elements);
    std::string text;
    for (size_t i = 0; i < fields.size(); ++i) {
      if (fields[i].second != defaults[i].second)
        text += (text.empty() ? "" : ",") + fields[i].first + "=" + fields[i].second;
    }
    if (!text.empty()) out += " {" + text + "}";
    if (n.epilogue) {
      out += " epilogue {\n";
      print(*n.epilogue, max_elements, indent + "  ", out);
      out += indent + "}";
    }
    for (const Region& r : n.regions) {
      out += " region {\n";
      print(*r, max_elements, indent + "  ", out);
      out += indent + "}";
    }
    for (size_t i = 0; i < n.outputs.size(); ++i) out += (i ? ", " : " : ") + to_string(g.value(n.outputs[i]).type);
    if (!n.name.empty()) out += " " + quoted(n.name);
    out += "\n";
  }
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Graph graph() {
    word("graph");
    Graph g;
    skip();
    if (peek() != '{') g.name = peek() == '"' ? string() : identifier();
    body(g);
    skip();
    if (at_ < text_.size()) fail("text after the graph");
    return g;
  }

 private:
  void body(Graph& g) {
    expect('{');
    std::unordered_map<std::string, Value> values;
    for (skip(); peek() != '}'; skip()) statement(g, values);
    ++at_;
  }

  void statement(Graph& g, std::unordered_map<std::string, Value>& values) {
    const size_t start = at_;
    std::vector<std::string> outs;
    while (peek() == '%') {
      outs.push_back(identifier());
      skip();
      if (peek() == ',')
        ++at_, skip();
      else
        break;
    }
    if (!outs.empty()) expect('=');
    skip();
    const std::string op_name = identifier();
    const OpDef* op = find_op(op_name);
    if (!op) fail("unknown operator '" + op_name + "'");
    expect('(');
    Values in;
    for (skip(); peek() != ')'; skip()) {
      const std::string v = identifier();
      if (v != "_" && !values.contains(v)) fail("unknown value " + v);
      in.push_back(v == "_" ? Value{} : values[v]);
      skip();
      if (peek() == ',') ++at_;
    }
    ++at_;
    skip();
    Attributes attributes = op->make();
    if (peek() == '{') {
      FieldParser fields(attribute_list());
      op->visit(const_cast<void*>(attributes.get()), fields);
      fields.finish(op_name);
    }
    skip();
    Region epilogue;
    std::vector<Region> regions;
    while (text_.substr(at_).starts_with("region") || text_.substr(at_).starts_with("epilogue")) {
      const bool is_epilogue = identifier() == "epilogue";
      auto r = std::make_shared<Graph>();
      skip();
      body(*r);
      (is_epilogue ? epilogue : regions.emplace_back()) = r;
      skip();
    }
    try {
      size_t op_inputs = in.size();
      std::vector<ValueId> operands;
      if (epilogue) {
        op_inputs -= epilogue->parameters().size() - 1;
        for (size_t i = op_inputs; i < in.size(); ++i) operands.push_back(in[i].id);
      }
      std::vector<ValueId> ids;
      for (size_t i = 0; i < op_inputs; ++i) ids.push_back(in[i].id);
      const NodeId id = g.add(*op, attributes, ids, regions);
      if (epilogue) g.set_epilogue(id, epilogue, operands);
      const Node node = g.handle(id);
      if (outs.size() > node.num_outputs()) fail(op_name + " has " + std::to_string(node.num_outputs()) + " outputs");
      for (size_t i = 0; i < outs.size(); ++i) values[outs[i]] = node.output(i);
      if (peek() == ':') {
        for (size_t i = 0; i < node.num_outputs(); ++i) {
          ++at_;  // ':' or ','
          skip();
          g.set_type(node.output(i).id, parse_type(type_text()));
          skip();
          if (peek() != ',') break;
        }
      }
      skip();
      if (peek() == '"') g.set_name(id, string());
      if (op == &op_def<Parameter>() && !g.node(id).name.empty()) g.set_names(node.output().id, {g.node(id).name});
    } catch (const Error& e) {
      const size_t saved = at_;
      at_ = start;
      const std::string where = line();
      at_ = saved;
      if (e.where().starts_with("line ")) throw;
      throw Error(e.code(), e.message(), where + (e.where().empty() ? "" : ", " + e.where()), e.hint());
    }
  }

  // `{a=1,b=[1,2],c=f32[2]{1,2}}`: values nest brackets, braces and strings.
  std::vector<std::pair<std::string, std::string>> attribute_list() {
    expect('{');
    std::vector<std::pair<std::string, std::string>> out;
    for (skip(); peek() != '}'; skip()) {
      std::string key = identifier();
      expect('=');
      skip();
      const size_t begin = at_;
      int depth = 0;
      for (bool in_string = false; at_ < text_.size(); ++at_) {
        const char c = text_[at_];
        if (in_string) {
          if (c == '\\')
            ++at_;
          else if (c == '"')
            in_string = false;
        } else if (c == '"') {
          in_string = true;
        } else if (c == '[' || c == '{' || c == '(') {
          ++depth;
        } else if ((c == ']' || c == '}' || c == ')') && depth-- == 0) {
          break;
        } else if (c == ',' && depth == 0) {
          break;
        }
      }
      std::string value(text_.substr(begin, at_ - begin));
      while (!value.empty() && std::isspace(static_cast<unsigned char>(value.back()))) value.pop_back();
      out.emplace_back(std::move(key), std::move(value));
      skip();
      if (peek() == ',') ++at_;
    }
    ++at_;
    return out;
  }

  std::string type_text() {
    const size_t begin = at_;
    int depth = 0;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '[' || c == '<' || c == '(')
        ++depth;
      else if (c == ']' || c == '>' || c == ')')
        --depth;
      else if (depth == 0 && (c == ',' || std::isspace(static_cast<unsigned char>(c)) || c == '}'))
        break;
    }
    return std::string(text_.substr(begin, at_ - begin));
  }

  void skip() {
    while (at_ < text_.size()) {
      if (std::isspace(static_cast<unsigned char>(text_[at_])))
        ++at_;
      else if (text_[at_] == '#')
        at_ = std::min(text_.find('\n', at_), text_.size());
      else
        break;
    }
  }
  char peek() {
    if (at_ >= text_.size()) fail("the text ends too early");
    return text_[at_];
  }
  void expect(char c) {
    skip();
    if (peek() != c) fail(std::string("'") + c + "' is expected");
    ++at_;
  }
  void word(const char* w) {
    skip();
    if (identifier() != w) fail(std::string("'") + w + "' is expected");
  }
  std::string identifier() {
    skip();
    const size_t begin = at_;
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) || text_[at_] == '_' ||
                                  text_[at_] == '.' || text_[at_] == '-' || (at_ == begin && text_[at_] == '%')))
      ++at_;
    if (at_ == begin) fail("a name is expected");
    return std::string(text_.substr(begin, at_ - begin));
  }
  std::string string() {
    std::string s;
    for (++at_; peek() != '"'; ++at_) {
      if (text_[at_] == '\\') ++at_;
      s += peek();
    }
    ++at_;
    return s;
  }
  std::string line() const {
    size_t n = 1;
    for (size_t i = 0; i < std::min(at_, text_.size()); ++i) n += text_[i] == '\n';
    return "line " + std::to_string(n);
  }
  [[noreturn]] void fail(const std::string& what) const { throw Error(ErrorCode::usage, "[text] " + what, line()); }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

std::string to_text(const Graph& g, size_t max_elements) {
  std::string out = "graph" + (g.name.empty() ? "" : " " + quoted(g.name)) + " {\n";
  print(g, max_elements, "  ", out);
  return out + "}\n";
}

Graph parse_graph(std::string_view text) {
  return Parser(text).graph();
}

}  // namespace hone
