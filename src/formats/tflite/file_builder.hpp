// Builds small TensorFlow Lite files, for tests and fuzzing.
#pragma once
#include <flatbuffers/flatbuffers.h>

#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "formats/tflite/schema.hpp"

namespace hone::tflite {

/// One field of an option table.
using OptionValue = std::variant<int8_t, bool, int32_t, float, int64_t, std::vector<int32_t>, std::vector<int64_t>,
                                 std::vector<float>, std::string>;
using Options = std::vector<std::pair<unsigned, OptionValue>>;

/// One level of a sparse tensor: dense with a size, or rows of indices.
struct SparseLevel {
  int32_t size = 0;
  std::vector<int32_t> segments = {}, indices = {};
};
struct TensorSpec {
  std::string name;
  TensorType type = TensorType::f32;
  std::vector<int32_t> shape;
  std::string content;  ///< bytes of a constant
  std::vector<float> scale = {};
  std::vector<int64_t> zero = {};
  int32_t axis = 0;
  bool variable = false;
  std::vector<int32_t> signature = {};
  std::vector<SparseLevel> sparse = {};  ///< one a dimension, in their order
};
struct OperatorSpec {
  int32_t code = 0;
  std::vector<int32_t> inputs, outputs;
  Options options = {};
  std::string custom = {};
  std::string custom_options = {};
  bool second_union = false;  ///< the options stand in the second union
};
struct SubgraphSpec {
  std::vector<TensorSpec> tensors;
  std::vector<int32_t> inputs, outputs;
  std::vector<OperatorSpec> operators;
  std::string name = {};
};
struct FileSpec {
  std::vector<SubgraphSpec> subgraphs;
  std::vector<std::pair<std::string, std::string>> metadata = {};  ///< name, content
  uint32_t version = 3;
};

template <class T>
std::string bytes_of(const std::vector<T>& v) {
  return {reinterpret_cast<const char*>(v.data()), v.size() * sizeof(T)};
}

/// A table from fields given as calls that add them; offsets must exist before the table begins.
class TableWriter {
 public:
  using Offset = flatbuffers::Offset<void>;
  explicit TableWriter(flatbuffers::FlatBufferBuilder& b) : b_(b), start_(b.StartTable()) {}
  template <class T>
  TableWriter& put(unsigned field, T v) {
    // Every field is written, whatever its default.
    b_.AddElement<T>(place(field), v);
    return *this;
  }
  TableWriter& refer(unsigned field, Offset to) {
    if (!to.IsNull()) b_.AddOffset(place(field), to);
    return *this;
  }
  Offset end() { return b_.EndTable(start_); }

 private:
  static flatbuffers::voffset_t place(unsigned field) {
    return flatbuffers::FieldIndexToOffset(static_cast<flatbuffers::voffset_t>(field));
  }
  flatbuffers::FlatBufferBuilder& b_;
  flatbuffers::uoffset_t start_;
};

class FileWriter {
 public:
  std::string write(const FileSpec& spec) {
    b_.ForceDefaults(true);
    contents_.emplace_back();  // buffer 0 is empty
    std::vector<Offset> subgraphs, metadata;
    for (const SubgraphSpec& s : spec.subgraphs) subgraphs.push_back(subgraph(s));
    for (const auto& [name, content] : spec.metadata) {
      contents_.push_back(content);
      const Offset text = string(name);
      metadata.push_back(
          TableWriter(b_).refer(0, text).put<uint32_t>(1, static_cast<uint32_t>(contents_.size() - 1)).end());
    }
    std::vector<Offset> codes(codes_.size()), buffers;
    for (const auto& [key, index] : codes_) {
      const Offset custom = key.second.empty() ? Offset() : string(key.second);
      codes[index] = TableWriter(b_)
                         .put<int8_t>(0, static_cast<int8_t>(std::min(key.first, 127)))
                         .refer(1, custom)
                         .put<int32_t>(2, 1)
                         .put<int32_t>(3, key.first)
                         .end();
    }
    for (const std::string& c : contents_) {
      const Offset data = c.empty() ? Offset() : raw(c);
      buffers.push_back(TableWriter(b_).refer(0, data).end());
    }
    const Offset code_list = tables(codes), subgraph_list = tables(subgraphs), buffer_list = tables(buffers),
                 metadata_list = tables(metadata);
    const Offset root = TableWriter(b_)
                            .put<uint32_t>(0, spec.version)
                            .refer(1, code_list)
                            .refer(2, subgraph_list)
                            .refer(4, buffer_list)
                            .refer(6, metadata_list)
                            .end();
    b_.Finish(flatbuffers::Offset<flatbuffers::Table>(root.o), "TFL3");
    return {reinterpret_cast<const char*>(b_.GetBufferPointer()), b_.GetSize()};
  }

