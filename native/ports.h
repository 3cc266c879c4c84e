// What a pointwise segment of a cell reads and writes, for some rows and one vector of units.
//
// A segment sees row b of the batch and `lanes<V>` neighbouring units of it; the loop over time
// (loop.h) points it at them. All pointers are to the first row and the first of the units; `_row`
// is the distance to the next row, `_slot` to the next value of the same unit, in elements. Memory
// of units is padded to whole vectors, so a segment never has to stop early.
#pragma once
#include <initializer_list>
#include <limits>

#include "functions.h"
#include "sizes.h"

namespace RECURRA_NAMESPACE {

using recurra::max_rows;
using recurra::max_states;

template <class V>
struct Ports {
  using T = Scalar<V>;

  long rows = 0, hidden = 0;  // hidden: units of a layer

  // Products, read only. Gate g of the input's: x + g * lanes. Value j of the segment's: u + j * lanes.
  // Row b has the row x_index[b] of the input's products, or row b where there is no index.
  const T* x_at = nullptr;
  long x_row = 0;
  const int64_t* x_index = nullptr;
  const T* u_at = nullptr;
  long u_row = 0, u_slot = 0;

  // States before the step (read only) and after it. `fresh` may be the memory of `old`: a segment
  // reads a unit's old value before it writes the new one, or never reads it again.
  const T* old_at[max_states] = {};
  long old_row[max_states] = {};
  T* fresh_at[max_states] = {};
  long fresh_row[max_states] = {};

  // Values that a later segment or the backward pass reads. Owned by the caller of the loop.
  T* kept_at = nullptr;
  long kept_row = 0, kept_slot = 0;

  // Vectors of parameters (read only), and 1 for each lane that is a unit, 0 for padding.
  const T* weight_at = nullptr;
  long weight_slot = 0;
  const T* real = nullptr;

  // Side by side for neighbouring rows, `_slot` from one value to the next: mean and reciprocal
  // deviation of every `moments`; and per vector of units the contributions from which the loop makes
  // them (mean and squared deviation), or the two sums of the backward pass.
  const T* stats_at = nullptr;
  long stats_slot = 0;
  const T* sums_at = nullptr;
  long sums_slot = 0;
  T* partial_at[max_rows] = {};
  long partial_slot = 0;

  // Backward. `grad` is dL/d(new state), `direct` the part of dL/d(old state) without products (it
  // may be the memory `grad` was gathered from), `slot` what the segment leaves to products and
  // later segments; `dweight` and `dbias` (by slot) are sums over rows and time.
  const T* grad_at[max_states] = {};
  long grad_row = 0;
  T* direct_at[max_states] = {};
  long direct_row[max_states] = {};
  T* slot_at = nullptr;
  long slot_row = 0, slot_slot = 0;
  T* dweight_at = nullptr;
  T* dbias_at = nullptr;
  long sum_slot = 0;

  V x(long b, int g) const {
    return load<V>(x_at + (x_index ? x_index[b] : b) * x_row + g * lanes<V>);
  }
  V u(long b, int j) const { return load<V>(u_at + b * u_row + j * u_slot); }
  V old(long b, int s) const { return load<V>(old_at[s] + b * old_row[s]); }
  V fresh(long b, int s) const { return load<V>(fresh_at[s] + b * fresh_row[s]); }
  V kept(long b, int k) const { return load<V>(kept_at + b * kept_row + k * kept_slot); }
  V weight(int k) const { return load<V>(weight_at + k * weight_slot); }
  V grad(long b, int s) const { return load<V>(grad_at[s] + b * grad_row); }
  V slot(long b, int k) const { return load<V>(slot_at + b * slot_row + k * slot_slot); }

