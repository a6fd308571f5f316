// An operator of a user's shared library (include/hone/extension.h).
#pragma once
#include "ops/attributes.hpp"

namespace hone {

/// The node of a file whose type an extension has. It needs the library wherever it is inferred or evaluated.
struct Custom {
  std::string domain, type;
  int64_t outputs = 1;
  /// The file's attributes, flat: name, kind (`i`, `f`, `s`, in capitals for a list), number of values, values as text.
  std::vector<std::string> attributes;
  static void fields(auto& o, auto&& f) {
    f("domain", o.domain);
    f("type", o.type);
    f("outputs", o.outputs);
    f("attributes", o.attributes);
  }
  static constexpr bool raw_types = true;
  HONE_OP("Custom")
  HONE_NO_GRAD("an operator of an extension library")

  void add(const std::string& name, char kind, bool list, const std::vector<std::string>& values);
};

/// One attribute of a Custom, taken apart.
struct CustomAttribute {
  std::string name;
  char kind = 's';
  bool list = false;
  std::vector<std::string> values;
};
/// Throws `Error` where the flat list is malformed.
std::vector<CustomAttribute> custom_attributes(const Custom& op);

}  // namespace hone
