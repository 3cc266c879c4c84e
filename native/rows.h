// Small things the loops forward and backward share: blocks of panels, row sums, runs of rows.
#pragma once
#include <cmath>

#include "in_place.h"
#include "pool.h"
#include "saved.h"

namespace RECURRA_NAMESPACE {

constexpr double norm_epsilon = 1e-5;  // as torch.nn.LayerNorm

// Kernels for panels of G gates, taken `panels` at a time.
template <class V, int G, int NG>
Tiles<V> tiles_for(int panels) {
  if constexpr (NG > 1) {
    if (panels < NG) return tiles_for<V, G, NG - 1>(panels);
  }
  return tiles<V, G, NG, false>();
}

template <class V>
Tiles<V> tiles_for(int gates, int panels) {
  switch (gates) {
    case 1: return tiles_for<V, 1, 8>(panels);
    case 2: return tiles_for<V, 2, 4>(panels);
    case 3: return tiles_for<V, 3, 3>(panels);
    case 4: return tiles_for<V, 4, 2>(panels);
    case 5: return tiles_for<V, 5, 1>(panels);
    case 6: return tiles_for<V, 6, 1>(panels);
    case 7: return tiles_for<V, 7, 1>(panels);
    default: return tiles_for<V, 8, 1>(panels);
  }
}

// The product with one panel of G gates, of which two or three are taken at a time: with 16 registers more
// rows share each weight that is read, and more sums are under way.
template <class V, int G, int First = 0>
void multiply_by_gates(const Rows<Scalar<V>>& a, const Scalar<V>* b, long depth, Scalar<V>* c, long c_row,
                       const Scalar<V>* start, long next) {
  if constexpr (First < G) {
    constexpr int many = G - First == 3 ? 3 : 2;
    multiply<V>(tiles<V, many, 1, false, G>(), many, a, b, G, 0, depth, c, c_row, start, next, First);
    multiply_by_gates<V, G, First + many>(a, b, depth, c, c_row, start, next);
  }
}

// Whether that is the way for so many rows; done here if so.
template <class V>
bool multiplied_by_gates(const Rows<Scalar<V>>& a, const Scalar<V>* b, int gates, long depth, Scalar<V>* c, long c_row,
                         const Scalar<V>* start, long next) {
  if (a.rows < 4) return false;
  switch (gates) {
    case 4: return multiply_by_gates<V, 4>(a, b, depth, c, c_row, start, next), true;
    case 5: return multiply_by_gates<V, 5>(a, b, depth, c, c_row, start, next), true;
    case 6: return multiply_by_gates<V, 6>(a, b, depth, c, c_row, start, next), true;
    case 7: return multiply_by_gates<V, 7>(a, b, depth, c, c_row, start, next), true;
    case 8: return multiply_by_gates<V, 8>(a, b, depth, c, c_row, start, next), true;
    default: return false;
  }
}

// How many panels to take at a time. One row alone needs more sums in flight to hide the latency.
inline int panels_at_once(int gates, long rows) {
  const int vectors = rows == 1 ? 9 : registers == 32 ? 4 : 2;
  return gates >= vectors ? 1 : gates == 1 && rows == 1 ? 8 : vectors / gates;
}

// The product with one panel of more gates than one tile has sums for: some of them at a time.
template <class V>
void multiply_many_gates(const Rows<Scalar<V>>& a, const Scalar<V>* b, int gates, long depth, Scalar<V>* c, long c_row,
                         const Scalar<V>* start) {
  for (int first = 0; first < gates;) {
    const int many = gates - first < 4 ? 1 : 4;
    multiply<V>(many == 4 ? tiles<V, 4, 1, false, 0>() : tiles<V, 1, 1, false, 0>(), many, a, b, gates,
                gates * lanes<V>, depth, c, c_row, start, 0, first);
    first += many;
  }
}

// The argument of a product: rows of units, and the same in bfloat16 where the panels are. In float
// it may be many times as many rows, `step` apart.
template <class V>
struct Argument {
  const Scalar<V>* at = nullptr;
  long row = 0;
  const Half* half = nullptr;
  long half_row = 0;
  long step = 0, times = 1;
};

// c = start (null: c) + a * `count` panels from number `first` on, for any number of rows, all times
// one after the other in c. `back`: the panels before them come next.
template <class V>
void multiply(const Panels<V>& p, long first, int count, const Argument<V>& a, long rows, Scalar<V>* c,
              long c_row, const Scalar<V>* start, bool back = false) {
  if constexpr (has_half<V>) {
    if (p.half) {
      const Half* at = p.half + first * p.half_stride;
      if (p.gates == 1)
        return half_multiply(a.half, a.half_row, rows, at, 32, p.half_stride, count, p.depth, c, c_row, start);
      for (int n = 0; n < count; ++n, at += p.half_stride, c += p.gates * 16) {
        half_multiply(a.half, a.half_row, rows, at, 32 * p.gates, 32, p.gates, p.depth, c, c_row, start);
        if (start) start += p.gates * 16;
      }
      return;
    }
  }
  if (p.in_place && p.transposed) return transposed_in_place(p, first, count, a.at, a.row, rows, c, c_row, start);
  if (p.in_place)
    return multiply_in_place<V>(p, tiles_for<V>(p.gates, count), first, count, {a.at, a.row, rows, a.step, a.times},
                                c, c_row, start);
  const Rows<Scalar<V>> from{a.at, a.row, rows, a.step, a.times};
  if (p.gates > most_at_once) {
    for (int n = 0; n < count; ++n, c += p.gates * lanes<V>)
      multiply_many_gates<V>(from, p.panel(first + n), p.gates, p.depth, c, c_row,
                             start ? start + n * p.gates * lanes<V> : nullptr);
    return;
  }
  const long next = (back ? -count : count) * p.stride;
  if constexpr (registers == 16)
    if (count == 1 && multiplied_by_gates<V>(from, p.panel(first), p.gates, p.depth, c, c_row, start, next)) return;
  multiply<V>(tiles_for<V>(p.gates, count), p.gates * count, from, p.panel(first), p.gates, p.stride, p.depth, c,
              c_row, start, next);
}

// Calls body(first, count) for even blocks of at most `most` of the panels [first, last), the last
// one first where `back`. Who goes through more panels than the cache holds, again and again, begins
// where he ended: that part is still there.
template <class Body>
void in_blocks(long first, long last, long most, bool back, Body body) {
  const long panels = last - first, blocks = (panels + most - 1) / most;
  for (long i = 0; i < blocks; ++i) {
    const long n = back ? blocks - 1 - i : i;
    const long from = first + panels * n / blocks, to = first + panels * (n + 1) / blocks;
    body(from, int(to - from));
  }
}

template <class Body>
void in_blocks(long first, long last, long most, Body body) {
  in_blocks(first, last, most, false, body);
}

// The products of `rows` rows of an input with the panels [first, last): c has them side by side.
//   half  (whole_blocks(rows), half_depth), zeros where the rows have no units; null: in float32
template <class V>
void input_table(const Panels<V>& p, Argument<V> x, long rows, long first, long last, Half* half,
                 Scalar<V>* c, long c_row) {
  if constexpr (has_half<V>)
    if (half) {
      to_half(x.at, x.row, nullptr, 0, rows, p.depth, half, half_depth(p.depth));
      x.half = half;
      x.half_row = half_depth(p.depth);
    }
  in_blocks(first, last, panels_at_once(p.gates, rows), [&](long n, int count) {
    multiply<V>(p, n, count, x, rows, c + (n - first) * p.gates * lanes<V>, c_row,
                p.start + n * p.gates * lanes<V>);
  });
}

// Calls body(first, count) for every run of rows that `valid` (B; null: all) has.
template <class Body>
void in_runs(const unsigned char* valid, long batch, Body body) {
  if (!valid) {
    if (batch) body(0, batch);
    return;
  }
  for (long b = 0; b < batch;) {
    long end = b;
    while (end < batch && valid[end]) ++end;
    if (end > b) body(b, end - b);
    b = end + 1;
  }
}

// Row sums of the vectors of a row become those of all its units, for rows side by side: a lane each.
// Of `Ports::moments` the mean and the reciprocal deviation (Chan et al. 1979), of `Ports::sums` means.
//   from   (vectors, 2, rows): values of neighbouring rows side by side, up to a whole vector of rows;
//          `slot` from one value to the next. `units` of them, `values` values to each.
//   to     (2, rows), `to_slot` from one value to the next
template <class V, bool Moments>
void join_rows(const Scalar<V>* from, long slot, long rows, long units, int values, Scalar<V>* to,
          long to_slot) {
  using T = Scalar<V>;
  constexpr long W = lanes<V>;
  const long vectors = (units + W - 1) / W;
  const T last = T(units - (vectors - 1) * W), each = 1 / T(units), part = 1 / T(units * values);
  for (long b = 0; b < rows; b += W, from += W, to += W) {
    V first{}, second{};
    if (Moments) {
      for (long n = 0; n < vectors - 1; ++n) first += load<V>(from + 2 * n * slot) * T(W);
      first = (first + load<V>(from + 2 * (vectors - 1) * slot) * last) * each;
      for (long n = 0; n < vectors; ++n) {
        const V apart = load<V>(from + 2 * n * slot) - first;
        const T real = n < vectors - 1 ? T(W) : last;
        second += load<V>(from + (2 * n + 1) * slot) + apart * apart * (real * T(values));
      }
      second = second * part + T(norm_epsilon);
    } else {
      for (long n = 0; n < vectors; ++n) {
        first += load<V>(from + 2 * n * slot);
        second += load<V>(from + (2 * n + 1) * slot);
      }
      first *= part;
      second *= part;
    }
    T means[W], seconds[W];
    store<V>(means, first);
    store<V>(seconds, second);
    const long many = rows - b < W ? rows - b : W;
    for (long lane = 0; lane < many; ++lane) {
      to[lane] = means[lane];
      to[to_slot + lane] = Moments ? 1 / std::sqrt(seconds[lane]) : seconds[lane];
    }
  }
}

// The largest of the units of a row, from those of its vectors: as `join_rows`.
template <class V>
void join_largest(const Scalar<V>* from, long slot, long rows, long units, Scalar<V>* to, long to_slot) {
  const long vectors = (units + lanes<V> - 1) / lanes<V>;
  for (long b = 0; b < rows; ++b) {
    Scalar<V> most = from[b];
    for (long n = 1; n < vectors; ++n)
      if (const Scalar<V> value = from[2 * n * slot + b]; !(value <= most)) most = value;
    to[b] = most;
    to[to_slot + b] = 0;
  }
}

// The row sums of a step, of all threads: [row sum][vector][2][b].
template <class V>
class RowSums {
 public:
  using T = Scalar<V>;

