#include "formats/onnx/proto.hpp"

#include <cstring>

#include "formats/protobuf_message.hpp"

namespace hone::onnx {
namespace {

using protobuf::each, protobuf::field, protobuf::read, protobuf::Reader;

template <class F>
auto guarded(F&& f) {
  return protobuf::guarded("onnx", "an ONNX model", f);
}

std::pair<std::string, std::string> string_pair(Bytes b) {
  std::pair<std::string, std::string> p;
  read(b, field(1, p.first), field(2, p.second));
  return p;
}

void opset(Bytes b, Opsets& to) {
  std::string domain;
  int64_t version = 0;
  read(b, field(1, domain), field(2, version));
  if (domain == "ai.onnx") domain.clear();
  to[domain] = version;
}

AttributeMessage attribute(Bytes b) {
  using A = AttributeMessage;
  A a;
  int guess = A::none;  // old writers leave `type` out
  const auto as = [&guess](int kind, auto& to) {
    return [&guess, kind, &to](Reader& r) {
      protobuf::take(r, to);
      guess = kind;
    };
  };
  read(b, field(1, a.name), field(2, as(A::f_, a.f)), field(3, as(A::i_, a.i)), field(4, as(A::s_, a.s)),
       field(5, as(A::t_, a.message)), field(6, as(A::g_, a.message)), field(7, as(A::floats_, a.floats)),
       field(8, as(A::ints_, a.ints)), field(9, as(A::strings_, a.list)), field(10, as(A::tensors_, a.list)),
       field(11, as(A::graphs_, a.list)), field(14, as(A::type_, a.message)), field(15, as(A::types_, a.list)),
       field(20, a.kind), field(21, a.reference), field(22, as(A::sparse_, a.message)));
  if (a.kind == A::none) a.kind = guess;
  return a;
}

NodeMessage node(Bytes b) {
  NodeMessage n;
  read(b, field(1, n.inputs), field(2, n.outputs), field(3, n.name), field(4, n.op),
       field(5, each(n.attributes, attribute)), field(7, n.domain), field(8, n.overload));
  if (n.domain == "ai.onnx") n.domain = {};
  return n;
}

ValueMessage value(Bytes b) {
  ValueMessage v;
  read(b, field(1, v.name), field(2, v.type));
  return v;
}

FunctionMessage function(Bytes b) {
  FunctionMessage f;
  read(b, field(1, f.name), field(4, f.inputs), field(5, f.outputs), field(7, each(f.nodes, node)),
       field(9, [&](Bytes v) { opset(v, f.opsets); }), field(10, f.domain), field(11, each(f.defaults, attribute)),
       field(13, f.overload));
  if (f.domain == "ai.onnx") f.domain = {};
  return f;
}

Dimension dimension(Bytes b) {
  Dimension d;
  read(b, field(1, [&](Reader& r) { d = Dimension(r.get_int64()); }), field(2, [&](Bytes symbol) {
         if (!symbol.empty()) d = Dimension::symbolic(symbol);
       }));
  return d;
}

PartialShape shape_message(Bytes b) {
  std::vector<Dimension> dims;
  read(b, field(1, each(dims, dimension)));
  return PartialShape(std::move(dims));
}

Type tensor_type(Bytes b) {
  Type t;
  int32_t element = 0;
  read(b, field(1, element), field(2, [&](Bytes v) { t.shape = shape_message(v); }));
  if (element != 0) t.element = element_type_of_onnx(element);
  return t;
}

Type type_message(Bytes b, int depth) {
  if (depth > 16) throw Error(ErrorCode::unsafe, "[onnx] a type is nested too deeply");
  const auto inner = [&](Bytes body, uint32_t tag) {
    Type t;
    read(body, field(tag, [&](Bytes v) { t = type_message(v, depth + 1); }));
    return t;
  };
  Type t;
  const auto tensor = [&](Bytes v) { t = tensor_type(v); };
  const auto map = [&](Bytes v) {
    ElementType key = ElementType::i64;
    read(v, field(1, [&](Reader& r) { key = element_type_of_onnx(r.get_int32()); }));
    t = Type::map(key, inner(v, 2));
  };
  read(b, field(1, tensor), field(4, [&](Bytes v) { t = Type::sequence(inner(v, 1)); }), field(5, map),
       field(8, tensor), field(9, [&](Bytes v) { t = Type::optional(inner(v, 1)); }));
  return t;
}

}  // namespace

ModelMessage parse_model(Bytes b) {
  return guarded([&] {
    ModelMessage m;
    const auto graph = [&](Bytes v) {
      m.graph = v;
      m.has_graph = true;
    };
    read(b, field(1, m.ir_version), field(2, m.producer), field(3, m.producer_version), field(7, graph),
         field(8, [&](Bytes v) { opset(v, m.opsets); }), field(14, [&](Bytes v) { m.metadata.insert(string_pair(v)); }),
         field(25, each(m.functions, function)));
    return m;
  });
}

GraphMessage parse_graph_message(Bytes b) {
  return guarded([&] {
    GraphMessage g;
    read(b, field(1, each(g.nodes, node)), field(2, g.name), field(5, g.initializers), field(11, each(g.inputs, value)),
         field(12, each(g.outputs, value)), field(15, g.sparse_initializers));
    return g;
  });
}

TensorMessage parse_tensor(Bytes b) {
  return guarded([&] {
    TensorMessage t;
    // The one packed payload of a well-made file stays where it is; several parts are put together.
    const auto in_place = [](Bytes& whole, auto& list) {
      return [&whole, &list](Reader& r) {
        using T = typename std::remove_reference_t<decltype(list)>::value_type;
        if (protobuf::is_bytes(r) && whole.empty() && list.empty()) {
          whole = protobuf::view(r);
          return;
        }
        for (size_t i = 0; i + sizeof(T) <= whole.size(); i += sizeof(T)) {
          T x;
          std::memcpy(&x, whole.data() + i, sizeof x);
          list.push_back(x);
        }
        whole = {};
        protobuf::take(r, list);
      };
    };
    const auto raw = [&](Bytes v) {
      t.raw = v;
      t.has_raw = true;
    };
    read(b, field(1, t.dims), field(2, t.data_type), field(4, in_place(t.packed_floats, t.floats)), field(5, t.int32s),
         field(6, t.strings), field(7, t.int64s), field(8, t.name), field(9, raw),
         field(10, in_place(t.packed_doubles, t.doubles)), field(11, t.uint64s),
         field(13, [&](Bytes v) { t.location.insert(string_pair(v)); }),
         field(14, [&](Reader& r) { t.external = r.get_int32() == 1; }));
    return t;
  });
}

Type parse_type_message(Bytes b) {
  return guarded([&] { return type_message(b, 0); });
}

namespace {

Datum optional_datum(Bytes b, const Storage& s, int depth);

Datum sequence_datum(Bytes b, const Storage& s, int depth) {
  if (depth > 16) throw Error(ErrorCode::unsafe, "[onnx] a sequence is nested too deeply");
  Datum::Sequence out;
  read(b, field(3, [&](Bytes v) { out.emplace_back(to_tensor(parse_tensor(v), s)); }),
       field(4, [&](Bytes v) { out.emplace_back(sparse_to_tensor(v, s)); }),
       field(5, [&](Bytes v) { out.push_back(sequence_datum(v, s, depth + 1)); }),
       field(6,
             [](Bytes) {
               throw Error(ErrorCode::unsupported, "[onnx] sequences of maps are not supported as stored data");
             }),
       field(7, [&](Bytes v) { out.push_back(optional_datum(v, s, depth + 1)); }));
  return Datum(std::move(out));
}

Datum optional_datum(Bytes b, const Storage& s, int depth) {
  if (depth > 16) throw Error(ErrorCode::unsafe, "[onnx] an optional is nested too deeply");
  Datum out;
  read(b, field(3, [&](Bytes v) { out = to_tensor(parse_tensor(v), s); }),
       field(4, [&](Bytes v) { out = sparse_to_tensor(v, s); }),
       field(5, [&](Bytes v) { out = sequence_datum(v, s, depth + 1); }),
       field(7, [&](Bytes v) { out = optional_datum(v, s, depth + 1); }));
  return out;
}

}  // namespace

Tensor sparse_to_tensor(Bytes b, const Storage& storage) {
  Tensor values, indices;
  std::vector<int64_t> dims;
  guarded([&] {
    read(b, field(1, [&](Bytes v) { values = to_tensor(parse_tensor(v), storage); }),
         field(2, [&](Bytes v) { indices = to_tensor(parse_tensor(v), storage); }), field(3, dims));
    return 0;
  });
  if (!values || !indices) throw Error(ErrorCode::unreadable, "[onnx] a sparse tensor lacks values or indices");
  // A dense form larger than this is not what a sparse file means to say.
  if (element_count(dims) > (int64_t{1} << 30))
    throw Error(ErrorCode::unsafe, "[onnx] a sparse tensor of " + to_string(dims) + " is too large to be made dense");
  Tensor t(values.element_type(), dims);
  const bool linear = indices.rank() == 1;
  for (size_t i = 0; i < values.size(); ++i) {
    int64_t at = 0;
    if (linear) {
      if (i >= indices.size()) throw Error(ErrorCode::unreadable, "[onnx] a sparse tensor has too few indices");
      at = get_integer(indices, i);
    } else {
      for (size_t k = 0; k < dims.size(); ++k) {
        if (i * dims.size() + k >= indices.size())
          throw Error(ErrorCode::unreadable, "[onnx] a sparse tensor has too few indices");
        at = at * dims[k] + get_integer(indices, i * dims.size() + k);
      }
    }
    if (at < 0 || at >= static_cast<int64_t>(t.size()))
      throw Error(ErrorCode::unreadable, "[onnx] an index of a sparse tensor is out of range");
    if (is_integer(t.element_type()))
      set_integer(t, static_cast<size_t>(at), get_integer(values, i));
    else
      set_element(t, static_cast<size_t>(at), get_element(values, i));
  }
  return t;
}

Bytes sparse_tensor_name(Bytes b) {
  return guarded([&] {
    Bytes name;  // the values carry it
    read(b, field(1, [&](Bytes v) { name = parse_tensor(v).name; }));
    return name;
  });
}

Datum parse_datum(Bytes b, const Type& type, const Storage& storage) {
  return guarded([&]() -> Datum {
    switch (type.kind) {
      case Type::Kind::sequence:
        return sequence_datum(b, storage, 0);
      case Type::Kind::optional:
        return optional_datum(b, storage, 0);
      case Type::Kind::tensor:
        return to_tensor(parse_tensor(b), storage);
      default:
        throw Error(ErrorCode::unsupported, "[onnx] stored data of type " + to_string(type) + " are not supported");
    }
  });
}

}  // namespace hone::onnx
