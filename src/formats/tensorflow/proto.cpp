#include "formats/tensorflow/proto.hpp"

#include <algorithm>

#include "formats/protobuf_message.hpp"

namespace hone::tensorflow {
namespace {

using protobuf::each, protobuf::field, protobuf::read, protobuf::Reader;

template <class F>
auto guarded(F&& f) {
  return protobuf::guarded("tensorflow", "a TensorFlow graph", f);
}

// An entry of a map: key 1, value 2. Keys and values that are not bytes are of no use here.
std::pair<Bytes, Bytes> entry(Bytes b) {
  std::pair<Bytes, Bytes> e;
  const auto bytes = [](Bytes& to) {
    return [&to](Reader& r) {
      if (protobuf::is_bytes(r))
        to = protobuf::view(r);
      else
        r.skip();
    };
  };
  read(b, field(1, bytes(e.first)), field(2, bytes(e.second)));
  return e;
}

NodeMessage node(Bytes b) {
  NodeMessage n;
  read(b, field(1, n.name), field(2, n.op), field(3, n.inputs), field(5, each(n.attributes, entry)));
  return n;
}

ArgumentMessage argument(Bytes b) {
  ArgumentMessage a;
  read(b, field(1, a.name), field(3, a.type), field(4, a.type_attribute));
  return a;
}

FunctionMessage function(Bytes b) {
  FunctionMessage f;
  const auto signature = [&](Bytes v) {
    read(v, field(1, f.name), field(2, each(f.inputs, argument)), field(3, each(f.outputs, argument)));
  };
  read(b, field(1, signature), field(3, each(f.nodes, node)), field(4, each(f.returns, entry)));
  return f;
}

Dimension dimension(Bytes b) {
  int64_t size = 0;
  read(b, field(1, size));
  return size < 0 ? Dimension() : Dimension(size);
}

PartialShape shape(Bytes b) {
  std::vector<Dimension> dims;
  bool unknown = false;
  read(b, field(2, each(dims, dimension)), field(3, unknown));
  return unknown ? PartialShape::dynamic() : PartialShape(std::move(dims));
}

void list(Bytes b, AttributeMessage& a) {
  read(b, field(2, a.strings), field(3, a.ints), field(4, a.floats), field(5, a.ints), field(6, a.types),
       field(7, each(a.shapes, shape)), field(8, a.messages), field(9, a.messages));
}

TensorInfo tensor_info(Bytes key, Bytes b) {
  TensorInfo t;
  t.key = key;
  read(b, field(1, t.name), field(2, t.type), field(3, [&](Bytes v) { t.shape = shape(v); }));
  return t;
}

SignatureMessage signature_def(Bytes b) {
  const auto [key, body] = entry(b);
  SignatureMessage s;
  s.key = key;
  const auto info = [](Bytes v) {
    const auto [name, tensor] = entry(v);
    return tensor_info(name, tensor);
  };
  read(body, field(1, each(s.inputs, info)), field(2, each(s.outputs, info)));
  const auto by_key = [](const TensorInfo& x, const TensorInfo& y) { return x.key < y.key; };
  std::sort(s.inputs.begin(), s.inputs.end(), by_key);
  std::sort(s.outputs.begin(), s.outputs.end(), by_key);
  return s;
}

std::pair<std::string, Bytes> asset(Bytes b) {
  std::pair<std::string, Bytes> a;
  read(b, field(1, [&](Bytes v) { a.first = tensor_info({}, v).name; }), field(2, a.second));
  return a;
}

}  // namespace

PartialShape parse_shape(Bytes b) {
  return guarded([&] { return shape(b); });
}

GraphMessage parse_graph(Bytes b) {
  return guarded([&] {
    GraphMessage g;
    read(b, field(1, each(g.nodes, node)),
         field(2, [&](Bytes library) { read(library, field(1, each(g.functions, function))); }));
    return g;
  });
}

MetaGraphMessage parse_meta_graph(Bytes b) {
  return guarded([&] {
    MetaGraphMessage m;
    read(b, field(1, [&](Bytes info) { read(info, field(4, m.tags), field(5, m.version)); }), field(2, m.graph),
         field(5, each(m.signatures, signature_def)), field(6, each(m.assets, asset)));
    std::sort(m.signatures.begin(), m.signatures.end(), [](const auto& x, const auto& y) { return x.key < y.key; });
    return m;
  });
}

std::vector<Bytes> parse_saved_model(Bytes b) {
  return guarded([&] {
    std::vector<Bytes> graphs;
    const auto graph = [&](Reader& r) {
      if (protobuf::is_bytes(r))
        graphs.push_back(protobuf::view(r));
      else
        r.skip();
    };
    read(b, field(2, graph));
    return graphs;
  });
}

AttributeMessage parse_attribute(Bytes b) {
  using A = AttributeMessage;
  return guarded([&] {
    A a;
    const auto as = [&a](A::Kind kind, auto& to) {
      return [&a, kind, &to](Reader& r) {
        protobuf::take(r, to);
        a.kind = kind;
      };
    };
    const auto values = [&](Bytes v) { list(v, a); };
    const auto dims = [&](Bytes v) { a.shape = shape(v); };
    read(b, field(1, as(A::list_, values)), field(2, as(A::s_, a.s)), field(3, as(A::i_, a.i)),
         field(4, as(A::f_, a.f)), field(5, as(A::b_, a.b)), field(6, as(A::type_, a.type)),
         field(7, as(A::shape_, dims)), field(8, as(A::tensor_, a.message)), field(9, as(A::placeholder_, a.s)),
         field(10, as(A::function_, a.message)));
    return a;
  });
}

FunctionReference parse_function_reference(Bytes b) {
  return guarded([&] {
    FunctionReference f;
    read(b, field(1, f.name), field(2, each(f.attributes, entry)));
    return f;
  });
}

TensorMessage parse_tensor(Bytes b) {
  return guarded([&] {
    TensorMessage t;
    // The first packed payload stays where it is.
    const auto in_place = [](Bytes& whole, auto& list) {
      return [&whole, &list](Reader& r) {
        if (protobuf::is_bytes(r) && whole.empty() && list.empty())
          whole = protobuf::view(r);
        else
          protobuf::take(r, list);
      };
    };
    auto& n = t.integers;
    const auto flags = [&](Bytes v) {
      for (const char c : v) n.push_back(static_cast<uint8_t>(c));
    };
    read(b, field(1, t.type), field(2, [&](Bytes v) { t.shape = shape(v); }), field(4, t.content),
         field(5, in_place(t.packed_floats, t.floats)), field(6, in_place(t.packed_doubles, t.doubles)), field(7, n),
         field(8, t.strings), field(9, t.floats), field(10, n), field(11, n), field(12, t.doubles), field(13, n),
         field(16, n), field(17, n), field(18, flags));
    return t;
  });
}

bool looks_like_graph(Bytes b) {
  // The first field of a GraphDef is a node; its first field is a name.
  if (b.size() < 4 || b[0] != 0x0a) return false;
  try {
    Reader r(b.data(), b.size());
    if (!r.next() || r.tag() != 1) return false;
    const NodeMessage n = node(protobuf::view(r));
    return !n.name.empty() && !n.op.empty();
  } catch (const protozero::exception&) {
    return false;
  }
}

}  // namespace hone::tensorflow
