#include "formats/onnx/proto.hpp"

#include <cstring>

#include "formats/protobuf.hpp"
#include "hone/error.hpp"

namespace hone::onnx {
namespace {

using protozero::pbf_reader;
using protozero::pbf_wire_type;

Bytes view(pbf_reader& r) {
  const protozero::data_view v = r.get_view();
  return {v.data(), v.size()};
}
pbf_reader reader(Bytes b) {
  return pbf_reader(b.data(), b.size());
}

// Repeated numbers come packed or one by one; both are legal in one message.
template <class T, class Packed, class Single>
void repeated(pbf_reader& r, std::vector<T>& to, Packed packed, Single single) {
  if (r.wire_type() == pbf_wire_type::length_delimited) {
    for (auto v : packed()) to.push_back(static_cast<T>(v));
  } else {
    to.push_back(static_cast<T>(single()));
  }
}
void int64s(pbf_reader& r, std::vector<int64_t>& to) {
  repeated(
      r, to, [&] { return r.get_packed_int64(); }, [&] { return r.get_int64(); });
}

std::pair<std::string, std::string> string_pair(Bytes b) {
  std::pair<std::string, std::string> p;
  for (pbf_reader r = reader(b); r.next();) {
    if (r.tag() == 1)
      p.first = r.get_string();
    else if (r.tag() == 2)
      p.second = r.get_string();
    else
      r.skip();
  }
  return p;
}

void opset(Bytes b, Opsets& to) {
  std::string domain;
  int64_t version = 0;
  for (pbf_reader r = reader(b); r.next();) {
    if (r.tag() == 1)
      domain = r.get_string();
    else if (r.tag() == 2)
      version = r.get_int64();
    else
      r.skip();
  }
  if (domain == "ai.onnx") domain.clear();
  to[domain] = version;
}

AttributeMessage attribute(Bytes b) {
  AttributeMessage a;
  int guess = AttributeMessage::none;  // old writers leave `type` out
  for (pbf_reader r = reader(b); r.next();) {
    switch (r.tag()) {
      case 1:
        a.name = view(r);
        break;
      case 2:
        a.f = r.get_float();
        guess = AttributeMessage::f_;
        break;
      case 3:
        a.i = r.get_int64();
        guess = AttributeMessage::i_;
        break;
      case 4:
        a.s = view(r);
        guess = AttributeMessage::s_;
        break;
      case 5:
        a.message = view(r);
        guess = AttributeMessage::t_;
        break;
      case 6:
        a.message = view(r);
        guess = AttributeMessage::g_;
        break;
      case 7:
        repeated(
            r, a.floats, [&] { return r.get_packed_float(); }, [&] { return r.get_float(); });
        guess = AttributeMessage::floats_;
        break;
      case 8:
        int64s(r, a.ints);
        guess = AttributeMessage::ints_;
        break;
      case 9:
        a.list.push_back(view(r));
        guess = AttributeMessage::strings_;
        break;
      case 10:
        a.list.push_back(view(r));
        guess = AttributeMessage::tensors_;
        break;
      case 11:
        a.list.push_back(view(r));
        guess = AttributeMessage::graphs_;
        break;
      case 14:
        a.message = view(r);
        guess = AttributeMessage::type_;
        break;
      case 15:
        a.list.push_back(view(r));
        guess = AttributeMessage::types_;
        break;
      case 20:
        a.kind = r.get_int32();
        break;
      case 21:
        a.reference = view(r);
        break;
      case 22:
        a.message = view(r);
        guess = AttributeMessage::sparse_;
        break;
      default:
        r.skip();
    }
  }
  if (a.kind == AttributeMessage::none) a.kind = guess;
  return a;
}

NodeMessage node(Bytes b) {
  NodeMessage n;
  for (pbf_reader r = reader(b); r.next();) {
    switch (r.tag()) {
      case 1:
        n.inputs.push_back(view(r));
        break;
      case 2:
        n.outputs.push_back(view(r));
        break;
      case 3:
        n.name = view(r);
        break;
      case 4:
        n.op = view(r);
        break;
      case 5:
        n.attributes.push_back(attribute(view(r)));
        break;
      case 7:
        n.domain = view(r);
        break;
      case 8:
        n.overload = view(r);
        break;
      default:
        r.skip();
    }
  }
  if (n.domain == "ai.onnx") n.domain = {};
  return n;
}

ValueMessage value(Bytes b) {
  ValueMessage v;
  for (pbf_reader r = reader(b); r.next();) {
    if (r.tag() == 1)
      v.name = view(r);
    else if (r.tag() == 2)
      v.type = view(r);
    else
      r.skip();
  }
  return v;
}

FunctionMessage function(Bytes b) {
  FunctionMessage f;
  for (pbf_reader r = reader(b); r.next();) {
    switch (r.tag()) {
      case 1:
        f.name = view(r);
        break;
      case 4:
        f.inputs.push_back(view(r));
        break;
      case 5:
        f.outputs.push_back(view(r));
        break;
      case 7:
        f.nodes.push_back(node(view(r)));
        break;
      case 9:
        opset(view(r), f.opsets);
        break;
      case 10:
        f.domain = view(r);
        break;
      case 11:
        f.defaults.push_back(attribute(view(r)));
        break;
      case 13:
        f.overload = view(r);
        break;
      default:
        r.skip();
    }
  }
  if (f.domain == "ai.onnx") f.domain = {};
  return f;
}

PartialShape shape_message(Bytes b) {
  std::vector<Dimension> dims;
  for (pbf_reader r = reader(b); r.next();) {
    if (r.tag() != 1) {
      r.skip();
      continue;
    }
    Dimension d;
    for (pbf_reader e = reader(view(r)); e.next();) {
      if (e.tag() == 1) {
        d = Dimension(e.get_int64());
      } else if (e.tag() == 2) {
        const Bytes symbol = view(e);
        if (!symbol.empty()) d = Dimension::symbolic(symbol);
      } else {
        e.skip();
      }
    }
    dims.push_back(d);
  }
  return PartialShape(std::move(dims));
}

Type tensor_type(Bytes b) {
  Type t;
  for (pbf_reader r = reader(b); r.next();) {
    if (r.tag() == 1) {
      const int32_t e = r.get_int32();
      if (e != 0) t.element = element_type_of_onnx(e);
    } else if (r.tag() == 2) {
      t.shape = shape_message(view(r));
    } else {
      r.skip();
    }
  }
  return t;
}

Type type_message(Bytes b, int depth) {
  if (depth > 16) throw Error(ErrorCode::unsafe, "[onnx] a type is nested too deeply");
  auto inner = [&](Bytes body, uint32_t tag) {
    Type t;
    for (pbf_reader r = reader(body); r.next();) {
      if (r.tag() == tag)
        t = type_message(view(r), depth + 1);
      else
        r.skip();
    }
    return t;
  };
  Type t;
  for (pbf_reader r = reader(b); r.next();) {
    switch (r.tag()) {
      case 1:
      case 8:
        t = tensor_type(view(r));
        break;
      case 4:
        t = Type::sequence(inner(view(r), 1));
        break;
      case 9:
        t = Type::optional(inner(view(r), 1));
        break;
      case 5: {
        const Bytes body = view(r);
        ElementType key = ElementType::i64;
        for (pbf_reader m = reader(body); m.next();) {
          if (m.tag() == 1)
            key = element_type_of_onnx(m.get_int32());
          else
            m.skip();
        }
        t = Type::map(key, inner(body, 2));
        break;
      }
      default:
        r.skip();
    }
  }
  return t;
}

// protozero reports malformed bytes by exceptions of its own.
template <class F>
auto guarded(F&& f) {
  try {
    return f();
  } catch (const protozero::exception& e) {
    throw Error(ErrorCode::unreadable, std::string("[onnx] the file is malformed (") + e.what() + ")", "",
                "check that the file is whole and an ONNX model");
  }
}

}  // namespace

ModelMessage parse_model(Bytes b) {
  return guarded([&] {
    ModelMessage m;
    for (pbf_reader r = reader(b); r.next();) {
      switch (r.tag()) {
        case 1:
          m.ir_version = r.get_int64();
          break;
        case 2:
          m.producer = view(r);
          break;
        case 3:
          m.producer_version = view(r);
          break;
        case 7:
          m.graph = view(r);
          m.has_graph = true;
          break;
        case 8:
          opset(view(r), m.opsets);
          break;
        case 14:
          m.metadata.insert(string_pair(view(r)));
          break;
        case 25:
          m.functions.push_back(function(view(r)));
          break;
        default:
          r.skip();
      }
    }
    return m;
  });
}

GraphMessage parse_graph_message(Bytes b) {
  return guarded([&] {
    GraphMessage g;
    for (pbf_reader r = reader(b); r.next();) {
      switch (r.tag()) {
        case 1:
          g.nodes.push_back(node(view(r)));
          break;
        case 2:
          g.name = view(r);
          break;
        case 5:
          g.initializers.push_back(view(r));
          break;
        case 11:
          g.inputs.push_back(value(view(r)));
          break;
        case 12:
          g.outputs.push_back(value(view(r)));
          break;
        case 15:
          g.sparse_initializers.push_back(view(r));
          break;
        default:
          r.skip();
      }
    }
    return g;
  });
}

TensorMessage parse_tensor(Bytes b) {
  return guarded([&] {
    TensorMessage t;
    auto packed = [&](pbf_reader& r, Bytes& whole, auto& list, auto single) {
      using T = typename std::remove_reference_t<decltype(list)>::value_type;
      if (r.wire_type() != pbf_wire_type::length_delimited) {
        list.push_back(single());
        return;
      }
      const Bytes v = view(r);
      if (whole.empty() && list.empty()) {
        whole = v;
        return;
      }
      for (const Bytes part : {whole, v}) {
        for (size_t i = 0; i + sizeof(T) <= part.size(); i += sizeof(T)) {
          T x;
          std::memcpy(&x, part.data() + i, sizeof x);
          list.push_back(x);
        }
      }
      whole = {};
    };
    for (pbf_reader r = reader(b); r.next();) {
      switch (r.tag()) {
        case 1:
          int64s(r, t.dims);
          break;
        case 2:
          t.data_type = r.get_int32();
          break;
        case 4:
          packed(r, t.packed_floats, t.floats, [&] { return r.get_float(); });
          break;
        case 5:
          repeated(
              r, t.int32s, [&] { return r.get_packed_int32(); }, [&] { return r.get_int32(); });
          break;
        case 6:
          t.strings.push_back(view(r));
          break;
        case 7:
          int64s(r, t.int64s);
          break;
        case 8:
          t.name = view(r);
          break;
        case 9:
          t.raw = view(r);
          t.has_raw = true;
          break;
        case 10:
          packed(r, t.packed_doubles, t.doubles, [&] { return r.get_double(); });
          break;
        case 11:
          repeated(
              r, t.uint64s, [&] { return r.get_packed_uint64(); }, [&] { return r.get_uint64(); });
          break;
        case 13:
          t.location.insert(string_pair(view(r)));
          break;
        case 14:
          t.external = r.get_int32() == 1;
          break;
        default:
          r.skip();
      }
    }
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
  for (pbf_reader r = reader(b); r.next();) {
    switch (r.tag()) {
      case 3:
        out.emplace_back(to_tensor(parse_tensor(view(r)), s));
        break;
      case 4:
        out.emplace_back(sparse_to_tensor(view(r), s));
        break;
      case 5:
        out.push_back(sequence_datum(view(r), s, depth + 1));
        break;
      case 6:
        throw Error(ErrorCode::unsupported, "[onnx] sequences of maps are not supported as stored data");
      case 7:
        out.push_back(optional_datum(view(r), s, depth + 1));
        break;
      default:
        r.skip();
    }
  }
  return Datum(std::move(out));
}

Datum optional_datum(Bytes b, const Storage& s, int depth) {
  if (depth > 16) throw Error(ErrorCode::unsafe, "[onnx] an optional is nested too deeply");
  Datum out;
  for (pbf_reader r = reader(b); r.next();) {
    switch (r.tag()) {
      case 3:
        out = to_tensor(parse_tensor(view(r)), s);
        break;
      case 4:
        out = sparse_to_tensor(view(r), s);
        break;
      case 5:
        out = sequence_datum(view(r), s, depth + 1);
        break;
      case 7:
        out = optional_datum(view(r), s, depth + 1);
        break;
      default:
        r.skip();
    }
  }
  return out;
}

}  // namespace

Tensor sparse_to_tensor(Bytes b, const Storage& storage) {
  Tensor values, indices;
  std::vector<int64_t> dims;
  guarded([&] {
    for (pbf_reader r = reader(b); r.next();) {
      if (r.tag() == 1)
        values = to_tensor(parse_tensor(view(r)), storage);
      else if (r.tag() == 2)
        indices = to_tensor(parse_tensor(view(r)), storage);
      else if (r.tag() == 3)
        int64s(r, dims);
      else
        r.skip();
    }
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
    for (pbf_reader r = reader(b); r.next();) {
      if (r.tag() == 1) return parse_tensor(view(r)).name;  // the values carry the name
      r.skip();
    }
    return Bytes();
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
