#include "formats/tensorflow/proto.hpp"

#include <algorithm>

#include "formats/protobuf.hpp"
#include "hone/error.hpp"

namespace hone::tensorflow {
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
template <class T>
void varints(pbf_reader& r, std::vector<T>& to) {
  repeated(
      r, to, [&] { return r.get_packed_int64(); }, [&] { return r.get_int64(); });
}

// protozero reports malformed bytes by exceptions of its own.
template <class F>
auto guarded(F&& f) {
  try {
    return f();
  } catch (const protozero::exception& e) {
    throw Error(ErrorCode::unreadable, std::string("[tensorflow] the file is malformed (") + e.what() + ")", "",
                "check that the file is whole and a TensorFlow graph");
  }
}

// An entry of a map: key 1, value 2.
std::pair<Bytes, Bytes> entry(Bytes b) {
  std::pair<Bytes, Bytes> e;
  for (pbf_reader r = reader(b); r.next();) {
    if (r.tag() == 1 && r.wire_type() == pbf_wire_type::length_delimited)
      e.first = view(r);
    else if (r.tag() == 2 && r.wire_type() == pbf_wire_type::length_delimited)
      e.second = view(r);
    else
      r.skip();
  }
  return e;
}

NodeMessage node(Bytes b) {
  NodeMessage n;
  for (pbf_reader r = reader(b); r.next();) {
    switch (r.tag()) {
      case 1:
        n.name = view(r);
        break;
      case 2:
        n.op = view(r);
        break;
      case 3:
        n.inputs.push_back(view(r));
        break;
      case 5:
        n.attributes.push_back(entry(view(r)));
        break;
      default:
        r.skip();
    }
  }
  return n;
}

ArgumentMessage argument(Bytes b) {
  ArgumentMessage a;
  for (pbf_reader r = reader(b); r.next();) {
    switch (r.tag()) {
      case 1:
        a.name = view(r);
        break;
      case 3:
        a.type = r.get_int32();
        break;
      case 4:
        a.type_attribute = view(r);
        break;
      default:
        r.skip();
    }
  }
  return a;
}

void signature(Bytes b, FunctionMessage& f) {
  for (pbf_reader r = reader(b); r.next();) {
    switch (r.tag()) {
      case 1:
        f.name = view(r);
        break;
      case 2:
        f.inputs.push_back(argument(view(r)));
        break;
      case 3:
        f.outputs.push_back(argument(view(r)));
        break;
      default:
        r.skip();
    }
  }
}

FunctionMessage function(Bytes b) {
  FunctionMessage f;
  for (pbf_reader r = reader(b); r.next();) {
    switch (r.tag()) {
      case 1:
        signature(view(r), f);
        break;
      case 3:
        f.nodes.push_back(node(view(r)));
        break;
      case 4:
        f.returns.push_back(entry(view(r)));
        break;
      default:
        r.skip();
    }
  }
  return f;
}

PartialShape shape(Bytes b) {
  std::vector<Dimension> dims;
  bool unknown = false;
  for (pbf_reader r = reader(b); r.next();) {
    if (r.tag() == 2) {
      int64_t size = 0;
      for (pbf_reader d = reader(view(r)); d.next();) {
        if (d.tag() == 1)
          size = d.get_int64();
        else
          d.skip();
      }
      dims.push_back(size < 0 ? Dimension() : Dimension(size));
    } else if (r.tag() == 3) {
      unknown = r.get_bool();
    } else {
      r.skip();
    }
  }
  return unknown ? PartialShape::dynamic() : PartialShape(std::move(dims));
}

void list(Bytes b, AttributeMessage& a) {
  for (pbf_reader r = reader(b); r.next();) {
    switch (r.tag()) {
      case 2:
        a.strings.push_back(view(r));
        break;
      case 3:
        varints(r, a.ints);
        break;
      case 4:
        repeated(
            r, a.floats, [&] { return r.get_packed_float(); }, [&] { return r.get_float(); });
        break;
      case 5:
        varints(r, a.ints);
        break;
      case 6:
        varints(r, a.types);
        break;
      case 7:
        a.shapes.push_back(shape(view(r)));
        break;
      case 8:
      case 9:
        a.messages.push_back(view(r));
        break;
      default:
        r.skip();
    }
  }
}

TensorInfo tensor_info(Bytes key, Bytes b) {
  TensorInfo t;
  t.key = key;
  for (pbf_reader r = reader(b); r.next();) {
    switch (r.tag()) {
      case 1:
        t.name = view(r);
        break;
      case 2:
        t.type = r.get_int32();
        break;
      case 3:
        t.shape = shape(view(r));
        break;
      default:
        r.skip();
    }
  }
  return t;
}

SignatureMessage signature_def(Bytes key, Bytes b) {
  SignatureMessage s;
  s.key = key;
  for (pbf_reader r = reader(b); r.next();) {
    if (r.tag() == 1 || r.tag() == 2) {
      auto& to = r.tag() == 1 ? s.inputs : s.outputs;
      const auto [name, info] = entry(view(r));
      to.push_back(tensor_info(name, info));
    } else {
      r.skip();
    }
  }
  const auto by_key = [](const TensorInfo& x, const TensorInfo& y) { return x.key < y.key; };
  std::sort(s.inputs.begin(), s.inputs.end(), by_key);
  std::sort(s.outputs.begin(), s.outputs.end(), by_key);
  return s;
}

}  // namespace

PartialShape parse_shape(Bytes b) {
  return guarded([&] { return shape(b); });
}

