// Attributes of IR layers to and from operator structs: the default mapping, since both use the same names.
#pragma once
#include <pugixml.hpp>
#include <string>

#include "tensor/fields.hpp"

namespace hone::ir {

/// Sets fields from the attributes of a `<data>` element. Fields that it lacks keep their value; what no field takes is
/// ignored, as newer writers may add attributes. Throws `Error` on malformed text.
class AttributeReader : public FieldVisitor {
 public:
  explicit AttributeReader(const pugi::xml_node& data) : data_(data) {}
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
  const char* find(std::string_view name) const;
  const pugi::xml_node& data_;
};

/// Writes fields as attributes of a `<data>` element.
class AttributeWriter : public FieldVisitor {
 public:
  explicit AttributeWriter(pugi::xml_node data) : data_(data) {}
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
  void put(std::string_view name, const std::string& text);
  pugi::xml_node data_;
};

std::vector<int64_t> parse_ints(const char* text);
/// `?,3,1..10`, empty for a scalar, `...` for an unknown rank.
PartialShape parse_shape(const char* text);
std::string shape_text(const PartialShape& s);
/// `FP32`, `I64`...: the precision of a port.
const char* precision_name(ElementType t);
ElementType parse_type(const char* text);

}  // namespace hone::ir
