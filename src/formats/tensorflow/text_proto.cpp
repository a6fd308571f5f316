#include "formats/tensorflow/text_proto.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>
#include <span>

#include "formats/protobuf.hpp"
#include "formats/tensorflow/proto.hpp"
#include "hone/error.hpp"

namespace hone::tensorflow {
namespace {

enum class Kind { number, flag, f32, f64, text, type, message };
struct Field {
  std::string_view name;
  uint32_t number;
  Kind kind;
  int message = -1;  ///< index of the message type
};

// Message types; each names those before and behind it by number.
enum Message {
  dim_,
  shape_,
  tensor_,
  list_,
  attribute_,
  attribute_entry_,
  function_name_,
  node_,
  argument_,
  signature_op_,
  text_entry_,
  function_,
  library_,
  graph_,
  info_,
  info_entry_,
  signature_,
  signature_entry_,
  meta_info_,
  meta_graph_,
  saved_model_
};

constexpr Field dim_fields[] = {{"size", 1, Kind::number}, {"name", 2, Kind::text}};
constexpr Field shape_fields[] = {{"dim", 2, Kind::message, dim_}, {"unknown_rank", 3, Kind::flag}};
constexpr Field tensor_fields[] = {{"dtype", 1, Kind::type},          {"tensor_shape", 2, Kind::message, shape_},
                                   {"tensor_content", 4, Kind::text}, {"float_val", 5, Kind::f32},
                                   {"double_val", 6, Kind::f64},      {"int_val", 7, Kind::number},
                                   {"string_val", 8, Kind::text},     {"scomplex_val", 9, Kind::f32},
                                   {"int64_val", 10, Kind::number},   {"bool_val", 11, Kind::flag},
                                   {"dcomplex_val", 12, Kind::f64},   {"half_val", 13, Kind::number},
                                   {"uint32_val", 16, Kind::number},  {"uint64_val", 17, Kind::number}};
constexpr Field list_fields[] = {{"s", 2, Kind::text},
                                 {"i", 3, Kind::number},
                                 {"f", 4, Kind::f32},
                                 {"b", 5, Kind::flag},
                                 {"type", 6, Kind::type},
                                 {"shape", 7, Kind::message, shape_},
                                 {"tensor", 8, Kind::message, tensor_},
                                 {"func", 9, Kind::message, function_name_}};
constexpr Field attribute_fields[] = {{"list", 1, Kind::message, list_},
                                      {"s", 2, Kind::text},
                                      {"i", 3, Kind::number},
                                      {"f", 4, Kind::f32},
                                      {"b", 5, Kind::flag},
                                      {"type", 6, Kind::type},
                                      {"shape", 7, Kind::message, shape_},
                                      {"tensor", 8, Kind::message, tensor_},
                                      {"placeholder", 9, Kind::text},
                                      {"func", 10, Kind::message, function_name_}};
constexpr Field attribute_entry_fields[] = {{"key", 1, Kind::text}, {"value", 2, Kind::message, attribute_}};
constexpr Field function_name_fields[] = {{"name", 1, Kind::text}, {"attr", 2, Kind::message, attribute_entry_}};
constexpr Field node_fields[] = {{"name", 1, Kind::text},
                                 {"op", 2, Kind::text},
                                 {"input", 3, Kind::text},
                                 {"attr", 5, Kind::message, attribute_entry_}};
constexpr Field argument_fields[] = {{"name", 1, Kind::text}, {"type", 3, Kind::type}, {"type_attr", 4, Kind::text}};
constexpr Field signature_op_fields[] = {
    {"name", 1, Kind::text}, {"input_arg", 2, Kind::message, argument_}, {"output_arg", 3, Kind::message, argument_}};
constexpr Field text_entry_fields[] = {{"key", 1, Kind::text}, {"value", 2, Kind::text}};
constexpr Field function_fields[] = {{"signature", 1, Kind::message, signature_op_},
                                     {"node_def", 3, Kind::message, node_},
                                     {"ret", 4, Kind::message, text_entry_}};
constexpr Field library_fields[] = {{"function", 1, Kind::message, function_}};
constexpr Field graph_fields[] = {{"node", 1, Kind::message, node_}, {"library", 2, Kind::message, library_}};
constexpr Field info_fields[] = {
    {"name", 1, Kind::text}, {"dtype", 2, Kind::type}, {"tensor_shape", 3, Kind::message, shape_}};
constexpr Field info_entry_fields[] = {{"key", 1, Kind::text}, {"value", 2, Kind::message, info_}};
constexpr Field signature_fields[] = {{"inputs", 1, Kind::message, info_entry_},
                                      {"outputs", 2, Kind::message, info_entry_}};
constexpr Field signature_entry_fields[] = {{"key", 1, Kind::text}, {"value", 2, Kind::message, signature_}};
constexpr Field meta_info_fields[] = {{"tags", 4, Kind::text}, {"tensorflow_version", 5, Kind::text}};
constexpr Field meta_graph_fields[] = {{"meta_info_def", 1, Kind::message, meta_info_},
                                       {"graph_def", 2, Kind::message, graph_},
                                       {"signature_def", 5, Kind::message, signature_entry_}};
constexpr Field saved_model_fields[] = {{"saved_model_schema_version", 1, Kind::number},
                                        {"meta_graphs", 2, Kind::message, meta_graph_}};

std::span<const Field> fields_of(int message) {
  static constexpr std::span<const Field> all[] = {dim_fields,           shape_fields,      tensor_fields,
                                                   list_fields,          attribute_fields,  attribute_entry_fields,
                                                   function_name_fields, node_fields,       argument_fields,
                                                   signature_op_fields,  text_entry_fields, function_fields,
                                                   library_fields,       graph_fields,      info_fields,
                                                   info_entry_fields,    signature_fields,  signature_entry_fields,
                                                   meta_info_fields,     meta_graph_fields, saved_model_fields};
  return all[message];
}

constexpr int max_depth = 64;

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  std::string parse() {
    space();
    const size_t start = at_;
    const std::string_view first = word();
    at_ = start;
    const int root = first == "saved_model_schema_version" || first == "meta_graphs" ? saved_model_
                     : first == "meta_info_def" || first == "graph_def"              ? meta_graph_
                                                                                     : graph_;
    return message(root, '\0', 0);
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    const auto line =
        1 + std::count(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(std::min(at_, text_.size())), '\n');
    throw Error(ErrorCode::unreadable, "[tensorflow] " + what, "line " + std::to_string(line),
                "check that the file is a TensorFlow graph as text");
  }
  bool done() const { return at_ >= text_.size(); }
  char peek() const { return done() ? '\0' : text_[at_]; }
  void space() {
    while (!done()) {
      if (peek() == '#') {
        while (!done() && peek() != '\n') ++at_;
      } else if (std::isspace(static_cast<unsigned char>(peek())) || peek() == ',' || peek() == ';') {
        ++at_;
      } else {
        return;
      }
    }
  }
  std::string_view word() {
    const size_t from = at_;
    while (!done() && (std::isalnum(static_cast<unsigned char>(peek())) ||
                       std::string_view("_.+-/").find(peek()) != std::string_view::npos))
      ++at_;
    if (from == at_) fail("a name or number is missing");
    return text_.substr(from, at_ - from);
  }
  bool accept(char c) {
    space();
    if (peek() != c || done()) return false;
    ++at_;
    return true;
  }

