// Comparison of values in tests.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "hone/tensor.hpp"

namespace hone {

/// Same kind, shapes and types; numbers within `tolerance` of the larger of 1 and their magnitude. An absent value that
/// is wanted says nothing of the one that is there.
inline void expect_close(const Datum& got, const Datum& want, double tolerance, const std::string& what) {
  if (want.is_none()) return;
  if (want.is_sequence()) {
    ASSERT_TRUE(got.is_sequence()) << what;
    ASSERT_EQ(got.sequence().size(), want.sequence().size()) << what;
    for (size_t i = 0; i < want.sequence().size(); ++i)
      expect_close(got.sequence()[i], want.sequence()[i], tolerance, what + " element " + std::to_string(i));
    return;
  }
  ASSERT_EQ(got.is_tensor(), want.is_tensor()) << what;
  if (!want.is_tensor()) return;
  const Tensor &g = got.tensor(), &w = want.tensor();
  ASSERT_EQ(to_string(g.shape()), to_string(w.shape())) << what;
  ASSERT_EQ(name_of(g.element_type()), std::string(name_of(w.element_type()))) << what;
  if (g.element_type() == ElementType::string) {
    ASSERT_EQ(g.strings(), w.strings()) << what;
    return;
  }
  for (size_t i = 0; i < g.size(); ++i) {
    const double a = get_element(g, i), e = get_element(w, i);
    if (a == e || (std::isnan(a) && std::isnan(e))) continue;
    ASSERT_NEAR(a, e, tolerance * std::max(1.0, std::fabs(e))) << what << " element " << i;
  }
}

}  // namespace hone
