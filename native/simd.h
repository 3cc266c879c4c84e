// Vectors of the instruction set this file is compiled for, by the compiler's vector extensions.
//
// RECURRA_NAMESPACE names the instruction set and RECURRA_BYTES is its vector's size; both come
// from the build, which compiles the kernels once for each.
#pragma once
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

namespace RECURRA_NAMESPACE {

typedef float F32 __attribute__((vector_size(RECURRA_BYTES)));
typedef double F64 __attribute__((vector_size(RECURRA_BYTES)));
typedef int32_t I32 __attribute__((vector_size(RECURRA_BYTES)));
typedef int64_t I64 __attribute__((vector_size(RECURRA_BYTES)));

template <class V>
using Scalar = std::remove_cv_t<std::remove_reference_t<decltype(std::declval<V&>()[0])>>;
template <class T>
using Vector = std::conditional_t<std::is_same_v<T, float>, F32, F64>;
template <class V>
using Integer = std::conditional_t<std::is_same_v<V, F32>, I32, I64>;

// Units in a vector.
template <class V>
constexpr int lanes = int(sizeof(V) / sizeof(Scalar<V>));

template <class V>
inline V load(const Scalar<V>* from) {
  V v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

template <class V>
inline void store(Scalar<V>* to, V v) {
  std::memcpy(to, &v, sizeof v);
}

template <class V>
inline V splat(Scalar<V> value) {
  return value - V{};
}

// The first n lanes, 0 < n <= lanes.
template <class V>
inline V load_part(const Scalar<V>* from, long n) {
  V v{};
  std::memcpy(&v, from, size_t(n) * sizeof(Scalar<V>));
  return v;
}

template <class V>
inline void store_part(Scalar<V>* to, V v, long n) {
  std::memcpy(to, &v, size_t(n) * sizeof(Scalar<V>));
}

// Lanes of an array of which `left` elements are left: zeros beyond, and where none is left.
template <class V>
inline V load_left(const Scalar<V>* from, long left) {
  return left >= lanes<V> ? load<V>(from) : left > 0 ? load_part<V>(from, left) : V{};
}

// The same of what is written: nothing beyond.
template <class V>
inline void store_left(Scalar<V>* to, V v, long left) {
  if (left >= lanes<V>) {
    store<V>(to, v);
  } else if (left > 0) {
    store_part<V>(to, v, left);
  }
}

// Row n of `rows` becomes column n.
template <class V>
inline void transpose(V (&rows)[lanes<V>]) {
  constexpr int W = lanes<V>;
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC unroll 8
  for (int step = 1; step < W; step *= 2) {
    Integer<V> low{}, high{};
#pragma GCC unroll 16
    for (int lane = 0; lane < W; ++lane) {
      low[lane] = lane & step ? W + lane - step : lane;
      high[lane] = lane & step ? W + lane : lane + step;
    }
#pragma GCC unroll 16
    for (int n = 0; n < W; ++n) {
      if (n & step) continue;
      const V a = rows[n], b = rows[n + step];
      rows[n] = __builtin_shuffle(a, b, low);
      rows[n + step] = __builtin_shuffle(a, b, high);
    }
  }
#else
  for (int n = 0; n < W; ++n)
    for (int lane = 0; lane < n; ++lane) {
      const Scalar<V> kept = rows[n][lane];
      rows[n][lane] = rows[lane][n];
      rows[lane][n] = kept;
    }
#endif
}

// Lane n has what lane n ^ Step had.
template <int Step, class V, int... Lane>
inline V swapped(V v, std::integer_sequence<int, Lane...>) {
#if defined(__clang__)
  return __builtin_shufflevector(v, v, (Lane ^ Step)...);
#else
  using Index = Scalar<Integer<V>>;
  return __builtin_shuffle(v, Integer<V>{Index(Lane ^ Step)...});
#endif
}

// The sum of all lanes, in each of them: halves are added until one lane is left.
template <class V, int Step = lanes<V> / 2>
inline V total_in_all(V v) {
  if constexpr (Step > 0) {
    v += swapped<Step>(v, std::make_integer_sequence<int, lanes<V>>());
    return total_in_all<V, Step / 2>(v);
  }
  return v;
}

template <class V>
inline Scalar<V> total(V v) {
  return total_in_all<V>(v)[0];
}

}  // namespace RECURRA_NAMESPACE