  void set_fresh(long b, int s, V v) const { store<V>(fresh_at[s] + b * fresh_row[s], v); }
  void keep(long b, int k, V v) const { store<V>(kept_at + b * kept_row + k * kept_slot, v); }
  // Rows of slots lie too far apart for the processor to expect the next: it is fetched beforehand,
  // but for rows that may be another thread's.
  void set_slot(long b, int k, V v) const {
    T* const to = slot_at + b * slot_row + k * slot_slot;
    __builtin_prefetch(to + (b + 4 < rows ? 4 * slot_row : 0), 1);
    store<V>(to, v);
  }
  void set_direct(long b, int s, V v) const { store<V>(direct_at[s] + b * direct_row[s], v); }
  void add_weight(int k, V v) const { add(dweight_at + k * sum_slot, v); }
  void add_bias(int k, V v) const { add(dbias_at + k * sum_slot, v); }

  // The value, 0 in padding: there a quotient or a logarithm may be no number, which zeros of a
  // product's padding would not put out.
  V units(V v) const { return select<V>(load<V>(real) > V{}, v, V{}); }

  V normalize(long b, int m, V v) const {
    const T* at = stats_at + 2 * m * stats_slot + b;
    return (v - splat<V>(at[0])) * splat<V>(at[stats_slot]);
  }

  // Of a vector alone, the same for all its units: mean (of `largest`, the largest), sum.
  V row_mean(long b, int m) const { return splat<V>(stats_at[2 * m * stats_slot + b]); }
  V row_total(long b, int m) const { return splat<V>(stats_at[2 * m * stats_slot + b] * T(hidden)); }
  // dL/dv of the mean and of the sum, of whose gradients there are the row's means.
  V mean_gradient(long b, int m) const { return splat<V>(sums_at[2 * m * sums_slot + b]); }
  V total_gradient(long b, int m) const { return splat<V>(sums_at[2 * m * sums_slot + b] * T(hidden)); }

  // dL/dv from dL/dx (x the normalized v), x, and the row's means of dL/dx and dL/dx * x.
  V denormalize(long b, int m, V gradient, V x) const {
    const T* at = sums_at + 2 * m * sums_slot + b;
    const T scale = stats_at[(2 * m + 1) * stats_slot + b];
    return (gradient - splat<V>(at[0]) - x * splat<V>(at[sums_slot])) * splat<V>(scale);
  }

  // The mean of these units and the sum of their squared deviations from it.
  void moments(long b, int r, std::initializer_list<V> values) const {
    moments(b, r, values.begin(), int(values.size()));
  }
  void moments(long b, int r, const V* values, int count) const {
    const V mask = load<V>(real), share = splat<V>(1) / (total_in_all<V>(mask) * T(count));
    V sum{}, squares{};
    for (int n = 0; n < count; ++n) sum += values[n] * mask;
    const V mean = total_in_all<V>(sum) * share;
    for (int n = 0; n < count; ++n) {
      const V apart = (values[n] - mean) * mask;
      squares += apart * apart;
    }
    T* to = partial_at[r] + b;
    to[0] = mean[0];
    to[partial_slot] = total<V>(squares);
  }

  // The largest of these units.
  void largest(long b, int r, std::initializer_list<V> values) const {
    const V mask = load<V>(real);
    T most = -std::numeric_limits<T>::infinity();
    for (int n = 0; n < lanes<V>; ++n) {
      const T value = (*values.begin())[n];
      if (mask[n] > 0 && !(value <= most)) most = value;  // no number wins
    }
    T* to = partial_at[r] + b;
    to[0] = most;
    to[partial_slot] = 0;
  }

  // The sums of dL/dx and of dL/dx * x: first all gradients, then all x.
  void sums(long b, int r, std::initializer_list<V> values) const {
    const V mask = load<V>(real);
    const size_t half = values.size() / 2;
    const V* v = values.begin();
    V first{}, second{};
    for (size_t n = 0; n < half; ++n) {
      first += v[n] * mask;
      second += v[n] * v[half + n] * mask;
    }
    T* to = partial_at[r] + b;
    to[0] = total<V>(first);
    to[partial_slot] = total<V>(second);
  }

 private:
  static void add(T* to, V v) { store<V>(to, load<V>(to) + v); }
};

}  // namespace RECURRA_NAMESPACE