  // Quoted strings with C escapes; neighbours are joined.
  std::string quoted() {
    std::string out;
    space();
    if (peek() != '"' && peek() != '\'') fail("a string is missing");
    while (peek() == '"' || peek() == '\'') {
      const char quote = text_[at_++];
      while (peek() != quote) {
        if (done()) fail("a string does not end");
        char c = text_[at_++];
        if (c != '\\') {
          out += c;
          continue;
        }
        if (done()) fail("a string does not end");
        c = text_[at_++];
        if (c >= '0' && c <= '7') {
          int v = c - '0';
          for (int k = 0; k < 2 && peek() >= '0' && peek() <= '7'; ++k) v = v * 8 + (text_[at_++] - '0');
          out += static_cast<char>(v);
        } else if (c == 'x' || c == 'X') {
          int v = 0;
          for (int k = 0; k < 2 && std::isxdigit(static_cast<unsigned char>(peek())); ++k) {
            const int d = std::tolower(static_cast<unsigned char>(text_[at_++]));
            v = v * 16 + (d <= '9' ? d - '0' : d - 'a' + 10);
          }
          out += static_cast<char>(v);
        } else {
          static constexpr std::string_view from = "ntrabfv", to = "\n\t\r\a\b\f\v";
          const size_t k = from.find(c);
          out += k == from.npos ? c : to[k];
        }
      }
      ++at_;
      space();
    }
    return out;
  }

