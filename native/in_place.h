// Products with weights that are read where they are. A call of one step multiplies by each of them
// once, and putting all of them in order first would cost several times as much as the products.
// Sums run in the order of the packed products, so that the bits are theirs.
#pragma once
#include "packed.h"

namespace RECURRA_NAMESPACE {

// Rows of a call of one step below which the weights are read where they are. Above it halves of the
// rows go through the call by themselves, and both would read them (see parts.h).
constexpr long most_in_place = 11;

template <class V>
bool has_many_gates(const Plan<V>& plan) {
  bool many = plan.x_gates.size > most_at_once;
  for (const Segment<V>& segment : plan.forward)
    for (const Product& p : segment.products) many = many || p.gates > most_at_once;
  return many;
}

template <class T>
bool reads_in_place(const Call<T>& call) {
  return call.shape.steps == 1 && call.shape.batch <= most_in_place && !call.half && !call.symbols && !call.each;
}

// matrix * rows: some arguments at a time are put in order, in the first-level cache.
template <class V>
void multiply_in_place(const Panels<V>& p, Tiles<V> tiles, long first, int count, const Rows<Scalar<V>>& a,
                       Scalar<V>* c, long c_row, const Scalar<V>* start) {
  constexpr long W = lanes<V>, most = 24 * 1024 / long(sizeof(V));  // vectors of a piece
  alignas(64) Scalar<V> piece[most * W];
  const int vectors = count * p.gates;
  const long range = most / vectors / W * W;
  for (long k = 0; k < p.depth; k += range) {
    const long part = p.depth - k < range ? p.depth - k : range, panel = part * p.gates * W;
    const long ahead = k + part < p.depth ? part : count * W * p.columns - k;
    for (int n = 0; n < count; ++n)
      pack_panel<V>(p.in_place, p.units, p.gate, p.gates, p.depth, first + n, k, part, piece + n * panel, ahead);
    multiply<V>(tiles, vectors, {a.at + k, a.row, a.rows, a.step, a.times}, piece, p.gates, panel, part, c, c_row,
                k ? nullptr : start);
  }
}

// Some rows times `NG` vectors of columns of the matrix from `column` on: the transposed product.
template <class V, int MR, int NG>
void transposed_tile(const Panels<V>& p, const Scalar<V>* a, long a_row, long column, Scalar<V>* c, long c_row,
                     const Scalar<V>* start) {
  constexpr long W = lanes<V>;
  const long left = p.columns - column;
  const bool whole = left >= NG * W;
  V sum[MR][NG];
#pragma GCC unroll 4
  for (int m = 0; m < MR; ++m)
#pragma GCC unroll 8
    for (int n = 0; n < NG; ++n) sum[m][n] = load<V>((start ? start : c + m * c_row) + n * W);
  for (int j = 0; j < p.gates; ++j) {
    const Scalar<V>* row = p.in_place + p.gate[j] * p.units * p.columns + column;
    const Scalar<V>* value = a + j * padded(p.units);
    for (long unit = 0; unit < p.units; ++unit, row += p.columns, ++value) {
      V weight[NG];
#pragma GCC unroll 8
      for (int n = 0; n < NG; ++n) {
        if (whole) __builtin_prefetch(row + 8 * p.columns + n * W);
        weight[n] = whole ? load<V>(row + n * W) : load_left<V>(row + n * W, left - n * W);
      }
#pragma GCC unroll 4
      for (int m = 0; m < MR; ++m) {
        const V factor = splat<V>(value[m * a_row]);
#pragma GCC unroll 8
        for (int n = 0; n < NG; ++n) sum[m][n] += factor * weight[n];
      }
    }
  }
#pragma GCC unroll 4
  for (int m = 0; m < MR; ++m)
#pragma GCC unroll 8
    for (int n = 0; n < NG; ++n) store<V>(c + m * c_row + n * W, sum[m][n]);
}

template <class V, int MR, int NG>
void transposed_tiles(const Panels<V>& p, const Scalar<V>* a, long a_row, long column, int count, Scalar<V>* c,
                      long c_row, const Scalar<V>* start) {
  constexpr long W = lanes<V>;
  int n = 0;
  for (; n + NG <= count; n += NG)
    transposed_tile<V, MR, NG>(p, a, a_row, column + n * W, c + n * W, c_row, start ? start + n * W : nullptr);
  for (; n < count; ++n)
    transposed_tile<V, MR, 1>(p, a, a_row, column + n * W, c + n * W, c_row, start ? start + n * W : nullptr);
}

// transposed matrix * rows, for the panels [first, first + count) of its columns.
template <class V>
void transposed_in_place(const Panels<V>& p, long first, int count, const Scalar<V>* a, long a_row, long rows,
                         Scalar<V>* c, long c_row, const Scalar<V>* start) {
  const long column = first * lanes<V>;
  for (; rows >= 2; rows -= 2, a += 2 * a_row, c += 2 * c_row)
    transposed_tiles<V, 2, 4>(p, a, a_row, column, count, c, c_row, start);
  if (rows) transposed_tiles<V, 1, 8>(p, a, a_row, column, count, c, c_row, start);
}

}  // namespace RECURRA_NAMESPACE