  RowSums(const Shape& shape, int count, Arena& arena)
      : shape_(shape), vectors_(padded(shape.hidden) / lanes<V>), slot_(padded(shape.batch)) {
    at_ = arena.zeros<T>(count * vectors_ * 2 * slot_);
  }

  // Points a segment whose first row sum is number `first` at vector n of row b.
  void point(Ports<V>& ports, const Segment<V>& segment, int first, long n, long b) const {
    for (int r = 0; r < segment.rows.size; ++r) ports.partial_at[r] = part(first + r, n) + b;
    ports.partial_slot = slot_;
  }

  // Joins what the segments of a level left, for every row, to to[2 * moment * to_slot + b].
  void join(const List<Segment<V>>& segments, int level, bool moments, T* to,
            long to_slot) const {
    int number = 0;
    for (const Segment<V>& segment : segments) {
      for (const RowSum& row : segment.rows) {
        const int r = number++;
        if (segment.level != level) continue;
        if (row.values == 0) {
          join_largest<V>(part(r, 0), slot_, shape_.batch, shape_.hidden, to + 2 * row.moment * to_slot, to_slot);
          continue;
        }
        const auto join_all = moments ? join_rows<V, true> : join_rows<V, false>;
        join_all(part(r, 0), slot_, shape_.batch, shape_.hidden, row.values,
                 to + 2 * row.moment * to_slot, to_slot);
      }
    }
  }