GraphMessage parse_graph(Bytes b) {
  return guarded([&] {
    GraphMessage g;
    for (pbf_reader r = reader(b); r.next();) {
      if (r.tag() == 1) {
        g.nodes.push_back(node(view(r)));
      } else if (r.tag() == 2) {
        for (pbf_reader l = reader(view(r)); l.next();) {
          if (l.tag() == 1)
            g.functions.push_back(function(view(l)));
          else
            l.skip();
        }
      } else {
        r.skip();
      }
    }
    return g;
  });
}

MetaGraphMessage parse_meta_graph(Bytes b) {
  return guarded([&] {
    MetaGraphMessage m;
    for (pbf_reader r = reader(b); r.next();) {
      switch (r.tag()) {
        case 1:
          for (pbf_reader i = reader(view(r)); i.next();) {
            if (i.tag() == 4)
              m.tags.push_back(view(i));
            else if (i.tag() == 5)
              m.version = view(i);
            else
              i.skip();
          }
          break;
        case 2:
          m.graph = view(r);
          break;
        case 5: {
          const auto [key, body] = entry(view(r));
          m.signatures.push_back(signature_def(key, body));
          break;
        }
        case 6: {
          std::pair<std::string, Bytes> asset;
          for (pbf_reader i = reader(view(r)); i.next();) {
            if (i.tag() == 1)
              asset.first = std::string(tensor_info({}, view(i)).name);
            else if (i.tag() == 2)
              asset.second = view(i);
            else
              i.skip();
          }
          m.assets.push_back(std::move(asset));
          break;
        }
        default:
          r.skip();
      }
    }
    std::sort(m.signatures.begin(), m.signatures.end(), [](const auto& x, const auto& y) { return x.key < y.key; });
    return m;
  });
}

std::vector<Bytes> parse_saved_model(Bytes b) {
  return guarded([&] {
    std::vector<Bytes> graphs;
    for (pbf_reader r = reader(b); r.next();) {
      if (r.tag() == 2 && r.wire_type() == pbf_wire_type::length_delimited)
        graphs.push_back(view(r));
      else
        r.skip();
    }
    return graphs;
  });
}

AttributeMessage parse_attribute(Bytes b) {
  return guarded([&] {
    AttributeMessage a;
    for (pbf_reader r = reader(b); r.next();) {
      switch (r.tag()) {
        case 1:
          list(view(r), a);
          a.kind = AttributeMessage::list_;
          break;
        case 2:
          a.s = view(r);
          a.kind = AttributeMessage::s_;
          break;
        case 3:
          a.i = r.get_int64();
          a.kind = AttributeMessage::i_;
          break;
        case 4:
          a.f = r.get_float();
          a.kind = AttributeMessage::f_;
          break;
        case 5:
          a.b = r.get_bool();
          a.kind = AttributeMessage::b_;
          break;
        case 6:
          a.type = r.get_int32();
          a.kind = AttributeMessage::type_;
          break;
        case 7:
          a.shape = shape(view(r));
          a.kind = AttributeMessage::shape_;
          break;
        case 8:
          a.message = view(r);
          a.kind = AttributeMessage::tensor_;
          break;
        case 9:
          a.s = view(r);
          a.kind = AttributeMessage::placeholder_;
          break;
        case 10:
          a.message = view(r);
          a.kind = AttributeMessage::function_;
          break;
        default:
          r.skip();
      }
    }
    return a;
  });
}

FunctionReference parse_function_reference(Bytes b) {
  return guarded([&] {
    FunctionReference f;
    for (pbf_reader r = reader(b); r.next();) {
      if (r.tag() == 1)
        f.name = view(r);
      else if (r.tag() == 2)
        f.attributes.push_back(entry(view(r)));
      else
        r.skip();
    }
    return f;
  });
}

TensorMessage parse_tensor(Bytes b) {
  return guarded([&] {
    TensorMessage t;
    for (pbf_reader r = reader(b); r.next();) {
      switch (r.tag()) {
        case 1:
          t.type = r.get_int32();
          break;
        case 2:
          t.shape = shape(view(r));
          break;
        case 4:
          t.content = view(r);
          break;
        case 5:
          if (r.wire_type() == pbf_wire_type::length_delimited && t.packed_floats.empty() && t.floats.empty())
            t.packed_floats = view(r);
          else
            repeated(
                r, t.floats, [&] { return r.get_packed_float(); }, [&] { return r.get_float(); });
          break;
        case 6:
          if (r.wire_type() == pbf_wire_type::length_delimited && t.packed_doubles.empty() && t.doubles.empty())
            t.packed_doubles = view(r);
          else
            repeated(
                r, t.doubles, [&] { return r.get_packed_double(); }, [&] { return r.get_double(); });
          break;
        case 9:
          repeated(
              r, t.floats, [&] { return r.get_packed_float(); }, [&] { return r.get_float(); });
          break;
        case 12:
          repeated(
              r, t.doubles, [&] { return r.get_packed_double(); }, [&] { return r.get_double(); });
          break;
        case 7:
        case 10:
        case 11:
        case 13:
        case 16:
        case 17:
          varints(r, t.integers);
          break;
        case 8:
          t.strings.push_back(view(r));
          break;
        case 18:
          for (const char c : view(r)) t.integers.push_back(static_cast<uint8_t>(c));
          break;
        default:
          r.skip();
      }
    }
    return t;
  });
}

bool looks_like_graph(Bytes b) {
  // The first field of a GraphDef is a node; its first field is a name.
  if (b.size() < 4 || b[0] != 0x0a) return false;
  try {
    pbf_reader r = reader(b);
    if (!r.next() || r.tag() != 1) return false;
    const NodeMessage n = node(view(r));
    return !n.name.empty() && !n.op.empty();
  } catch (const protozero::exception&) {
    return false;
  }
}

}  // namespace hone::tensorflow
