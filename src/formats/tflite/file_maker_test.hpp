// Small TFLite files for tests, and what they give.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "formats/tflite/file_builder.hpp"
#include "formats/tflite/reader.hpp"
#include "hone/error.hpp"
#include "ops/evaluate.hpp"

namespace hone {

using namespace tflite;

inline Graph read(const FileSpec& spec) {
  auto bytes = std::make_shared<std::string>(tflite_file(spec));
  return parse_tflite(*bytes, bytes);
}
inline std::vector<Tensor> run(const Graph& g, const std::vector<Tensor>& inputs, VariableStore* state = nullptr) {
  EvaluateOptions o;
  VariableStore own;
  o.variables = state ? state : &own;
  std::vector<Datum> in(inputs.begin(), inputs.end());
  std::vector<Tensor> out;
  for (const Datum& d : evaluate(g, in, o)) out.push_back(d.tensor());
  return out;
}
inline std::string message_of(const FileSpec& spec) {
  try {
    read(spec);
  } catch (const Error& e) {
    return std::string(e.what()) + " " + e.hint();
  }
  return "nothing was thrown";
}

inline TensorSpec floats(std::string name, std::vector<int32_t> shape, std::vector<float> content = {}) {
  return {std::move(name), TensorType::f32, std::move(shape), bytes_of(content)};
}
inline TensorSpec ints(std::string name, std::vector<int32_t> shape, std::vector<int32_t> content = {}) {
  return {std::move(name), TensorType::i32, std::move(shape), bytes_of(content)};
}
inline TensorSpec i8s(std::string name, std::vector<int32_t> shape, float scale, int64_t zero,
                      std::vector<int8_t> content = {}) {
  return {std::move(name), TensorType::i8, std::move(shape), bytes_of(content), {scale}, {zero}};
}
inline TensorSpec u8s(std::string name, std::vector<int32_t> shape, float scale, int64_t zero,
                      std::vector<uint8_t> content = {}) {
  return {std::move(name), TensorType::u8, std::move(shape), bytes_of(content), {scale}, {zero}};
}
inline FileSpec one(std::vector<TensorSpec> tensors, std::vector<int32_t> inputs, std::vector<int32_t> outputs,
                    std::vector<OperatorSpec> operators) {
  return {{{std::move(tensors), std::move(inputs), std::move(outputs), std::move(operators)}}};
}

}  // namespace hone
