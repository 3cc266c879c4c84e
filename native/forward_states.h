// What the loop forward keeps of a call: the states over time, what backward needs, and the arguments of
// products that are copies. And what the loop itself does to a cell's values.
#pragma once
#include "staged.h"

namespace RECURRA_NAMESPACE {

template <class V>
class ForwardStates : protected Loop<V> {
 public:
  using T = Scalar<V>;

  // A state before step n of such a call: the rows of this part, of all.
  void read_state(int s, long n, T* to) const { copy_last(s, n, to + shape_.first * units(s), 0, 1); }
  void write_state(int s, long n, const T* from) {
    T* const at = states_[s].after(n - 1);
    for (long b = 0; b < batch_; ++b)
      std::memcpy(at + b * states_[s].row, from + (shape_.first + b) * units(s), size_t(units(s)) * sizeof(T));
    int i = 0;
    for (const Segment<V>& segment : plan_.forward)
      for (const Product& p : segment.products) {
        if (staged_[i] && p.state == s) staged_[i].write((n + 1) & 1, at, states_[s].row, 0, staged_[i].depth());
        ++i;
      }
  }

 protected:
  using Loop<V>::plan_, Loop<V>::call_, Loop<V>::shape_, Loop<V>::batch_, Loop<V>::whole_;
  using Loop<V>::panels, Loop<V>::time, Loop<V>::valid, Loop<V>::mixes, Loop<V>::units, Loop<V>::kept_share;
  using Loop<V>::resets;

  ForwardStates(const Plan<V>& plan, const Packed<V>& packed, const Call<T>& call, Arena& arena, int threads)
      : Loop<V>(plan, call), saved_(plan, call), restarts_(plan, call, arena, threads) {
    for (int s = 0; s < plan.states; ++s) place_state(s, arena);
    kept_ = call.saved ? call.saved : arena.take<T>(saved_.kept_step);
    stage_initial(packed, arena);
  }

  // What the units of a vector keep in a step, of row 0.
  T* kept(long n, long q) const {
    return kept_ + (call_.saved ? time(n) * saved_.kept_step : 0) + saved_.kept_at(q * lanes<V>);
  }

  // What the loop does to the values of a cell: zoneout, masks, the output, recurrent dropout.
  void finish(const Segment<V>& segment, long n, long q, int thread) {
    constexpr long W = lanes<V>;
    const unsigned char* here = valid(n);
    const long t = time(n);
    for (const int s : segment.states) {
      const States<V>& state = states_[s];
      T* now = state.after(n) + q * W;
      const Before<V> old = before(n, s, thread);
      for (long b = 0; (mixes(s) || here) && b < batch_; ++b) {
        V v = load<V>(old.at + b * old.row + q * W);
        if (!here || here[b]) {
          const V fresh = load<V>(fresh_[s].after(n) + b * fresh_[s].row + q * W);
          const V keep = mixes(s) ? kept_share(s, t, b, q) : V{};
          v = mixes(s) ? v * keep + fresh * (1 - keep) : fresh;
        }
        store<V>(now + b * state.row, v);
      }
      if (s == 0 && !output_is_state()) write_output(t, q, now, state.row, here);
    }
    if (here && call_.saved && segment.space == 0)
      for (long b = 0; b < batch_; ++b)
        for (int k = 0; k < plan_.kept && !here[b]; ++k)
          store<V>(kept(n, q) + b * saved_.kept_row + k * pad, V{});
  }

  void write_output(long t, long q, const T* now, long row, const unsigned char* here) {
    constexpr long W = lanes<V>;
    const long left = units_of(shape_, plan_.projected[0]) - q * W;
    if (left <= 0) return;
    for (long b = 0; b < batch_; ++b) {
      const V v = !here || here[b] ? load<V>(now + b * row) : V{};
      store_left<V>(call_.y + t * call_.y_step + b * call_.y_row + q * W, v, left);
    }
  }

