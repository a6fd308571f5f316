#include "formats/npy/npy.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "hone/error.hpp"

namespace hone {
namespace {

class Npy : public testing::Test {
 protected:
  std::string path(const char* name) { return (std::filesystem::path(testing::TempDir()) / name).string(); }
  Tensor round_trip(const Tensor& t) {
    const std::string p = path("round_trip.npy");
    write_npy(p, t);
    return read_npy(p);
  }
  static std::vector<uint8_t> bytes(std::string head, const std::string& data) {
    std::string s("\x93NUMPY\x01\x00", 8);
    s += static_cast<char>(head.size() & 255);
    s += static_cast<char>(head.size() >> 8);
    s += head + data;
    return {s.begin(), s.end()};
  }
};

TEST_F(Npy, keeps_numbers_and_shapes) {
  const Tensor f = Tensor::of<float>({2, 3}, {1, -2, 3.5f, 4, 5, 6});
  EXPECT_TRUE(round_trip(f).identical(f));
  const Tensor i = Tensor::of<int64_t>({3}, {1, -5, int64_t{1} << 40});
  EXPECT_TRUE(round_trip(i).identical(i));
  const Tensor b = Tensor::of<bool>({2}, {true, false});
  EXPECT_TRUE(round_trip(b).identical(b));
  const Tensor scalar = Tensor::scalar<double>(2.25);
  EXPECT_TRUE(round_trip(scalar).identical(scalar));
  const Tensor empty(ElementType::i32, {0, 4});
  EXPECT_TRUE(round_trip(empty).identical(empty));
}

TEST_F(Npy, widens_types_that_numpy_lacks) {
  const Tensor b = Tensor::of<float>({2}, {1.5f, -2}).converted(ElementType::bf16);
  EXPECT_TRUE(round_trip(b).identical(Tensor::of<float>({2}, {1.5f, -2})));
  const Tensor n = Tensor::of<int64_t>({3}, {-8, 7, 1}).converted(ElementType::i4);
  EXPECT_TRUE(round_trip(n).identical(Tensor::of<int8_t>({3}, {-8, 7, 1})));
}

TEST_F(Npy, keeps_unicode_strings) {
  const Tensor s = Tensor::strings({2, 2}, {"a", "", "gr\xc3\xbc\xc3\x9f", "\xe6\x97\xa5"});
  EXPECT_TRUE(round_trip(s).identical(s));
}

TEST_F(Npy, reads_big_endian_and_fortran_order) {
  const auto big =
      bytes("{'descr': '>i2', 'fortran_order': False, 'shape': (2,), }\n", std::string("\x01\x02\xff\xfe", 4));
  EXPECT_TRUE(parse_npy(big, "t").identical(Tensor::of<int16_t>({2}, {0x0102, -2})));
  const auto fortran =
      bytes("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }\n", std::string("\x01\x04\x02\x05\x03\x06", 6));
  EXPECT_TRUE(parse_npy(fortran, "t").identical(Tensor::of<uint8_t>({2, 3}, {1, 2, 3, 4, 5, 6})));
}

TEST_F(Npy, refuses_what_is_short_or_strange) {
  const auto head = "{'descr': '<f4', 'fortran_order': False, 'shape': (100,), }\n";
  EXPECT_THROW(parse_npy(bytes(head, "abc"), "t"), Error);
  EXPECT_THROW(
      parse_npy(bytes("{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 9), }\n", ""), "t"),
      Error);
  EXPECT_THROW(parse_npy(bytes("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n", "12345678"), "t"), Error);
  EXPECT_THROW(parse_npy(bytes("{'descr': '<U0', 'fortran_order': False, 'shape': (99999999,), }\n", ""), "t"), Error);
  for (const char* huge : {"{'descr': '<U4611686018427387904', 'fortran_order': False, 'shape': (6,), }\n",
                           "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }\n"}) {
    try {
      parse_npy(bytes(huge, "12345678"), "t");
      ADD_FAILURE() << huge;
    } catch (const Error& e) {
      EXPECT_EQ(e.where(), "t") << huge;
    }
  }
  auto whole = bytes("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n", "12345678");
  EXPECT_EQ(parse_npy(whole, "t").size(), 2u);
  for (size_t n = 0; n < whole.size(); ++n) EXPECT_THROW(parse_npy(std::span(whole).first(n), "t"), Error) << n;
}

}  // namespace
}  // namespace hone