 private:
  T* part(long number, long n) const { return at_ + (number * vectors_ + n) * 2 * slot_; }

  const Shape shape_;
  const long vectors_, slot_;
  T* at_;
};

template <class V>
int count_rows(const List<Segment<V>>& segments) {
  int rows = 0;
  for (const Segment<V>& segment : segments) rows += segment.rows.size;
  return rows;
}

// A state over the steps. `n` counts steps in the order of the loop; -1 is before the first.
template <class V>
struct States {
  using T = Scalar<V>;
  T* at = nullptr;             // over time, or two in turns
  const T* initial = nullptr;  // (B, padded), `initial_row` apart
  long step = 0, row = 0, initial_row = 0, steps = 0;
  bool in_turns = false, reverse = false;

  T* after(long n) const {
    return at + (in_turns ? n & 1 : reverse ? steps - 1 - n : n) * step;
  }
  const T* before(long n) const { return n == 0 ? initial : after(n - 1); }
  long row_before(long n) const { return n == 0 ? initial_row : row; }
};

// A state's first value, padded: the caller's array where that is as good.
template <class V>
void set_initial(States<V>& s, const Scalar<V>* given, long batch, long units, Arena& arena) {
  using T = Scalar<V>;
  s.initial_row = padded(units);
  s.initial = given;
  if (given && units == padded(units)) return;
  T* copy = arena.zeros<T>(batch * padded(units));
  for (long b = 0; given && b < batch; ++b)
    std::memcpy(copy + b * padded(units), given + b * units, size_t(units) * sizeof(T));
  s.initial = copy;
}

// The states over time as a training call left them; and before zoneout, where that is apart.
template <class V>
void find_states(const Plan<V>& plan, const Call<Scalar<V>>& call, const Saved<V>& saved, Arena& arena,
                 States<V>* states, States<V>* fresh) {
  for (int s = 0; s < plan.states; ++s) {
    const long units = units_of(call.shape, plan.projected[s]), row = padded(units);
    States<V>& state = states[s];
    state.steps = call.shape.steps;
    state.reverse = call.reverse;
    set_initial(state, call.initial[s], call.shape.batch, units, arena);
    state.row = row;
    state.step = call.shape.rows() * row;
    if (saved.state[s] >= 0) {
      state.at = call.saved + saved.state[s];
    } else {
      state.at = call.y;
      state.step = call.y_step;
      state.row = call.y_row;
    }
    fresh[s] = state;
    if (saved.fresh[s] >= 0) {
      fresh[s].at = call.saved + saved.fresh[s];
      fresh[s].step = call.shape.rows() * row;
      fresh[s].row = row;
    }
  }
}

// What both loops know of a call, which may be of a part of the rows. `n` counts steps in the order of
// the forward loop.
template <class V>
class Loop {
 protected:
  Loop(const Plan<V>& plan, const Call<Scalar<V>>& call)
      : plan_(plan), call_(call), shape_(call.shape), batch_(call.shape.batch), whole_(call.shape.rows()) {}

