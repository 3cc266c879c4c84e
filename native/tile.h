// The micro-kernel: a block of rows times a few panels of weights, with the sums in registers.
//
// A panel holds the weights of `lanes<V>` neighbouring units for all G gates, argument by argument:
// panel[k][gate][lane]. Every sum runs over k in ascending order through one chain of fused
// multiply-adds, whatever the number of rows, panels or threads: a row's bits depend on nothing else.
#pragma once
#include <array>
#include <utility>

#include "simd.h"

namespace RECURRA_NAMESPACE {

constexpr int most_at_once = 8;  // gates of a panel that one tile takes

#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int registers = 32;
#else
constexpr int registers = 16;
#endif

// Rows for which the sums and the operands of one argument fit into the registers. Of 16 twelve have
// sums: with 7 rows of 2 vectors gcc reads the weights anew for every row, and the loads set the pace.
constexpr int most_rows(int vectors) {
  const int rows = registers == 32 ? (31 - vectors) / vectors : 12 / vectors;
  return rows > 14 ? 14 : rows < 1 ? 1 : rows;
}

// c[m][n] = start[n] + sum over k of a[m][k] * b[n][k].
//   a      (rows, k): row m at a + m * a_row; Packed: argument k at a + k * a_row,
//          rows side by side. Read only.
//   b      NG panels, `b_panel` elements apart, of which G of Step gates are taken. Read only. Step 0: one panel
//          of so many gates that an argument has `b_panel` elements.
//   depth  at least 1.
//   c      (rows, NG * G * lanes), row m at c + m * c_row. Must not overlap a or b.
//   start  (NG * G * lanes); null: what is in c. Packed: not read; null: the sum is added to c, else
//          it is written there, with the bits that adding to zeros has.
//   ahead  for each k the line there, `ahead_step` elements apart: brought to the second-level cache for
//          a later call
template <class V, int MR, int G, int NG, bool Packed, int Step = G>
void tile(const Scalar<V>* a, long a_row, const Scalar<V>* b, long b_panel, long depth,
          Scalar<V>* c, long c_row, const Scalar<V>* start, const Scalar<V>* ahead, long ahead_step) {
  constexpr int W = lanes<V>;
  if constexpr (Packed)  // its rows lie far apart: no cache expects them
#pragma GCC unroll 16
    for (int m = 0; m < MR; ++m)
#pragma GCC unroll 8
      for (int n = 0; n < NG * G; ++n) __builtin_prefetch(c + m * c_row + n * W, 1);
  V sum[MR][NG][G];
#pragma GCC unroll 16
  for (int m = 0; m < MR; ++m)
#pragma GCC unroll 8
    for (int n = 0; n < NG; ++n)
#pragma GCC unroll 8
      for (int g = 0; g < G; ++g)
        sum[m][n][g] = Packed ? V{} : load<V>((start ? start : c + m * c_row) + (n * G + g) * W);
  const long step = Step ? Step * W : b_panel;
  const Scalar<V>* const end = b + depth * step;
  // The condition at the end: with one at the start gcc keeps the sums twice.
  do {
    V weight[NG][G];
    if constexpr (!Packed) __builtin_prefetch(ahead, 0, 2);
#pragma GCC unroll 8
    for (int n = 0; n < NG; ++n)
#pragma GCC unroll 8
      for (int g = 0; g < G; ++g) weight[n][g] = load<V>(b + n * b_panel + g * W);
#pragma GCC unroll 16
    for (int m = 0; m < MR; ++m) {
      const V value = splat<V>(a[m * (Packed ? 1 : a_row)]);
#pragma GCC unroll 8
      for (int n = 0; n < NG; ++n)
#pragma GCC unroll 8
        for (int g = 0; g < G; ++g) sum[m][n][g] += value * weight[n][g];
    }
    a += Packed ? a_row : 1;
    b += step;
    ahead += ahead_step;
  } while (b != end);
#pragma GCC unroll 16
  for (int m = 0; m < MR; ++m)
#pragma GCC unroll 8
    for (int n = 0; n < NG; ++n)
#pragma GCC unroll 8
      for (int g = 0; g < G; ++g) {
        Scalar<V>* const to = c + m * c_row + (n * G + g) * W;
        store<V>(to, Packed ? (start ? V{} : load<V>(to)) + sum[m][n][g] : sum[m][n][g]);
      }
}

template <class V>
using Tile = void (*)(const Scalar<V>*, long, const Scalar<V>*, long, long, Scalar<V>*, long,
                      const Scalar<V>*, const Scalar<V>*, long);

template <class V, int G, int NG, bool Packed, int Step, int... M>
constexpr std::array<Tile<V>, sizeof...(M)> tiles_of(std::integer_sequence<int, M...>) {
  return {tile<V, M + 1, G, NG, Packed, Step>...};
}

// Kernels for one shape of panels, by rows.
template <class V>
struct Tiles {
  const Tile<V>* by_rows;
  int rows;
};

template <class V, int G, int NG, bool Packed, int Step = G>
Tiles<V> tiles() {
  static constexpr auto all =
      tiles_of<V, G, NG, Packed, Step>(std::make_integer_sequence<int, most_rows(G * NG)>());
  return {all.data(), most_rows(G * NG)};
}

// Elements of a panel's argument range that stay in the first-level cache beside the rest.
constexpr long panel_bytes = (registers == 32 ? 32 : 24) * 1024;

// What calls of `tile`, `calls` in all, are to fetch of `panels` panels, `panel` elements apart, of which each
// has `depth` arguments of `argument` elements: about as much each. A core can wait for some ten lines at a
// time. Asked for faster than they come, each of them would hold up the sums.
template <class T>
class Ahead {
 public:
  Ahead(const T* at, int panels, long panel, long depth, long argument, long calls)
      : at_(at), panel_(panel), calls_(calls > panels ? calls / panels : 1) {
    constexpr long line = 64 / long(sizeof(T));
    part_ = calls_ == 1 ? 0 : depth * argument / calls_;
    step_ = (argument + calls_ - 1) / calls_;
    if (step_ > line) step_ = line;
  }

