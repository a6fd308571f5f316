// Systems of linear equations and what factors matrices. All computes in f64.
#pragma once
#include "ops/attributes.hpp"

namespace hone {

/// Input: [..., N, N]. Output: [...], the determinant of each matrix.
struct Determinant {
  static void fields(auto&, auto&&) {}
  HONE_OP("Determinant") HONE_GRAD
};

/// Input: [..., N, N], symmetric and positive definite, of which the lower triangle is read. Output: the lower triangle
/// L with L L^T equal to it, or with `upper` the upper one. Any other matrix is an error.
struct Cholesky {
  bool upper = false;
  static void fields(auto& o, auto&& f) { f("upper", o.upper); }
  HONE_OP("Cholesky") HONE_NO_GRAD("not offered yet")
};

enum class MatrixPart { all, lower, upper };
HONE_ENUM_NAMES(MatrixPart, "all", "lower", "upper")
/// Inputs: A [..., N, N], B [..., N, K]; the axes in front broadcast. Output: X with A X = B, or with `adjoint` A^T X =
/// B. Of a triangle the other elements of A are not read. A singular matrix is an error, a triangle with zeros on its
/// diagonal gives infinite elements or none that are numbers.
struct LinearSolve {
  MatrixPart part = MatrixPart::all;
  bool adjoint = false;
  static void fields(auto& o, auto&& f) {
    f("part", o.part);
    f("adjoint", o.adjoint);
  }
  HONE_OP("LinearSolve") HONE_GRAD
};

}  // namespace hone
