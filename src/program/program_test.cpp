#include "program/program.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "hone/error.hpp"
#include "program/hone_file.hpp"

namespace hone {
namespace {

uint32_t add(Program& p, Place place, uint32_t index, uint64_t offset, Shape shape = {16}) {
  ProgramTensor t;
  t.type = ElementType::f32;
  t.bytes = 4 * static_cast<uint64_t>(element_count(shape));
  t.shape = std::move(shape);
  t.place = place;
  t.index = index;
  t.offset = offset;
  t.root = static_cast<uint32_t>(p.tensors.size());
  p.tensors.push_back(t);
  return t.root;
}

void step(Program& p, std::vector<uint32_t> in, std::vector<uint32_t> out,
          std::vector<std::pair<uint32_t, uint32_t>> in_place = {}) {
  ProgramStep s;
  s.op = "Test";
  s.name = "n" + std::to_string(p.steps.size());
  s.kernel = "k";
  s.attributes = {1, 2, 3};
  s.num_op_inputs = static_cast<uint32_t>(in.size());
  s.inputs = std::move(in);
  s.outputs = std::move(out);
  s.in_place = std::move(in_place);
  p.steps.push_back(std::move(s));
}

// x -> a -> b -> y with a constant and a state that is updated in place.
Program small() {
  Program p;
  p.target = "test";
  p.arena_bytes = 192;
  const uint32_t x = add(p, Place::input, 0, 0), a = add(p, Place::arena, 0, 0), b = add(p, Place::arena, 0, 64),
                 y = add(p, Place::output, 0, 0);
  const uint32_t w = add(p, Place::state, 0, 0), w2 = add(p, Place::state, 0, 0), c = add(p, Place::constant, 0, 0);
  p.tensors[c].quantization = std::make_shared<Quantization>(Quantization{{0.5f}, {3}, -1});
  Tensor bytes(ElementType::u8, {64});
  for (int i = 0; i < 64; ++i) bytes.data<uint8_t>()[i] = static_cast<uint8_t>(i * 7);
  p.constants = {bytes};
  p.inputs = {{"x", {"input"}, x}};
  p.outputs = {{"y", {}, y}};
  p.states = {{"w", w, w2, c, true}};
  step(p, {x, c}, {a});
  p.steps.back().epilogue.steps = {{EpilogueOp::relu, 0}, {EpilogueOp::clamp, 1, -1, 0, 6}};
  step(p, {a, w}, {b});
  step(p, {b, w}, {y, w2}, {{1, 1}});
  p.info["precision"] = "f32";
  return p;
}

std::string refusal(const Program& p) {
  try {
    verify(p);
  } catch (const Error& e) {
    return e.message();
  }
  return {};
}

TEST(Verifier, accepts_a_correct_program) {
  EXPECT_EQ(refusal(small()), "");
}

TEST(Verifier, refuses_overlapping_live_tensors) {
  Program p = small();
  p.tensors[2].offset = 0;  // b over a, which the same step reads
  EXPECT_NE(refusal(p).find("overlaps input 0"), std::string::npos) << refusal(p);
}

TEST(Verifier, accepts_the_same_overlap_as_a_declared_in_place_pair) {
  Program p = small();
  p.tensors[2].offset = 0;
  p.steps[1].in_place = {{0, 0}};
  EXPECT_EQ(refusal(p), "");
}

TEST(Verifier, refuses_reading_memory_that_was_overwritten) {
  Program p = small();
  const uint32_t d = add(p, Place::arena, 0, 64);
  ProgramStep s = p.steps[1];
  s.inputs = {1};
  s.num_op_inputs = 1;
  s.outputs = {d};
  p.steps.insert(p.steps.begin() + 2, s);  // writes over b before b is read
  EXPECT_NE(refusal(p).find("does not hold it"), std::string::npos) << refusal(p);
}

TEST(Verifier, refuses_reading_before_writing) {
  Program p = small();
  std::swap(p.steps[0], p.steps[1]);
  EXPECT_NE(refusal(p).find("does not hold it"), std::string::npos) << refusal(p);
}

TEST(Verifier, refuses_reading_an_old_state_after_its_update) {
  Program p = small();
  std::swap(p.steps[1].outputs, p.steps[2].outputs);
  p.steps[1].outputs = {2, 5};
  p.steps[1].in_place = {{1, 1}};
  p.steps[2].outputs = {3};
  p.steps[2].in_place.clear();
  EXPECT_NE(refusal(p).find("does not hold it"), std::string::npos) << refusal(p);
}

TEST(Verifier, refuses_tensors_outside_of_the_arena) {
  Program p = small();
  p.tensors[2].offset = 192;
  EXPECT_NE(refusal(p).find("outside of the arena"), std::string::npos);
}

TEST(Verifier, refuses_missing_outputs) {
  Program p = small();
  p.steps.pop_back();
  EXPECT_NE(refusal(p).find("not complete"), std::string::npos);
}

TEST(Verifier, refuses_writing_a_constant) {
  Program p = small();
  p.steps[0].outputs = {6};
  EXPECT_NE(refusal(p).find("read-only"), std::string::npos);
}

class HoneFileTest : public testing::Test {
 protected:
  HoneFileTest()
      : path_(std::filesystem::temp_directory_path() / ("hone_file_test_" + std::to_string(::getpid()) + ".hone")) {}
  ~HoneFileTest() override { std::filesystem::remove(path_); }

