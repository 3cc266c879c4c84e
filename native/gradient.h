// Sums over rows and time: gradients of weights, as products of two tall matrices.
#pragma once
#include "rows.h"

namespace RECURRA_NAMESPACE {

// One operand of such a product: rows of a tall matrix, found by step and row of the batch.
template <class T>
struct Tall {
  const T* at = nullptr;      // read only
  long step = 0, row = 0;     // between steps of the loop, between rows of the batch
  const T* first = nullptr;   // what the first step reads instead, where `first_row` is not 0
  long first_row = 0;
  const T* mask = nullptr;    // (B, columns): factors, or null
  const unsigned char* valid = nullptr;  // (B) at step 0, `valid_step` on at the next: else zeros
  long valid_step = 0;
  const unsigned char* reset = nullptr;  // (B) at step 0, `reset_step` on at the next: rows that read
  long reset_step = 0;                   // `start` instead, `start_row` apart
  const T* start = nullptr;
  long start_row = 0;
};

// One row of it, of `columns` units.
template <class V>
class ArgumentRow {
 public:
  ArgumentRow(const Tall<Scalar<V>>& from, long number, long batch, long columns) : columns_(columns) {
    const long step = number / batch, row = number % batch;
    const bool first = step == 0 && from.first;
    at_ = first ? from.first + row * from.first_row : from.at + step * from.step + row * from.row;
    if (from.reset && from.reset[step * from.reset_step + row]) at_ = from.start + row * from.start_row;
    if (from.valid && !from.valid[step * from.valid_step + row]) at_ = nullptr;
    if (from.mask) mask_ = from.mask + row * columns;
  }

  // A vector from unit k on: zeros beyond the columns.
  V units(long k) const {
    if (!at_) return V{};
    const V v = load_left<V>(at_ + k, columns_ - k);
    return mask_ ? v * load_left<V>(mask_ + k, columns_ - k) : v;
  }

 private:
  const Scalar<V>* at_;
  const Scalar<V>* mask_ = nullptr;
  const long columns_;
};

// Whether `rows` rows of a weight's gradient, of `left`, follow one another in memory.
template <class T>
bool side_by_side(T* const* to, long rows, long left, long columns) {
  if (left < rows || !to[0]) return false;
  for (long i = 1; i < rows; ++i)
    if (to[i] != to[0] + i * columns) return false;
  return true;
}

template <class V>
class WeightGradient {
 public:
  using T = Scalar<V>;
  static constexpr int MR = most_rows(2);  // of the micro-kernel, on two vectors of columns
  static constexpr long range = 256;       // rows of time and batch that are in the cache at once
  static constexpr long group = 8;         // blocks of gradients packed at once: whole lines of each row

  // Elements of working memory for one thread.
  static long working(long columns) {
    return group * (range * MR + lanes<V>) + (range + 1) * (padded(columns) + lanes<V>) + (4 * MR + 2) * lanes<V>;
  }

  // to[unit][column] += sum over steps and batch of gradient[unit] * argument[column].
  //   gradient  (steps, B, units) `gradient_row` apart, rows of all steps in one sequence
  //             and `lanes` more elements readable
  //   to        (count) rows of `columns` elements, the thread's own; null: padding
  //   work      `working(columns)` elements
  //   write     the sums are written: what is in `to` is not read
  static void add(const T* gradient, long gradient_row, long count, const Tall<T>& argument,
                  long steps, long batch, long columns, T* work, T* const* to, bool write) {
    constexpr long W = lanes<V>;
    const long rows = steps * batch, panels = (columns + W - 1) / W;
    T* const a = work;
    T* const b = a + group * (range * MR + W);
    T* const c = b + (range + 1) * (panels + 1) * W;
    for (long k0 = 0; k0 < rows; k0 += range) {
      const long depth = rows - k0 < range ? rows - k0 : range, panel = (depth + 1) * W;
      pack_argument(argument, k0, depth, batch, columns, b, panel);
      for (long m = 0; m < count; m += group * MR) {
        pack_gradient(gradient + k0 * gradient_row + m, gradient_row, count - m, depth, a);
        const long blocks = count - m < group * MR ? (count - m + MR - 1) / MR : group;
        // One operand stays in the first-level cache while the other goes by: where the registers have
        // less of the first at a time, that is the second.
        for (long n = 0; n < (stays ? 1 : blocks); ++n)
          for (long p = 0; p < panels; p += 2)
            for (long i = stays ? 0 : n; i < (stays ? blocks : n + 1); ++i)
              add_block(a + i * (depth * MR + W), b + p * panel, panel, depth, to + m + i * MR, count - m - i * MR,
                        columns, p, c, write && k0 == 0);
      }
    }
  }

 private:
  // Whether two panels of the argument stay in the first-level cache for a group of blocks, or a block
  // for all panels.
  static constexpr bool stays = registers == 16;

  // One block of gradients times the panels p and p + 1, at b: `left` rows of the weight's gradient.
  static void add_block(const T* block, const T* b, long panel, long depth, T* const* to, long left, long columns,
                        long p, T* c, bool write) {
    constexpr long W = lanes<V>;
    const long rest = columns - p * W;
    if (rest >= 2 * W && side_by_side(to, MR, left, columns)) {
      tile<V, MR, 1, 2, true>(block, MR, b, panel, depth, to[0] + p * W, columns, write ? block : nullptr, block, 0);
      return;
    }
    std::memset(c, 0, MR * 2 * W * sizeof(T));
    if (rest > W) {
      tile<V, MR, 1, 2, true>(block, MR, b, panel, depth, c, 2 * W, nullptr, block, 0);
    } else {
      tile<V, MR, 1, 1, true>(block, MR, b, panel, depth, c, 2 * W, nullptr, block, 0);
    }
    for (long i = 0; i < MR && i < left; ++i)
      if (T* at = to[i]) add_row(at + p * W, c + i * 2 * W, rest, write);
  }

  static void add_row(T* to, const T* from, long left, bool write) {
    constexpr long W = lanes<V>;
    for (long n = 0; n < 2 && left > 0; ++n, left -= W, to += W, from += W) {
      if (write) {
        store_left<V>(to, load<V>(from), left);
      } else if (left >= W) {
        store<V>(to, load<V>(to) + load<V>(from));
      } else {
        store_part<V>(to, load_part<V>(to, left) + load<V>(from), left);
      }
    }
  }

  // b[panel][k][lane], panels a line more than their size apart: no two in one set of the cache
  static void pack_argument(const Tall<T>& argument, long k0, long depth, long batch, long columns, T* b,
                            long panel) {
    constexpr long W = lanes<V>;
    for (long k = 0; k < depth; ++k) {
      const ArgumentRow<V> from(argument, k0 + k, batch, columns);
      for (long p = 0; p * W < columns; ++p) store<V>(b + p * panel + k * W, from.units(p * W));
    }
  }

  // a[block][k][row of the block], for the first blocks of `count` rows: by whole vectors, what one
  // writes beyond its k the next overwrites.
  static void pack_gradient(const T* from, long from_row, long count, long depth, T* a) {
    const long blocks = (count + MR - 1) / MR, many = blocks < group ? blocks : group;
    for (long k = 0; k < depth; ++k, from += from_row)
      for (long n = 0; n < many; ++n)
        for (long i = 0; i < MR; i += lanes<V>)
          store<V>(a + n * (depth * MR + lanes<V>) + k * MR + i, load<V>(from + n * MR + i));
  }
};

}  // namespace RECURRA_NAMESPACE
