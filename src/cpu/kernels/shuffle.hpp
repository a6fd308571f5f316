// Shuffles whose places are computed while compiling, by the one builtin that GCC and Clang share. Forced inline and
// without the standard library, as simd.hpp asks of what ISA files include.
#pragma once

namespace hone::cpu {

template <int... I>
struct Places {};
template <int N, int... I>
struct CountedPlaces : CountedPlaces<N - 1, N - 1, I...> {};
template <int... I>
struct CountedPlaces<0, I...> {
  using Type = Places<I...>;
};

template <class F, class V, int... I>
static inline __attribute__((always_inline, unused)) V shuffled_by(V a, V b, Places<I...>) {
  return __builtin_shufflevector(a, b, F{}(I)...);
}
// Lane i of the result is lane F{}(i) of a and b behind each other.
template <class F, class V>
static inline __attribute__((always_inline, unused)) V shuffled(V a, V b, F) {
  return shuffled_by<F>(a, b, typename CountedPlaces<int(sizeof(V) / sizeof(a[0]))>::Type{});
}
// Lanes of a and b in turns, from lane FIRST of both.
template <int FIRST, class V>
static inline __attribute__((always_inline, unused)) V in_turns(V a, V b) {
  return shuffled(a, b, [](int i) { return FIRST + i / 2 + i % 2 * int(sizeof(V) / sizeof(V{}[0])); });
}

}  // namespace hone::cpu
