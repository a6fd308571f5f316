// Complex tensors. Here they are real ones with a last axis of 2: real part, imaginary part.
//
// A node that takes or gives a complex tensor has a row in a table of its own. Most rows there apply the operator's row
// for real tensors to the parts.
#pragma once
#include <functional>
#include <span>

#include "formats/pytorch/mapping.hpp"

namespace hone::pytorch {

/// Parts of a complex value; no imaginary part is 0.
struct Complex {
  Value re, im;
};

class ComplexContext : public NodeContext {
 public:
  ComplexContext(Importer& importer, Builder& builder, const NodeMessage& node, std::string_view op)
      : NodeContext(importer, builder, node, op), outer_(importer), message_(node) {}

  bool is_complex(std::string_view name) const;
  /// A tensor or number, complex or real.
  Complex pair(std::string_view name);
  Complex pair(const Argument& a);
  /// The same with an imaginary part in any case.
  Complex both_parts(std::string_view name);
  /// The tensor [..., 2] of the parts, broadcast to each other.
  Value joined(Complex z);
  /// The operator's row for real tensors with other values instead of its complex ones: `part(name)` of each. Numbers
  /// that fill the result (`value`) are replaced by their real or imaginary part; argument `without` is left out.
  Values plain(const std::function<Value(const std::string&)>& part, bool imaginary = false,
               std::string_view without = {});
  /// The same for the real and the imaginary parts, joined.
  Values by_parts();
  const NodeMessage& message() const { return message_; }

 private:
  Importer& outer_;
  const NodeMessage& message_;
};

struct ComplexRow {
  std::string_view name;
  Values (*build)(ComplexContext&);
};
std::span<const ComplexRow> complex_rows();
std::span<const ComplexRow> spectral_complex_rows();

/// The row of an operator on complex tensors; null where there is none.
const ComplexRow* find_complex_row(std::string_view op);
/// By the number of the export schema.
bool is_complex_type(int64_t scalar_type);
/// The element type of the parts, as a number of the schema; other numbers stay.
int64_t part_type(int64_t scalar_type);

}  // namespace hone::pytorch