  HoneFile content() const {
    HoneFile f;
    f.metadata = {{"labels", "[\"cat\",\"dog\"]"}, {"empty", ""}};
    f.programs = {small(), small()};
    f.programs[1].target = "other";
    f.graph = {9, 8, 7};
    f.graph_constants = {f.programs[0].constants[0].clone(), Tensor(ElementType::u8, {1000})};
    return f;
  }
  std::string read() const {
    std::ifstream in(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(const std::string& s) const { std::ofstream(path_, std::ios::binary) << s; }

  std::filesystem::path path_;
};

TEST_F(HoneFileTest, round_trip_keeps_everything) {
  const HoneFile f = content();
  write_hone(path_, f);
  const HoneFile g = read_hone(path_);
  EXPECT_EQ(g.metadata, f.metadata);
  EXPECT_EQ(g.graph, f.graph);
  ASSERT_EQ(g.programs.size(), 2u);
  EXPECT_EQ(to_text(g.programs[0]), to_text(f.programs[0]));
  EXPECT_EQ(g.programs[1].target, "other");
  EXPECT_EQ(g.programs[0].info, f.programs[0].info);
  EXPECT_EQ(g.programs[0].steps[0].attributes, f.programs[0].steps[0].attributes);
  EXPECT_EQ(g.programs[0].steps[0].epilogue.steps[1].beta, 6);
  EXPECT_EQ(*g.programs[0].tensors[6].quantization, *f.programs[0].tensors[6].quantization);
  EXPECT_TRUE(g.programs[0].constants[0].identical(f.programs[0].constants[0]));
  EXPECT_TRUE(g.graph_constants[1].identical(f.graph_constants[1]));
  EXPECT_TRUE(g.programs[0].states[0].trainable);
}

TEST_F(HoneFileTest, equal_constants_are_stored_once) {
  write_hone(path_, content());
  const HoneFile g = read_hone(path_);
  EXPECT_EQ(g.programs[0].constants[0].raw(), g.programs[1].constants[0].raw());
  EXPECT_EQ(g.programs[0].constants[0].raw(), g.graph_constants[0].raw());
}

TEST_F(HoneFileTest, constants_stay_mapped_when_the_file_object_is_gone) {
  write_hone(path_, content());
  Tensor c = read_hone(path_).programs[0].constants[0];
  EXPECT_EQ(c.data<uint8_t>()[9], 63);
}

TEST_F(HoneFileTest, every_truncation_is_refused) {
  write_hone(path_, content());
  const std::string whole = read();
  for (size_t n = 0; n < whole.size(); n += 1 + whole.size() / 100) {
    write(whole.substr(0, n));
    EXPECT_THROW(read_hone(path_), Error) << n << " bytes";
  }
}

TEST_F(HoneFileTest, every_flipped_byte_is_refused_or_without_effect) {
  write_hone(path_, content());
  const std::string whole = read();
  const std::string text = to_text(read_hone(path_).programs[0]);
  size_t refused = 0;
  for (size_t i = 0; i < whole.size(); i += i < 100 ? 1 : 11) {
    std::string bad = whole;
    bad[i] = static_cast<char>(bad[i] ^ 0x41);
    write(bad);
    try {
      const HoneFile f = read_hone(path_);
      EXPECT_EQ(to_text(f.programs.at(0)), text) << "byte " << i;  // padding between sections
    } catch (const Error& e) {
      EXPECT_NE(e.what(), std::string());
      ++refused;
    }
  }
  EXPECT_GT(refused, whole.size() / 22);
}

// Checksums can be made to fit: the parser and the verifier must stand on their own.
TEST(ProgramBytes, hostile_bytes_are_refused_or_give_a_verified_program) {
  const Program p = small();
  const std::vector<uint8_t> good = program_bytes(p, {0});
  EXPECT_EQ(to_text(program_from_bytes(good, p.constants)), to_text(p));
  size_t refused = 0;
  for (size_t i = 0; i < good.size(); ++i) {
    for (uint8_t v : {uint8_t{0}, uint8_t{1}, uint8_t{0x7f}, uint8_t{0xff}}) {
      std::vector<uint8_t> bad = good;
      bad[i] = v;
      try {
        verify(program_from_bytes(bad, p.constants));
      } catch (const Error&) {
        ++refused;
      }
    }
  }
  for (size_t n = 0; n < good.size(); ++n) {
    EXPECT_THROW(program_from_bytes(std::span(good).first(n), p.constants), Error) << n;
  }
  EXPECT_GT(refused, good.size());
}

TEST_F(HoneFileTest, another_version_is_unsupported) {
  write_hone(path_, content());
  std::string s = read();
  s[8] = 2;
  write(s);
  try {
    read_hone(path_);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::unsupported);
  }
}

}  // namespace
}  // namespace hone
