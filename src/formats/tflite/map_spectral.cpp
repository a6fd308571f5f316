// Fourier transforms and complex numbers, which are pairs along a last axis.
#include "formats/tflite/mapping.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"
#include "ops/spectral.hpp"
#include "ops/unary.hpp"

namespace hone::tflite {
namespace {

// Inputs: data, lengths of the last two axes.
Values rfft2d(NodeContext& n) {
  const Value x = n.in(0);
  const auto rank = static_cast<int64_t>(n.rank(x));
  if (rank < 2) n.fail("wants matrices");
  return {n(RDFT{}, x, n.ints_constant({rank - 2, rank - 1}), n.index_vector(1))};
}

Value pairs(NodeContext& n) {
  if (!is_complex(n.info(0).type)) n.fail("wants complex numbers");
  return n.in(0);
}
Value part(NodeContext& n, int64_t k) {
  const Value z = pairs(n);
  return n.gather(z, n.int_constant(k), static_cast<int64_t>(n.rank(z)) - 1);
}
Values real(NodeContext& n) {
  return {part(n, 0)};
}
Values imaginary(NodeContext& n) {
  return {part(n, 1)};
}
Values magnitude(NodeContext& n) {
  return {n(ReduceL2{false}, pairs(n), n.ints_constant({-1}))};
}
Values complex(NodeContext& n) {
  const Value re = n.in(0), im = n.in(1);
  const auto axis = static_cast<int64_t>(n.rank(re));
  return {n.concat({n.unsqueeze(re, {axis}), n.unsqueeze(im, {axis})}, axis)};
}

constexpr OperatorRow rows[] = {
    {131, "RFFT2D", rfft2d},         {133, "IMAG", imaginary},  {134, "REAL", real},
    {135, "COMPLEX_ABS", magnitude}, {207, "COMPLEX", complex},
};

}  // namespace

std::span<const OperatorRow> spectral_rows() {
  return rows;
}

}  // namespace hone::tflite
