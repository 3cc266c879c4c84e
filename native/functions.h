// exp, tanh, sigmoid and the other functions a cell may use, on vectors.
//
// Errors in ULP wherever the result is a normal number, in float32 (over all its values, measured
// once: exp 1.02, sigmoid 2.45, tanh 3.00; softplus 2.80 over each 13th) and in float64:
//
//   exp 1.1, 1.1 · sigmoid 2.5, 2.5 · tanh 3, 3.5 · softplus 3, 3 · softsign 1.5, 1.5 · relu 0, 0
//   abs, maximum, minimum, floor 0, 0 · sqrt 0.5, 0.5 · log, sin, cos 1, 1 (of the C library, lane by lane)
//
// Smaller results are off by less than the smallest normal number, hard_sigmoid by less than the
// distance from 1 to the next. NaN stays NaN; infinities have their limits, but for softsign, which
// makes them NaN as torch does. tests/native/test_functions.py has the same table.
//
// Errors of their slopes, as the backward pass computes them, in ULP likewise:
//
//   exp 1.1, 1.1 · softplus 4, 4 · softsign 4, 4 · relu, identity 0, 0 · hard_sigmoid 0, 0 but for
//   the two numbers nearest to -3 and 3 each
//
// and in distances from 1 to the next, for they are 1 - y² and y (1 - y), whose digits go where y
// is near 1 (torch's go, too): tanh 3.5, 4 · sigmoid 1, 1. tests/native/test_slopes.py has the table.
#pragma once
#include "simd.h"

