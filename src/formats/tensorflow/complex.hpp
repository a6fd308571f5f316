// Complex numbers as a last axis of two: real and imaginary part.
#pragma once
#include "formats/tensorflow/node.hpp"

namespace hone::tensorflow {

Item complex_of(Value v);
Value real_part(NodeContext& n, Value v);
Value imaginary_part(NodeContext& n, Value v);
Item complex_from(NodeContext& n, Value real, Value imaginary);
Item complex_product(NodeContext& n, Value a, Value b);

}  // namespace hone::tensorflow
