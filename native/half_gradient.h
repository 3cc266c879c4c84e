// Gradients of weights by products in bfloat16: as WeightGradient, on pairs of rows of time and batch.
#pragma once
#include "gradient.h"

namespace RECURRA_NAMESPACE {

template <class V>
class HalfGradient {
 public:
  using T = Scalar<V>;
  static constexpr long range = 512;                 // rows of time and batch at once
  static constexpr long a_row = range + half_step;   // odd in lines: no two units in one set of the cache
  static constexpr long panel = (range + 2) * 16;    // b's panels, likewise

  // Elements of working memory for one thread.
  static long working(long rows, long columns) {
    return (whole_blocks(rows) * a_row + padded(columns) * (range + 2)) / 2 + half_rows * 4 * lanes<V> + pad;
  }

  // As WeightGradient::add.
  static void add(const T* gradient, long gradient_row, long count, const Tall<T>& argument,
                  long steps, long batch, long columns, T* work, T* const* to) {
    if constexpr (has_half<V>) {
      constexpr long W = lanes<V>;
      const long rows = steps * batch, panels = (columns + W - 1) / W;
      T* const c = work;
      Half* const a = reinterpret_cast<Half*>(c + half_rows * 4 * W);
      Half* const b = a + whole_blocks(count) * a_row;
      for (long k0 = 0; k0 < rows; k0 += range) {
        const long depth = rows - k0 < range ? rows - k0 : range;
        pack_argument(argument, k0, depth, batch, columns, b);
        for (long m = 0; m < count; m += half_rows)
          to_half_columns(gradient + k0 * gradient_row + m, gradient_row, depth, a + m * a_row, a_row);
        for (long m = 0; m < count; m += half_rows) {
          const long block = count - m < half_rows ? count - m : half_rows;
          const bool even = side_by_side(to + m, half_rows, block, columns);
          for (long p = 0; p < panels; p += 4) {
            const int many = int(panels - p < 4 ? panels - p : 4);
            const bool whole = even && (p + many) * W <= columns;
            T* at = whole ? to[m] + p * W : c;
            const long row = whole ? columns : 4 * W;
            if (!whole) move<true>(to + m, block, p * W, columns, c);
            half_columns(a + m * a_row, a_row, block, b + p * panel, 32, panel, many, half_depth(depth), at,
                         row, nullptr);
            if (!whole) move<false>(to + m, block, p * W, columns, c);
          }
        }
      }
    }
  }

 private:
  // Four vectors of rows that are not side by side, or not whole: in, and out.
  template <bool In>
  static void move(T* const* to, long rows, long first, long columns, T* c) {
    const long left = columns - first, many = left < 4 * lanes<V> ? left : 4 * lanes<V>;
    for (long i = 0; i < rows; ++i, c += 4 * lanes<V>) {
      if (!to[i]) continue;
      std::memcpy(In ? c : to[i] + first, In ? to[i] + first : c, size_t(many) * sizeof(T));
    }
  }

  // b[panel][k / 2][lane][k % 2]
  static void pack_argument(const Tall<T>& argument, long k0, long depth, long batch, long columns, Half* b) {
    if constexpr (has_half<V>) {
      for (long k = 0; k < half_depth(depth); k += 2) {
        if (k >= depth) {
          for (long p = 0; p * 16 < columns; ++p) std::memset(b + p * panel + k * 16, 0, 64);
          continue;
        }
        const ArgumentRow<V> first(argument, k0 + k, batch, columns);
        if (k + 1 < depth) {
          const ArgumentRow<V> second(argument, k0 + k + 1, batch, columns);
          for (long p = 0; p * 16 < columns; ++p)
            store_pairs(b + p * panel + k * 16, first.units(p * 16), second.units(p * 16));
        } else {
          for (long p = 0; p * 16 < columns; ++p) store_pairs(b + p * panel + k * 16, first.units(p * 16), V{});
        }
      }
    }
  }
};

}  // namespace RECURRA_NAMESPACE