  double real(std::string_view w) const {
    const bool minus = w.starts_with('-');
    if (minus || w.starts_with('+')) w.remove_prefix(1);
    if (w.size() > 1 && (w.back() == 'f' || w.back() == 'F') && w != "inf" && w != "Inf") w.remove_suffix(1);
    double v = 0;
    if (w.starts_with("inf") || w.starts_with("Inf")) {
      v = std::numeric_limits<double>::infinity();
    } else if (w.starts_with("nan") || w.starts_with("NaN")) {
      v = std::numeric_limits<double>::quiet_NaN();
    } else if (const auto r = std::from_chars(w.data(), w.data() + w.size(), v);
               r.ec == std::errc::invalid_argument || r.ptr != w.data() + w.size()) {
      fail("'" + std::string(w) + "' is no number");
    }
    return minus ? -v : v;
  }
  int64_t integer(std::string_view w) const {
    int64_t v = 0;
    auto r = std::from_chars(w.data(), w.data() + w.size(), v);
    if (r.ec == std::errc::result_out_of_range) {
      uint64_t u = 0;
      r = std::from_chars(w.data(), w.data() + w.size(), u);
      v = static_cast<int64_t>(u);
    }
    if (r.ec != std::errc() || r.ptr != w.data() + w.size()) fail("'" + std::string(w) + "' is no integer");
    return v;
  }
  // "DT_FLOAT", a number, and references "DT_FLOAT_REF".
  int64_t type(std::string_view w) const {
    if (!w.starts_with("DT_")) return integer(w);
    std::string name(w.substr(3));
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    int64_t reference = 0;
    if (name.ends_with("_ref")) {
      name.resize(name.size() - 4);
      reference = 100;
    }
    if (name == "float") name = "float32";
    if (name == "double") name = "float64";
    if (name == "half") name = "float16";
    if (name == "invalid") return 0;
    for (int64_t t = 1; t < 64; ++t) {
      if (name_of_tf_type(t) == name) return t + reference;
    }
    fail("element type '" + std::string(w) + "' is not known");
  }

  void scalar(const Field& f, protozero::pbf_writer& to) {
    space();
    if (f.kind == Kind::text) {
      to.add_bytes(f.number, quoted());
      return;
    }
    const std::string_view w = word();
    switch (f.kind) {
      case Kind::number:
        to.add_int64(f.number, integer(w));
        break;
      case Kind::flag:
        to.add_bool(f.number, w == "true" || w == "True" || w == "t" || w == "1");
        break;
      case Kind::f32:
        to.add_float(f.number, static_cast<float>(real(w)));
        break;
      case Kind::f64:
        to.add_double(f.number, real(w));
        break;
      default:
        to.add_int32(f.number, static_cast<int32_t>(type(w)));
    }
  }

  // A value of a field that nobody reads.
  void skip(int depth) {
    if (depth > max_depth) throw Error(ErrorCode::unsafe, "[tensorflow] messages are nested too deeply");
    space();
    if (accept('{') || accept('<')) {
      for (space(); peek() != '}' && peek() != '>'; space()) {
        if (done()) fail("a message does not end");
        field_name();
        accept(':');
        skip(depth + 1);
      }
      ++at_;
    } else if (accept('[')) {
      while (!accept(']')) {
        if (done()) fail("a list does not end");
        skip(depth + 1);
      }
    } else if (peek() == '"' || peek() == '\'') {
      quoted();
    } else {
      word();
    }
  }
  std::string_view field_name() {
    space();
    if (!accept('[')) return word();
    const size_t from = at_;  // an extension or the type of an Any
    while (!done() && peek() != ']') ++at_;
    const std::string_view name = text_.substr(from, at_ - from);
    accept(']');
    return name;
  }

  std::string message(int type, char end, int depth) {
    if (depth > max_depth) throw Error(ErrorCode::unsafe, "[tensorflow] messages are nested too deeply");
    std::string out;
    protozero::pbf_writer to(out);
    for (space(); !(end ? peek() == end : done()); space()) {
      if (done()) fail("a message does not end");
      const std::string_view name = field_name();
      accept(':');
      const Field* f = nullptr;
      for (const Field& candidate : fields_of(type)) {
        if (candidate.name == name) f = &candidate;
      }
      if (!f) {
        skip(depth + 1);
        continue;
      }
      const bool list = accept('[');
      while (!(list && accept(']'))) {
        if (done()) fail("a value is missing");
        if (f->kind == Kind::message) {
          const bool brace = accept('{');
          if (!brace && !accept('<')) fail("a message is missing");
          to.add_message(f->number, message(f->message, brace ? '}' : '>', depth + 1));
          ++at_;
        } else {
          scalar(*f, to);
        }
        if (!list) break;
      }
    }
    return out;
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

std::string binary_from_text(std::string_view text) {
  return Parser(text).parse();
}

}  // namespace hone::tensorflow