  long panels(int space) const { return padded(units_of(shape_, space)) / lanes<V>; }
  long time(long n) const { return call_.reverse ? shape_.steps - 1 - n : n; }
  const unsigned char* valid(long n) const {
    return call_.valid ? call_.valid + time(n) * whole_ : nullptr;
  }
  // Which rows begin anew before step n, or null.
  const unsigned char* resets(long n) const {
    return call_.reset ? call_.reset + time(n) * whole_ : nullptr;
  }
  // Whether some of a state's old value stays.
  bool mixes(int s) const { return call_.keep[s] || call_.keep_rate[s] != 0; }
  long units(int s) const { return units_of(shape_, plan_.projected[s]); }
  // That share, at time t: of row b, the units from panel q on.
  V kept_share(int s, long t, long b, long q) const {
    constexpr long W = lanes<V>;
    if (!call_.keep[s]) return splat<V>(call_.keep_rate[s]);
    return load_left<V>(call_.keep[s] + (t * whole_ + b) * units(s) + q * W, units(s) - q * W);
  }

  const Plan<V>& plan_;
  const Call<Scalar<V>>& call_;
  const Shape shape_;
  const long batch_, whole_;  // rows of the call, and between two steps of arrays (T, B, .)
};

}  // namespace RECURRA_NAMESPACE
