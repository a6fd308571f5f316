#include "formats/tensorflow/complex.hpp"

#include "ops/binary.hpp"
#include "ops/movement.hpp"

namespace hone::tensorflow {

Item complex_of(Value v) {
  Item y(v);
  y.complex = true;
  return y;
}

Value real_part(NodeContext& n, Value v) {
  return n.gather(v, n.int_constant(0), -1);
}
Value imaginary_part(NodeContext& n, Value v) {
  return n.gather(v, n.int_constant(1), -1);
}
Item complex_from(NodeContext& n, Value real, Value imaginary) {
  const bool fit = real.shape().is_static() && real.shape() == imaginary.shape();
  if (!fit) {
    // The parts may broadcast to each other.
    const Broadcast both{BroadcastMode::bidirectional};
    const Value r = n(both, real, n.shape_of(imaginary));
    imaginary = n(both, imaginary, n.shape_of(real));
    real = r;
  }
  return complex_of(n.concat({n.unsqueeze(real, {-1}), n.unsqueeze(imaginary, {-1})}, -1));
}

// (a + bi)(c + di) = (ac - bd) + (ad + bc)i.
Item complex_product(NodeContext& n, Value x, Value y) {
  const Value a = real_part(n, x), b = imaginary_part(n, x), c = real_part(n, y), d = imaginary_part(n, y);
  return complex_from(n, n(Subtract{}, n(Multiply{}, a, c), n(Multiply{}, b, d)),
                      n(Add{}, n(Multiply{}, a, d), n(Multiply{}, b, c)));
}

}  // namespace hone::tensorflow