 private:
  using Offset = TableWriter::Offset;
  Offset string(const std::string& s) { return b_.CreateString(s).Union(); }
  Offset raw(const std::string& s) {
    b_.ForceVectorAlignment(s.size(), 1, 16);
    return b_.CreateVector(reinterpret_cast<const uint8_t*>(s.data()), s.size()).Union();
  }
  template <class T>
  Offset list(const std::vector<T>& v) {
    return b_.CreateVector(v.data(), v.size()).Union();
  }
  Offset tables(const std::vector<Offset>& v) {
    std::vector<flatbuffers::Offset<flatbuffers::Table>> t;
    for (Offset o : v) t.emplace_back(o.o);
    return b_.CreateVector(t).Union();
  }

  Offset options(const Options& fields) {
    std::map<unsigned, Offset> referred;
    for (const auto& [field, value] : fields) {
      if (const auto* v = std::get_if<std::vector<int32_t>>(&value)) referred[field] = list(*v);
      if (const auto* v = std::get_if<std::vector<int64_t>>(&value)) referred[field] = list(*v);
      if (const auto* v = std::get_if<std::vector<float>>(&value)) referred[field] = list(*v);
      if (const auto* v = std::get_if<std::string>(&value)) referred[field] = string(*v);
    }
    TableWriter t(b_);
    for (const auto& [field, value] : fields) {
      if (const auto* v = std::get_if<int8_t>(&value)) t.put(field, *v);
      if (const auto* v = std::get_if<bool>(&value)) t.put(field, static_cast<uint8_t>(*v));
      if (const auto* v = std::get_if<int32_t>(&value)) t.put(field, *v);
      if (const auto* v = std::get_if<float>(&value)) t.put(field, *v);
      if (const auto* v = std::get_if<int64_t>(&value)) t.put(field, *v);
      if (referred.contains(field)) t.refer(field, referred[field]);
    }
    return t.end();
  }

  Offset indices(const std::vector<int32_t>& v) {
    const Offset values = list(v);
    return TableWriter(b_).refer(0, values).end();
  }
  Offset tensor(const TensorSpec& t) {
    uint32_t buffer = 0;
    if (!t.content.empty()) {
      contents_.push_back(t.content);
      buffer = static_cast<uint32_t>(contents_.size() - 1);
    }
    Offset quantization;
    if (!t.scale.empty()) {
      const Offset scale = list(t.scale), zero = list(t.zero);
      quantization = TableWriter(b_).refer(2, scale).refer(3, zero).put<int32_t>(6, t.axis).end();
    }
    Offset sparsity;
    if (!t.sparse.empty()) {
      std::vector<Offset> levels;
      std::vector<int32_t> order;
      for (const SparseLevel& l : t.sparse) {
        order.push_back(static_cast<int32_t>(order.size()));
        const bool dense = l.segments.empty();
        const Offset segments = dense ? Offset() : indices(l.segments), places = dense ? Offset() : indices(l.indices);
        TableWriter w(b_);
        w.put<int8_t>(0, dense ? 0 : 1).put<int32_t>(1, l.size);
        if (!dense) w.put<uint8_t>(2, 1).refer(3, segments).put<uint8_t>(4, 1).refer(5, places);
        levels.push_back(w.end());
      }
      const Offset orders = list(order), all = tables(levels);
      sparsity = TableWriter(b_).refer(0, orders).refer(2, all).end();
    }
    const Offset shape = list(t.shape), name = string(t.name),
                 signature = t.signature.empty() ? Offset() : list(t.signature);
    return TableWriter(b_)
        .refer(0, shape)
        .put<int8_t>(1, static_cast<int8_t>(t.type))
        .put<uint32_t>(2, buffer)
        .refer(3, name)
        .refer(4, quantization)
        .put<uint8_t>(5, t.variable)
        .refer(6, sparsity)
        .refer(7, signature)
        .put<uint8_t>(8, 1)
        .end();
  }

  Offset operation(const OperatorSpec& o) {
    const auto [it, added] = codes_.emplace(std::pair(o.code, o.custom), codes_.size());
    const Offset opts = options(o.options), inputs = list(o.inputs), outputs = list(o.outputs);
    const Offset custom = o.custom_options.empty() ? Offset() : raw(o.custom_options);
    TableWriter t(b_);
    t.put<uint32_t>(0, static_cast<uint32_t>(it->second)).refer(1, inputs).refer(2, outputs);
    t.put<uint8_t>(o.second_union ? 11 : 3, 1).refer(o.second_union ? 12 : 4, opts).refer(5, custom);
    return t.end();
  }

  Offset subgraph(const SubgraphSpec& s) {
    std::vector<Offset> tensors_made, operators_made;
    for (const TensorSpec& t : s.tensors) tensors_made.push_back(tensor(t));
    for (const OperatorSpec& o : s.operators) operators_made.push_back(operation(o));
    const Offset t = tables(tensors_made), in = list(s.inputs), out = list(s.outputs), ops = tables(operators_made),
                 name = string(s.name);
    return TableWriter(b_).refer(0, t).refer(1, in).refer(2, out).refer(3, ops).refer(4, name).end();
  }

  flatbuffers::FlatBufferBuilder b_;
  std::vector<std::string> contents_;
  std::map<std::pair<int32_t, std::string>, size_t> codes_;
};

inline std::string tflite_file(const FileSpec& spec) {
  return FileWriter().write(spec);
}

}  // namespace hone::tflite
