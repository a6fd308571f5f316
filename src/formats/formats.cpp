#include "formats/formats.hpp"

#include <algorithm>
#include <filesystem>

#include "base/file.hpp"
#include "formats/onnx/reader.hpp"
#include "formats/onnx/writer.hpp"
#include "formats/openvino_ir/reader.hpp"
#include "formats/openvino_ir/writer.hpp"
#include "formats/protobuf_message.hpp"
#include "formats/pytorch/reader.hpp"
#include "formats/pytorch/state_dict.hpp"
#include "formats/tensorflow/reader.hpp"
#include "formats/tflite/reader.hpp"
#include "hone/error.hpp"

namespace hone {
namespace {

std::string suffix_of(const std::string& path) {
  std::string s = std::filesystem::path(path).extension().string();
  std::transform(s.begin(), s.end(), s.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return s;
}

// A ModelProto by its content: all top-level fields are ModelProto's, and its graph (7) or operator sets (8) come.
// Neither is a field of TensorFlow's GraphDef, SavedModel or MetaGraphDef, so the suffix (often .pb in old ONNX files)
// says nothing.
bool is_onnx(std::string_view head, const std::string& path) {
  if (suffix_of(path) == ".onnx") return true;
  try {
    protobuf::Reader r(head.data(), head.size());
    while (r.next()) {
      const bool number = r.tag() == 1 || r.tag() == 5;  // ir_version, model_version
      const bool text = r.tag() == 2 || r.tag() == 3 || r.tag() == 4 || r.tag() == 6 || r.tag() == 14 || r.tag() == 25;
      if (!number && !text && r.tag() != 7 && r.tag() != 8) return false;
      if (number ? r.wire_type() != protozero::pbf_wire_type::varint : !protobuf::is_bytes(r)) return false;
      if (r.tag() == 7 || r.tag() == 8) return true;
      r.skip();
    }
  } catch (const protozero::exception&) {
  }
  return false;
}

bool is_openvino_ir(std::string_view head, const std::string& path) {
  return suffix_of(path) == ".xml" && (head.find("<net") != head.npos || head.find("<?xml") != head.npos);
}

bool is_tflite(std::string_view head, const std::string& path) {
  return (head.size() >= 8 && head.substr(4, 4) == "TFL3") || suffix_of(path) == ".tflite";
}
bool is_torch_export(std::string_view head, const std::string& path) {
  return suffix_of(path) == ".pt2" && head.starts_with("PK\x03\x04");
}

struct Refused {
  const char* suffix;
  std::string_view magic;
  const char* name;
  const char* instead;
};
// Formats that users have and Hone does not read, with the way around.
constexpr Refused refused[] = {
    {".prototxt", {}, "Caffe", "convert the Caffe model to ONNX first (for example with caffe2onnx)"},
    {".caffemodel", {}, "Caffe", "convert the Caffe model to ONNX first (for example with caffe2onnx)"},
    {".weights", {}, "Darknet", "export the network to ONNX from its PyTorch port"},
    {".cfg", {}, "Darknet", "export the network to ONNX from its PyTorch port"},
    {".param", {}, "ncnn", "use the ONNX file that the ncnn model was converted from"},
    {".pdmodel", {}, "Paddle", "convert it with paddle2onnx"},
    {".pdiparams", {}, "Paddle", "convert it with paddle2onnx"},
    {".h5", "\x89HDF", "Keras HDF5", "save it as SavedModel or export it to ONNX with tf2onnx"},
    {".hdf5", "\x89HDF", "Keras HDF5", "save it as SavedModel or export it to ONNX with tf2onnx"},
    {".keras", {}, "Keras", "save it as SavedModel or export it to ONNX with tf2onnx"},
    {".mlmodel", {}, "Core ML", "export the original network to ONNX"},
    {".pkl", {}, "Python pickle", "export the network to ONNX; pickles run code when they are read"},
    {".ptl", {}, "TorchScript", "export the network with torch.export.save (.pt2) or to ONNX"},
    {".torchscript", {}, "TorchScript", "export the network with torch.export.save (.pt2) or to ONNX"},
};

[[noreturn]] void refuse(std::string_view head, const std::string& path) {
  const std::string suffix = suffix_of(path);
  for (const Refused& r : refused) {
    if (suffix == r.suffix || (!r.magic.empty() && head.starts_with(r.magic))) {
      throw Error(ErrorCode::unsupported, std::string("[read] ") + r.name + " files are not supported", path,
                  r.instead);
    }
  }
  if (head.starts_with("7767517"))
    throw Error(ErrorCode::unsupported, "[read] ncnn files are not supported", path,
                "use the ONNX file that the ncnn model was converted from");
  if (is_weights_file(head, path)) {
    read_weights(path);  // refuses by name what holds no weights
    throw Error(ErrorCode::unsupported, "[read] the file holds weights alone", path,
                "name their network with --network");
  }
  if (suffix == ".bin") {
    throw Error(ErrorCode::unsupported, "[read] a .bin file holds weights alone (OpenVINO IR, ncnn, llama2.c)", path,
                "name the .xml file of an OpenVINO IR, or export the model to ONNX");
  }
  std::string known;
  for (const ReaderRow& r : reader_rows()) known += (known.empty() ? "" : ", ") + std::string(r.name);
  throw Error(ErrorCode::unsupported, "[read] the format of the file is not known", path,
              "formats that can be read: " + known);
}

}  // namespace

const std::vector<ReaderRow>& reader_rows() {
  static const std::vector<ReaderRow> rows = {
      {"ONNX", is_onnx, read_onnx},
      {"OpenVINO IR", is_openvino_ir, read_openvino_ir},
      {"TensorFlow Lite", is_tflite, read_tflite},
      {"TensorFlow", is_tensorflow, read_tensorflow},
      {"torch.export", is_torch_export, read_torch_export},
  };
  return rows;
}

Graph read_model(const std::string& path) {
  if (std::error_code ec; std::filesystem::is_directory(path, ec)) {
    for (const ReaderRow& r : reader_rows()) {
      if (r.matches({}, path)) return r.read(path);
    }
    throw Error(ErrorCode::unsupported, "[read] a folder is not a model", path, "name the model file in it");
  }
  std::string head;
  {
    const auto file = MappedFile::open(path);
    const auto b = file->bytes();
    head.assign(reinterpret_cast<const char*>(b.data()), std::min<size_t>(b.size(), 4096));
    if (b.empty())
      throw Error(ErrorCode::unreadable, "[read] the file is empty", path, "fetch or export the model again");
  }
  for (const ReaderRow& r : reader_rows()) {
    if (r.matches(head, path)) return r.read(path);
  }
  refuse(head, path);
}

void write_model(const Graph& g, const std::string& path, const WriteOptions& options) {
  if (suffix_of(path) == ".onnx") return write_onnx(g, path, options);
  if (suffix_of(path) == ".xml") return write_openvino_ir(g, path, options);
  throw Error(ErrorCode::usage, "[write] the suffix '" + suffix_of(path) + "' stands for no format that can be written",
              path, "use .onnx, .xml or .hone");
}

}  // namespace hone
