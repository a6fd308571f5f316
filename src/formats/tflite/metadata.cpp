// Metadata of a file: what its inputs expect and what its outputs mean. The description is a FlatBuffer among the
// model's buffers, label lists are files in a zip archive that is appended to the model.
#include <zlib.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "formats/tflite/importer.hpp"

namespace hone::tflite {
namespace {

constexpr size_t largest_label_file = size_t{16} << 20;
constexpr uint8_t normalization = 1, image = 2;      // of unions
constexpr int8_t axis_labels = 2, value_labels = 3;  // of associated files

template <class T>
T little(Bytes b, size_t at) {
  T v{};
  if (at <= b.size() && b.size() - at >= sizeof v) std::memcpy(&v, b.data() + at, sizeof v);
  return v;
}

std::string inflated(Bytes packed, size_t size) {
  std::string out(size, '\0');
  z_stream z{};
  if (inflateInit2(&z, -MAX_WBITS) != Z_OK) return {};
  z.next_in = const_cast<Bytef*>(packed.data());
  z.avail_in = static_cast<uInt>(packed.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  const int end = inflate(&z, Z_FINISH);
  inflateEnd(&z);
  return end == Z_STREAM_END && z.total_out == size ? out : std::string();
}

// A file of the archive; empty where there is none, or where the archive is damaged: labels are no part of the model.
std::string archived(Bytes file, std::string_view name) {
  if (file.size() < 22 || name.empty()) return {};
  // The end record is the last thing, followed by a comment of up to 64 KB.
  size_t end = file.size() - 22;
  const size_t first = end > 65535 ? end - 65535 : 0;
  while (end > first && little<uint32_t>(file, end) != 0x06054b50) --end;
  if (little<uint32_t>(file, end) != 0x06054b50) return {};
  size_t at = little<uint32_t>(file, end + 16);
  const size_t entries = little<uint16_t>(file, end + 10), directory = little<uint32_t>(file, end + 12);
  // Offsets count from the beginning of the file or of the archive.
  const size_t expected = end >= directory ? end - directory : 0;
  const size_t shift = at < expected ? expected - at : 0;
  at += shift;
  for (size_t i = 0; i < entries; ++i) {
    if (at + 46 > end || little<uint32_t>(file, at) != 0x02014b50) return {};
    const size_t length = little<uint16_t>(file, at + 28), extra = little<uint16_t>(file, at + 30),
                 comment = little<uint16_t>(file, at + 32);
    if (at + 46 + length > end) return {};
    const std::string_view found(reinterpret_cast<const char*>(file.data()) + at + 46, length);
    if (found == name) {
      const uint16_t method = little<uint16_t>(file, at + 10);
      const size_t packed = little<uint32_t>(file, at + 20), size = little<uint32_t>(file, at + 24),
                   local = little<uint32_t>(file, at + 42) + shift;
      if (local + 30 > file.size() || little<uint32_t>(file, local) != 0x04034b50) return {};
      const size_t data = local + 30 + little<uint16_t>(file, local + 26) + little<uint16_t>(file, local + 28);
      if (data > file.size() || packed > file.size() - data || size > largest_label_file) return {};
      const Bytes content = file.subspan(data, packed);
      if (method == 0) return {reinterpret_cast<const char*>(content.data()), content.size()};
      return method == 8 ? inflated(content, size) : std::string();
    }
    at += 46 + length + extra + comment;
  }
  return {};
}

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> out;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    if (!line.empty() && line.back() == '\r') line.pop_back();
    out.push_back(std::move(line));
    at = end + 1;
  }
  return out;
}

std::string dumped(const nlohmann::json& j) {
  return j.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

struct Labels {
  std::vector<std::string> list;
  bool of_axis = false;  ///< they name the entries of an axis, not the values
};
Labels labels_of(const Model& m, const Table& tensor) {
  const Tables files = tensor.tables(6);
  for (size_t i = 0; i < files.size(); ++i) {
    const Table f = files[i];
    const auto type = f.get<int8_t>(2);
    if (type != axis_labels && type != value_labels) continue;
    if (auto list = lines(archived(m.file, f.string(0))); !list.empty()) return {std::move(list), type == axis_labels};
  }
  return {};
}

std::string list_of(const std::vector<double>& v) {
  std::string s = "[";
  for (size_t i = 0; i < v.size(); ++i) s += (i ? "," : "") + nlohmann::json(v[i]).dump();
  return s + "]";
}

// The preprocessing of a picture as models of this toolkit store it: output = (sample - mean) / scale.
void store_preprocessing(const Table& input, const SubgraphInfo& sub, Graph& g) {
  if (sub.inputs.empty()) return;
  const TensorInfo& t = sub.tensors[static_cast<size_t>(sub.inputs[0])];
  const Table content = input.table(3);
  if (!content || content.get<uint8_t>(0) != image || t.shape.size() != 4) return;
  std::vector<double> mean, deviation;
  const Tables units = input.tables(4);
  for (size_t i = 0; i < units.size(); ++i) {
    const Table u = units[i];
    if (u.get<uint8_t>(0) != normalization) continue;
    for (float v : u.table(1).numbers<float>(0)) mean.push_back(v);
    for (float v : u.table(1).numbers<float>(1)) deviation.push_back(v);
  }
  const size_t channels = static_cast<size_t>(std::max(t.shape[3], 0));
  const auto fits = [&](const std::vector<double>& v) { return v.size() == 1 || v.size() == channels; };
  if ((channels != 1 && channels != 3) || (!mean.empty() && !fits(mean)) || (!deviation.empty() && !fits(deviation)))
    return;
  if (std::any_of(deviation.begin(), deviation.end(), [](double v) { return !(v > 0); })) return;
  // Integers: q = x / scale + zero point, in the same two numbers.
  if (t.scales && t.scales.scale.size() == 1) {
    const double s = t.scales.scale[0], zero = static_cast<double>(t.scales.zero[0]);
    if (mean.empty()) mean = {0};
    if (deviation.empty()) deviation = {1};
    const size_t n = std::max(mean.size(), deviation.size());
    mean.resize(n, mean[0]);
    deviation.resize(n, deviation[0]);
    for (size_t k = 0; k < n; ++k) {
      deviation[k] *= s;
      mean[k] -= zero * deviation[k];
    }
  }
  nlohmann::json fields{{"resize", "stretch"},
                        {"width", std::to_string(t.shape[2])},
                        {"height", std::to_string(t.shape[1])},
                        {"layout", "nhwc"}};
  fields["color"] = channels == 1 ? "grey" : "rgb";
  if (!mean.empty()) fields["mean"] = list_of(mean);
  if (!deviation.empty()) fields["scale"] = list_of(deviation);
  g.info["hone/preprocessing"] = dumped(fields);
}

}  // namespace

void read_metadata(const Model& m, size_t subgraph, Graph& g) {
  for (const auto& [name, buffer] : m.metadata) {
    if (name != "TFLITE_METADATA" || buffer >= m.buffers.size() || m.buffers[buffer].size() < 8) continue;
    const Table root = Table::root(m.buffers[buffer]);
    const char* fields[] = {"name", "description", "version", nullptr, "author", "license"};
    for (unsigned k = 0; k < 6; ++k) {
      if (fields[k] && !root.string(k).empty()) g.info[std::string("tflite/") + fields[k]] = root.string(k);
    }
    const Tables subgraphs = root.tables(3);
    if (subgraph >= subgraphs.size()) continue;
    const Table s = subgraphs[subgraph];
    const Tables inputs = s.tables(2), outputs = s.tables(3);
    if (inputs.size() == 1) store_preprocessing(inputs[0], m.subgraphs[subgraph], g);
    for (size_t i = 0; i < outputs.size(); ++i) {
      const Labels labels = labels_of(m, outputs[i]);
      if (labels.list.empty()) continue;
      const std::string json = dumped(labels.list);
      g.info["tflite/labels/" + std::string(outputs[i].string(0))] = json;
      if (labels.of_axis && outputs.size() == 1) {
        g.info["hone/labels"] = json;
        g.info["hone/task"] = "classification";
      }
    }
  }
}

}  // namespace hone::tflite
