#include "tensor/safetensors.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "base/file.hpp"
#include "hone/error.hpp"

namespace hone {

static std::string temporary() {
  return (std::filesystem::temp_directory_path() / ("hone_safetensors_" + std::to_string(::getpid()))).string();
}

TEST(Safetensors, travel_through_a_file) {
  NamedTensors a;
  a.metadata = {{"epoch", "3"}};
  a.tensors["w"] = Tensor::of<float>({2, 2}, {1, 2, 3, 4});
  a.tensors["empty"] = Tensor(ElementType::i64, {0, 3});
  a.tensors["b"] = Tensor::of<float>({2}, {0.5f, 1}).converted(ElementType::bf16);
  save_safetensors(temporary(), a);
  const NamedTensors b = load_safetensors(temporary());
  EXPECT_EQ(b.metadata, a.metadata);
  ASSERT_EQ(b.tensors.size(), 3u);
  for (const auto& [name, t] : a.tensors) EXPECT_TRUE(b.tensors.at(name).identical(t)) << name;
}

TEST(Safetensors, refuse_damaged_files) {
  NamedTensors a;
  a.tensors["w"] = Tensor::of<float>({2, 2}, {1, 2, 3, 4});
  save_safetensors(temporary(), a);
  const std::string whole = read_text_file(temporary());
  for (size_t n = 0; n < whole.size(); ++n) {
    write_file(temporary(), whole.substr(0, n));
    EXPECT_THROW(load_safetensors(temporary()), Error) << n;
  }
  for (size_t i = 0; i < whole.size() - 16; ++i) {  // flipped bytes of the header never crash
    std::string bad = whole;
    bad[i] = static_cast<char>(bad[i] ^ 0x15);
    write_file(temporary(), bad);
    try {
      load_safetensors(temporary());
    } catch (const Error&) {
    }
  }
}

}  // namespace hone