  void stage_segment(const Segment<V>& written, long n, long first, int count) {
    constexpr long W = lanes<V>;
    int number = 0;
    for (const Segment<V>& segment : plan_.forward) {
      for (const Product& p : segment.products) {
        const int i = number++;
        if (!staged_[i]) continue;
        bool wrote = p.state < 0 && segment.level == written.level + 1;
        for (const int s : written.states) wrote = wrote || s == p.state;
        if (!wrote) continue;
        if (p.state >= 0) {
          const States<V>& state = states_[p.state];
          staged_[i].write(n & 1, state.after(n) + first * W, state.row, first * W, count * W);
          if (restarts_ && n + 1 < shape_.steps)
            staged_[i].write_start(n & 1, restarts_, resets(n + 1), p.state, first * W, count * W);
        } else {
          for (long q = first; q < first + count; ++q)
            staged_[i].write(0, kept(n, q) + p.slot * pad, saved_.kept_row, q * W, W);
        }
      }
    }
  }

  // The thread's units of a state as it was before step n, of `threads` threads.
  void copy_last(int s, long n, T* to, int thread, int threads) const {
    constexpr long W = lanes<V>;
    const long units = units_of(shape_, plan_.projected[s]), count = panels(plan_.projected[s]);
    const long first = share(count, thread, threads) * W;
    const long end = share(count, thread + 1, threads) * W, last = end < units ? end : units;
    for (long b = 0; b < batch_ && first < last; ++b)
      std::memcpy(to + b * units + first, states_[s].before(n) + b * states_[s].row_before(n) + first,
                  size_t(last - first) * sizeof(T));
  }

  // A state as step n reads it.
  Before<V> before(long n, int s, int thread) const { return restarts_.before(n, states_, s, thread); }

  const Saved<V> saved_;
  Restarts<V> restarts_;
  States<V> states_[max_states], fresh_[max_states];
  Staged<V>* staged_;
  bool any_staged_ = false;

 private:
  // Steps one by one may write all outputs to one place.
  bool output_is_state() const {
    return Saved<V>::output_is_state(plan_, call_) && (!call_.each || call_.y_step);
  }

  void place_state(int s, Arena& arena) {
    const long units = units_of(shape_, plan_.projected[s]), row = padded(units);
    States<V>& state = states_[s];
    state.steps = shape_.steps;
    state.reverse = call_.reverse;
    set_initial(state, call_.initial[s], batch_, units, arena);
    state.row = row;
    state.step = (call_.saved ? whole_ : batch_) * row;
    if (s == 0 && output_is_state()) {
      state.at = call_.y;
      state.step = call_.y_step;
      state.row = call_.y_row;
    } else if (call_.saved) {
      state.at = call_.saved + saved_.state[s];
    } else {
      // States that come from outside fill the units alone; what lies beyond must be a number.
      state.at = call_.each && row > units ? arena.zeros<T>(2 * batch_ * row) : arena.take<T>(2 * batch_ * row);
      state.in_turns = true;
    }
    fresh_[s] = state;
    if (!mixes(s)) return;
    fresh_[s].row = row;
    fresh_[s].step = call_.saved ? whole_ * row : 0;
    fresh_[s].in_turns = !call_.saved;
    fresh_[s].at = call_.saved ? call_.saved + saved_.fresh[s] : arena.take<T>(batch_ * row);
  }

  void stage_initial(const Packed<V>& packed, Arena& arena) {
    int n = 0;
    staged_ = arena.take<Staged<V>>(count_products(plan_.forward));
    for (const Segment<V>& segment : plan_.forward) {
      for (const Product& p : segment.products) {
        const Staged<V>& staged = staged_[n] = Staged<V>(p, packed.products[n], call_, arena);
        ++n;
        any_staged_ = any_staged_ || staged;
        if (!staged || p.state < 0) continue;
        const States<V>& s = states_[p.state];
        staged.write(1, s.initial, s.initial_row, 0, staged.depth());
        if (restarts_ && shape_.steps) staged.write_start(1, restarts_, resets(0), p.state, 0, staged.depth());
      }
    }
  }

  T* kept_ = nullptr;
};

}  // namespace RECURRA_NAMESPACE
