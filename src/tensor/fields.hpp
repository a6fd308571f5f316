// Attribute reflection. A struct lists its fields once:
//
//     static void fields(auto& o, auto&& f) { f("axis", o.axis); f("mode", o.mode); }
//
// and equality, hash, print, parse, IR xml, the program file, the command line and the docs follow from it.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "hone/shape.hpp"
#include "hone/tensor.hpp"

namespace hone {

/// An enum field: its number and the names of all its values. `enum_names(E)` is found by argument-dependent lookup:
///     enum class Mode { constant, edge };
///     inline std::span<const std::string_view> enum_names(Mode) { static constexpr std::string_view n[] = {"constant",
///     "edge"}; return n; }
struct EnumField {
  std::span<const std::string_view> names;
  int value;
};

/// Visits the fields of one object, to read or to write them. One virtual call a field keeps templates out of the
/// users.
class FieldVisitor {
 public:
  virtual ~FieldVisitor() = default;
  virtual void on(std::string_view name, bool& v) = 0;
  virtual void on(std::string_view name, int64_t& v) = 0;
  virtual void on(std::string_view name, double& v) = 0;
  virtual void on(std::string_view name, std::string& v) = 0;
  virtual void on(std::string_view name, ElementType& v) = 0;
  virtual void on(std::string_view name, std::vector<int64_t>& v) = 0;
  virtual void on(std::string_view name, std::vector<double>& v) = 0;
  virtual void on(std::string_view name, std::vector<std::string>& v) = 0;
  virtual void on(std::string_view name, PartialShape& v) = 0;
  virtual void on(std::string_view name, Tensor& v) = 0;
  virtual void on(std::string_view name, EnumField& v) = 0;
};

/// The functor that `fields` receives: forwards every member to a FieldVisitor.
struct FieldAdapter {
  FieldVisitor& visitor;
  template <class T>
  void operator()(std::string_view name, T& v) {
    if constexpr (std::is_enum_v<T>) {
      if constexpr (std::is_same_v<T, ElementType>) {
        visitor.on(name, v);
      } else {
        EnumField e{enum_names(v), static_cast<int>(v)};
        visitor.on(name, e);
        v = static_cast<T>(e.value);
      }
    } else {
      visitor.on(name, v);
    }
  }
};

template <class O>
void visit_fields(O& o, FieldVisitor& visitor) {
  if constexpr (requires(FieldAdapter f) { O::fields(o, f); }) {
    O::fields(o, FieldAdapter{visitor});
  }
}

/// One field as text: `1`, `[1,2]`, `"a"`, `f32`, `constant`, `f32[2]{1,2}`. A tensor of more than `max_elements`
/// prints its hash.
class FieldPrinter : public FieldVisitor {
 public:
  explicit FieldPrinter(size_t max_elements = 16) : max_elements_(max_elements) {}
  std::vector<std::pair<std::string, std::string>> take() { return std::move(out_); }
  void on(std::string_view name, bool& v) override;
  void on(std::string_view name, int64_t& v) override;
  void on(std::string_view name, double& v) override;
  void on(std::string_view name, std::string& v) override;
  void on(std::string_view name, ElementType& v) override;
  void on(std::string_view name, std::vector<int64_t>& v) override;
  void on(std::string_view name, std::vector<double>& v) override;
  void on(std::string_view name, std::vector<std::string>& v) override;
  void on(std::string_view name, PartialShape& v) override;
  void on(std::string_view name, Tensor& v) override;
  void on(std::string_view name, EnumField& v) override;

 private:
  void put(std::string_view name, std::string text) { out_.emplace_back(std::string(name), std::move(text)); }
  size_t max_elements_;
  std::vector<std::pair<std::string, std::string>> out_;
};

/// Sets fields from text. Fields that the list lacks keep their value; names that no field has are an `Error`.
class FieldParser : public FieldVisitor {
 public:
  explicit FieldParser(std::vector<std::pair<std::string, std::string>> values)
      : values_(std::move(values)), used_(values_.size()) {}
  /// Throws `Error` where a value was given that no field took.
  void finish(std::string_view what) const;
  void on(std::string_view name, bool& v) override;
  void on(std::string_view name, int64_t& v) override;
  void on(std::string_view name, double& v) override;
  void on(std::string_view name, std::string& v) override;
  void on(std::string_view name, ElementType& v) override;
  void on(std::string_view name, std::vector<int64_t>& v) override;
  void on(std::string_view name, std::vector<double>& v) override;
  void on(std::string_view name, std::vector<std::string>& v) override;
  void on(std::string_view name, PartialShape& v) override;
  void on(std::string_view name, Tensor& v) override;
  void on(std::string_view name, EnumField& v) override;

 private:
  const std::string* find(std::string_view name);
  std::vector<std::pair<std::string, std::string>> values_;
  std::vector<bool> used_;
};

/// Fields as bytes: little-endian, in order of declaration, tensors whole. For the program file, hashing and equality.
class FieldWriter : public FieldVisitor {
 public:
  std::vector<uint8_t> take() { return std::move(out_); }
  void on(std::string_view name, bool& v) override;
  void on(std::string_view name, int64_t& v) override;
  void on(std::string_view name, double& v) override;
  void on(std::string_view name, std::string& v) override;
  void on(std::string_view name, ElementType& v) override;
  void on(std::string_view name, std::vector<int64_t>& v) override;
  void on(std::string_view name, std::vector<double>& v) override;
  void on(std::string_view name, std::vector<std::string>& v) override;
  void on(std::string_view name, PartialShape& v) override;
  void on(std::string_view name, Tensor& v) override;
  void on(std::string_view name, EnumField& v) override;

 private:
  void bytes(const void* p, size_t n);
  void text(std::string_view s);
  void number(int64_t v) { bytes(&v, sizeof v); }
  std::vector<uint8_t> out_;
};

/// Reads what FieldWriter wrote; every read is bounds-checked and throws `Error`.
class FieldReader : public FieldVisitor {
 public:
  explicit FieldReader(std::span<const uint8_t> in) : in_(in) {}
  void on(std::string_view name, bool& v) override;
  void on(std::string_view name, int64_t& v) override;
  void on(std::string_view name, double& v) override;
  void on(std::string_view name, std::string& v) override;
  void on(std::string_view name, ElementType& v) override;
  void on(std::string_view name, std::vector<int64_t>& v) override;
  void on(std::string_view name, std::vector<double>& v) override;
  void on(std::string_view name, std::vector<std::string>& v) override;
  void on(std::string_view name, PartialShape& v) override;
  void on(std::string_view name, Tensor& v) override;
  void on(std::string_view name, EnumField& v) override;

 private:
  const uint8_t* need(uint64_t n);
  int64_t number();
  uint64_t count(uint64_t element_bytes);
  std::string text();
  std::span<const uint8_t> in_;
};

/// A tensor as `f32[2,2]{1,2,3,4}`, and back. The parser also takes generators: `f32[64,3]{random:7}` (uniform in
/// [-1,1), seeded),
/// `{zeros}`, `{ones}`, `{iota}`, `{full:2.5}`.
std::string to_text(const Tensor& t, size_t max_elements = SIZE_MAX);
Tensor tensor_from_text(std::string_view text);
/// 64-bit FNV-1a.
uint64_t hash_bytes(const void* data, size_t n, uint64_t seed = 14695981039346656037ull);

}  // namespace hone