  // Where the next call begins, and from there its way from one argument to the next.
  const T* next() {
    const T* const from = at_ + call_ * part_;
    if (++call_ == calls_) {
      call_ = 0;
      at_ += panel_;
    }
    return from;
  }
  long step() const { return step_; }

 private:
  const T* at_;
  const long panel_, calls_;  // calls for each panel
  long part_, step_, call_ = 0;
};

// Rows of a product: `rows` side by side, and as many again, `step` on, `times` in all.
template <class T>
struct Rows {
  const T* at;
  long row, rows, step, times;
};

// c = a * b for any number of rows: the panels' arguments in ranges, and the rows in even blocks.
// Pointers as in `tile`. Weights that the first-level cache does not hold are fetched while those
// before them are multiplied: `next` is the way from these panels to the ones that come after them.
// Fewer vectors than gates are those of one panel from gate `gate` on: b, c and start are the panel's.
template <class V>
void multiply(Tiles<V> tiles, int vectors, const Rows<Scalar<V>>& a, const Scalar<V>* b, int gates,
              long b_panel, long depth, Scalar<V>* c, long c_row, const Scalar<V>* start, long next = 0, int gate = 0) {
  if (a.rows == 0) return;
  const long each = (a.rows + tiles.rows - 1) / tiles.rows, blocks = each * a.times;
  const long range = blocks == 1 ? depth : panel_bytes / long(sizeof(V)) / vectors, argument = gates * lanes<V>;
  const long skipped = gate * lanes<V>;
  const int panels = vectors < gates ? 1 : vectors / gates;
  long k = 0;
  do {
    const long part = depth - k < range + range / 2 ? depth - k : range;
    const Scalar<V>* const here = b + k * argument;
    const Scalar<V>* const later = k + part < depth ? here + part * argument : b + next;
    Ahead<Scalar<V>> weights(later + skipped * part, panels, b_panel, part, vectors * lanes<V> / panels, blocks);
    for (long t = 0; t < a.times; ++t) {
      const Scalar<V>* const from = a.at + t * a.step + k;
      Scalar<V>* const to = c + t * a.rows * c_row + skipped;
      for (long n = 0, m = 0; n < each; ++n) {
        const long end = a.rows * (n + 1) / each;
        // What is read once only the processor fetches ahead by itself, in its own order.
        const Scalar<V>* const ahead = blocks > 1 ? weights.next() : here;
        tiles.by_rows[end - m - 1](from + m * a.row, a.row, here + skipped, b_panel, part, to + m * c_row, c_row,
                                   k || !start ? nullptr : start + skipped, ahead,
                                   blocks > 1 ? weights.step() : 0);
        m = end;
      }
    }
    k += part;
  } while (k < depth);
}

}  // namespace RECURRA_NAMESPACE