namespace RECURRA_NAMESPACE {

template <class V>
inline V select(Integer<V> condition, V yes, V no) {
  return condition ? yes : no;
}

// 1 / v for 1 <= |v| <= 2^126: an estimate of 14 bits and a Newton step cost a quarter of a division.
template <class V>
inline V reciprocal(V v) {
#if defined(__AVX512F__)
  if constexpr (std::is_same_v<V, F32>) {
    const V estimate = (V)__builtin_ia32_rcp14ps512_mask(v, v, static_cast<unsigned short>(-1));
    return estimate + estimate * (splat<V>(1) - v * estimate);
  }
#endif
  return splat<V>(1) / v;
}

template <class V>
struct Exponent;

// Cody and Waite's reduction; minimax polynomial of Cephes' expf.
template <>
struct Exponent<F32> {
  static constexpr float log2e = 1.44269504088896341f, high = 0.693359375f;
  static constexpr float low = -2.12194440e-4f, round = 12582912.0f;  // 1.5 * 2^23
  static constexpr float smallest = -87.336544f, largest = 88.722839f;
  static constexpr int mantissa = 23, bias = 127;
  static F32 polynomial(F32 r) {
    F32 p = splat<F32>(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    return p * (r * r) + r;
  }
};

template <>
struct Exponent<F64> {
  static constexpr double log2e = 1.4426950408889634074, high = 6.93145751953125e-1;
  static constexpr double low = 1.42860682030941723212e-6, round = 6755399441055744.0;
  static constexpr double smallest = -708.39641853226408, largest = 709.78271289338397;
  static constexpr int mantissa = 52, bias = 1023;
  static F64 polynomial(F64 r) {  // Taylor; the first term left out is below 2^-57 of the result
    F64 p = splat<F64>(1.0 / 6227020800.0);
    p = p * r + 1.0 / 479001600.0;
    p = p * r + 1.0 / 39916800.0;
    p = p * r + 1.0 / 3628800.0;
    p = p * r + 1.0 / 362880.0;
    p = p * r + 1.0 / 40320.0;
    p = p * r + 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    return p * (r * r) + r;
  }
};

// exp(v) = 2^n * (1 + p). v within the range of Exponent.
template <class V>
struct Reduced {
  Integer<V> n;
  V p;
  explicit Reduced(V v) {
    using E = Exponent<V>;
    const V shifted = v * E::log2e + E::round;
    const V whole = shifted - E::round;
    p = E::polynomial(v - whole * E::high - whole * E::low);
    n = (Integer<V>)shifted - (Integer<V>)splat<V>(E::round);  // the low bits of `shifted`
  }
  static V power(Integer<V> n) { return (V)((n + Exponent<V>::bias) << Exponent<V>::mantissa); }
};

template <class V>
inline V exp(V v) {
  using E = Exponent<V>;
  const V most = splat<V>(E::largest), least = splat<V>(E::smallest);
  const Reduced<V> e(select<V>(v > most, most, select<V>(v < least, least, v)));
  const Integer<V> half = e.n >> 1;  // at the ends of the range 2^n itself is no normal number
  const V scale = Reduced<V>::power(half);
  const V value = (scale * e.p + scale) * Reduced<V>::power(e.n - half);
  return select<V>(v > most, splat<V>(Scalar<V>(__builtin_inf())), select<V>(v < least, V{}, value));
}

template <class V>
inline V sigmoid(V v) {
  const V most = splat<V>(-Exponent<V>::smallest);
  const Reduced<V> e(select<V>(v < -most, most, select<V>(v > most, -most, -v)));
  const V scale = Reduced<V>::power(e.n);
  const V value = reciprocal<V>(scale * e.p + (scale + 1));
  return select<V>(v < -most, V{}, value);
}

template <class V>
inline V tanh(V v) {
  constexpr Scalar<V> limit = std::is_same_v<V, F32> ? Scalar<V>(9.02) : Scalar<V>(19.1);
  const V most = splat<V>(limit);
  const V bounded = select<V>(v > most, most, select<V>(v < -most, -most, v));
  const Reduced<V> e(bounded + bounded);
  const V scale = Reduced<V>::power(e.n);
  const V less = scale * e.p + (scale - 1);  // exp(2v) - 1, without cancellation near 0
  return less * reciprocal<V>(less + 2);
}

template <class V>
inline V abs(V v) {
  return select<V>(v < V{}, -v, v);
}

// 1, -1, or 0 at 0: the slope of abs.
template <class V>
inline V sign(V v) {
  return select<V>(v > V{}, splat<V>(1), select<V>(v < V{}, splat<V>(-1), V{}));
}

// yes where a > b, else no.
template <class V>
inline V where(V a, V b, V yes, V no) {
  return select<V>(a > b, yes, no);
}

// NaN where one of them is.
template <class V>
inline V maximum(V a, V b) {
  return select<V>(a > b, a, select<V>(a == a, b, a));
}

template <class V>
inline V minimum(V a, V b) {
  return select<V>(a < b, a, select<V>(a == a, b, a));
}

// The slope of maximum(a, b) by a: equal arguments share it, as torch lets them.
template <class V>
inline V above(V a, V b) {
  return select<V>(a > b, splat<V>(1), select<V>(a == b, splat<V>(Scalar<V>(0.5)), V{}));
}

// Lane by lane, by the C library or an instruction: few cells have them.
template <class V, class F>
inline V each_lane(V v, F f) {
  V found{};
  for (int n = 0; n < lanes<V>; ++n) found[n] = f(v[n]);
  return found;
}

template <class V>
inline V sqrt(V v) {
  return each_lane<V>(v, [](Scalar<V> x) {
    if constexpr (std::is_same_v<V, F32>) return __builtin_sqrtf(x);
    else return __builtin_sqrt(x);
  });
}

template <class V>
inline V floor(V v) {
  return each_lane<V>(v, [](Scalar<V> x) {
    if constexpr (std::is_same_v<V, F32>) return __builtin_floorf(x);
    else return __builtin_floor(x);
  });
}

template <class V>
inline V log(V v) {
  return each_lane<V>(v, [](Scalar<V> x) {
    if constexpr (std::is_same_v<V, F32>) return __builtin_logf(x);
    else return __builtin_log(x);
  });
}

template <class V>
inline V sin(V v) {
  return each_lane<V>(v, [](Scalar<V> x) {
    if constexpr (std::is_same_v<V, F32>) return __builtin_sinf(x);
    else return __builtin_sin(x);
  });
}

template <class V>
inline V cos(V v) {
  return each_lane<V>(v, [](Scalar<V> x) {
    if constexpr (std::is_same_v<V, F32>) return __builtin_cosf(x);
    else return __builtin_cos(x);
  });
}

template <class V>
inline V relu(V v) {
  return select<V>(v < V{}, V{}, v);
}

template <class V>
inline V positive(V v) {
  return select<V>(v > V{}, splat<V>(1), V{});
}

template <class V>
inline V inside(V v) {
  return select<V>((v > V{}) & (v < splat<V>(1)), splat<V>(1), V{});
}

template <class V>
inline V softsign(V v) {
  return v / (abs(v) + 1);
}

// 1 / (1 + |v|)^2.
template <class V>
inline V softsign_slope(V v) {
  const V root = splat<V>(1) / (abs(v) + 1);
  return root * root;
}

template <class V>
inline V hard_sigmoid(V v) {
  const V line = v * Scalar<V>(1.0 / 6.0) + Scalar<V>(0.5), one = splat<V>(1);
  return select<V>(line < V{}, V{}, select<V>(line > one, one, line));
}

// log(1 + e) for 0 <= e <= 1: 2 artanh(z), z = e / (2 + e) <= 1/3, by its series.
template <class V>
inline V log1p(V e) {
  constexpr int terms = std::is_same_v<V, F32> ? 7 : 16;
  const V z = e / (e + 2), square = z * z;
  V p = splat<V>(Scalar<V>(1.0 / (2 * terms + 1)));
#pragma GCC unroll 16
  for (int k = terms - 1; k > 0; --k) p = p * square + Scalar<V>(1.0 / (2 * k + 1));
  const V twice = z + z;
  return twice + twice * (square * p);
}

template <class V>
inline V softplus(V v) {
  return relu<V>(v) + log1p<V>(exp<V>(-abs<V>(v)));
}

// The slope where the value is y >= 0: 1 - exp(-y), without cancellation near 0.
template <class V>
inline V softplus_slope(V y) {
  const V most = splat<V>(-Exponent<V>::smallest);
  const Reduced<V> e(-select<V>(y > most, most, y));
  const V scale = Reduced<V>::power(e.n);
  return (splat<V>(1) - scale) - scale * e.p;
}

}  // namespace RECURRA_NAMESPACE
