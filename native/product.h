// Products of matrices whose rows stand for themselves: attention, and whatever else multiplies two
// activations. Weights that stay have panels (see head.h).
//
// An element's sum runs over its terms in one order, whatever the other rows and columns are.
#pragma once
#include "product_call.h"
#include "simd.h"

namespace RECURRA_NAMESPACE {

using recurra::Matrices;
using recurra::ProductKernels;

// MR rows and NV vectors of columns of c = a b, where b's rows lie along its columns. `left`: columns
// from here on; fewer than NV vectors only where NV is 1. Terms are added in ascending order, so that
// further terms of zero change nothing.
template <class V, int MR, int NV>
void rows_tile(const Matrices<Scalar<V>>& m, const Scalar<V>* a, const Scalar<V>* b, Scalar<V>* c, long left) {
  constexpr int W = lanes<V>;
  V sum[MR][NV] = {};
  for (long k = 0; k < m.depth; ++k, b += m.b_row) {
    V value[NV];
#pragma GCC unroll 8
    for (int n = 0; n < NV; ++n) value[n] = NV == 1 ? load_left<V>(b, left) : load<V>(b + n * W);
#pragma GCC unroll 8
    for (int r = 0; r < MR; ++r) {
      const V factor = splat<V>(a[r * m.a_row + k]);
#pragma GCC unroll 8
      for (int n = 0; n < NV; ++n) sum[r][n] += factor * value[n];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < MR; ++r)
#pragma GCC unroll 8
    for (int n = 0; n < NV; ++n) store_left<V>(c + r * m.c_row + n * W, sum[r][n], left - n * W);
}

template <class V, int MR>
void rows_block(const Matrices<Scalar<V>>& m, const Scalar<V>* a, const Scalar<V>* b, Scalar<V>* c) {
  constexpr int W = lanes<V>;
  long n = 0;
  for (; n + 4 * W <= m.columns; n += 4 * W) rows_tile<V, MR, 4>(m, a, b + n, c + n, 4 * W);
  for (; n + 2 * W <= m.columns; n += 2 * W) rows_tile<V, MR, 2>(m, a, b + n, c + n, 2 * W);
  for (; n < m.columns; n += W) rows_tile<V, MR, 1>(m, a, b + n, c + n, m.columns - n);
}

// MR elements of a row of c = a b, where b's columns lie along its rows: a lane sums every so manieth
// term, and the lanes are added at the end.
template <class V, int MR>
void dots_tile(const Matrices<Scalar<V>>& m, const Scalar<V>* a, const Scalar<V>* b, Scalar<V>* c) {
  constexpr int W = lanes<V>;
  V sum[MR] = {};
  long k = 0;
  for (; k + W <= m.depth; k += W) {
    const V value = load<V>(a + k);
#pragma GCC unroll 8
    for (int n = 0; n < MR; ++n) sum[n] += value * load<V>(b + n * m.b_column + k);
  }
  if (k < m.depth) {
    const V value = load_part<V>(a + k, m.depth - k);
#pragma GCC unroll 8
    for (int n = 0; n < MR; ++n) sum[n] += value * load_part<V>(b + n * m.b_column + k, m.depth - k);
  }
  for (int n = 0; n < MR; ++n) c[n] = total(sum[n]);
}

// c = a b: a (rows, depth) with its terms side by side, c (rows, columns) likewise, b by its strides, one
// of which is 1.
template <class V>
void product(const Matrices<Scalar<V>>& m, const Scalar<V>* a, const Scalar<V>* b, Scalar<V>* c) {
  if (m.b_column == 1) {
    long r = 0;
    for (; r + 4 <= m.rows; r += 4) rows_block<V, 4>(m, a + r * m.a_row, b, c + r * m.c_row);
    for (; r < m.rows; ++r) rows_block<V, 1>(m, a + r * m.a_row, b, c + r * m.c_row);
    return;
  }
  for (long r = 0; r < m.rows; ++r) {
    long n = 0;
    for (; n + 4 <= m.columns; n += 4)
      dots_tile<V, 4>(m, a + r * m.a_row, b + n * m.b_column, c + r * m.c_row + n);
    for (; n < m.columns; ++n) dots_tile<V, 1>(m, a + r * m.a_row, b + n * m.b_column, c + r * m.c_row + n);
  }
}

// The matrices [first, last) of a call.
template <class V>
void products(const Matrices<Scalar<V>>& m, long first, long last) {
  for (long n = first; n < last; ++n) product<V>(m, m.a + n * m.a_step, m.b + n * m.b_step, m.c + n * m.c_step);
}

}  // namespace RECURRA_NAMESPACE
