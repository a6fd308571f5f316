// Inverses, factors and systems of equations.
#include "formats/tensorflow/mapping.hpp"
#include "ops/inverse.hpp"
#include "ops/linear_algebra.hpp"

namespace hone::tensorflow {
namespace {

Items cholesky(NodeContext& n) {
  return {n(Cholesky{}, n.in(0))};
}
Items determinant(NodeContext& n) {
  return {n(Determinant{}, n.in(0))};
}
Items inverse(NodeContext& n) {
  return {n(Inverse{n.flag("adjoint", false)}, n.in(0))};
}
Items solve(NodeContext& n) {
  return {n(LinearSolve{MatrixPart::all, n.flag("adjoint", false)}, n.in(0), n.in(1))};
}
Items triangular_solve(NodeContext& n) {
  const MatrixPart part = n.flag("lower", true) ? MatrixPart::lower : MatrixPart::upper;
  return {n(LinearSolve{part, n.flag("adjoint", false)}, n.in(0), n.in(1))};
}

constexpr OperatorRow rows[] = {
    {"BatchCholesky", cholesky},
    {"BatchMatrixDeterminant", determinant},
    {"BatchMatrixInverse", inverse},
    {"BatchMatrixSolve", solve},
    {"BatchMatrixTriangularSolve", triangular_solve},
    {"Cholesky", cholesky},
    {"MatrixDeterminant", determinant},
    {"MatrixInverse", inverse},
    {"MatrixSolve", solve},
    {"MatrixTriangularSolve", triangular_solve},
};

}  // namespace

std::span<const OperatorRow> matrix_rows() {
  return rows;
}

}  // namespace hone::tensorflow
