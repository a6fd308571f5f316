// Attributes, tensors and types as protobuf messages.
#include <functional>

#include "formats/onnx/emit.hpp"
#include "formats/onnx/proto.hpp"
#include "formats/protobuf.hpp"
#include "hone/error.hpp"

namespace hone::onnx {
namespace {

using protozero::pbf_writer;

std::string attribute(const char* name, int type, const std::function<void(pbf_writer&)>& value) {
  std::string out;
  pbf_writer w(out);
  w.add_string(1, name);
  value(w);
  w.add_int32(20, type);
  return out;
}

// Empty messages say something here (an unknown dimension, a scalar's shape), so they are added whole: nested writers
// drop them.
void tensor_shape(pbf_writer& tensor_type, const PartialShape& s) {
  if (!s.rank_known()) return;
  std::string shape;
  for (const Dimension& d : s) {
    std::string dim;
    if (d.is_static())
      pbf_writer(dim).add_int64(1, d.get_length());
    else if (d.symbol())
      pbf_writer(dim).add_string(2, d.symbol_name());
    pbf_writer(shape).add_message(1, dim);
  }
  tensor_type.add_message(2, shape);
}

void type_message(pbf_writer& w, const Type& t) {
  switch (t.kind) {
    case Type::Kind::tensor: {
      pbf_writer tensor(w, 1);
      tensor.add_int32(1, onnx_data_type(t.element));
      tensor_shape(tensor, t.shape);
      return;
    }
    case Type::Kind::sequence:
    case Type::Kind::optional: {
      pbf_writer outer(w, t.kind == Type::Kind::sequence ? 4 : 9);
      pbf_writer inner(outer, 1);
      type_message(inner, *t.inner);
      return;
    }
    case Type::Kind::map: {
      pbf_writer outer(w, 5);
      outer.add_int32(1, onnx_data_type(t.element));
      pbf_writer inner(outer, 2);
      type_message(inner, *t.inner);
      return;
    }
    default:
      throw Error(ErrorCode::unsupported, "[onnx] a value of type " + to_string(t) + " has no counterpart in ONNX");
  }
}

}  // namespace

AttributeList& AttributeList::i(const char* name, int64_t v) {
  messages_.push_back(attribute(name, 2, [&](pbf_writer& w) { w.add_int64(3, v); }));
  return *this;
}
AttributeList& AttributeList::f(const char* name, double v) {
  messages_.push_back(attribute(name, 1, [&](pbf_writer& w) { w.add_float(2, static_cast<float>(v)); }));
  return *this;
}
AttributeList& AttributeList::s(const char* name, const std::string& v) {
  messages_.push_back(attribute(name, 3, [&](pbf_writer& w) { w.add_bytes(4, v); }));
  return *this;
}
AttributeList& AttributeList::ints(const char* name, const std::vector<int64_t>& v) {
  messages_.push_back(attribute(name, 7, [&](pbf_writer& w) {
    for (int64_t x : v) w.add_int64(8, x);
  }));
  return *this;
}
AttributeList& AttributeList::floats(const char* name, const std::vector<double>& v) {
  messages_.push_back(attribute(name, 6, [&](pbf_writer& w) {
    for (double x : v) w.add_float(7, static_cast<float>(x));
  }));
  return *this;
}
AttributeList& AttributeList::strings(const char* name, const std::vector<std::string>& v) {
  messages_.push_back(attribute(name, 8, [&](pbf_writer& w) {
    for (const std::string& x : v) w.add_bytes(9, x);
  }));
  return *this;
}
AttributeList& AttributeList::tensor(const char* name, const Tensor& v) {
  messages_.push_back(attribute(name, 4, [&](pbf_writer& w) { w.add_message(5, tensor_message(v, "")); }));
  return *this;
}
AttributeList& AttributeList::graph(const char* name, const std::string& serialised) {
  messages_.push_back(attribute(name, 5, [&](pbf_writer& w) { w.add_message(6, serialised); }));
  return *this;
}

std::string tensor_message(const Tensor& t, const std::string& name) {
  std::string out;
  pbf_writer w(out);
  w.add_packed_int64(1, t.shape().begin(), t.shape().end());
  w.add_int32(2, onnx_data_type(t.element_type()));
  if (!name.empty()) w.add_string(8, name);
  if (t.element_type() == ElementType::string) {
    for (const std::string& s : t.strings()) w.add_bytes(6, s);
  } else {
    w.add_bytes(9, static_cast<const char*>(t.raw()), t.byte_size());
  }
  return out;
}

std::string value_info(const std::string& name, const Type& t) {
  std::string out;
  pbf_writer w(out);
  w.add_string(1, name);
  pbf_writer type(w, 2);
  type_message(type, t);
  return out;
}

}  // namespace hone::onnx
