// Rows that begin anew: before some steps a row's states are replaced by its start. Arrays over time
// keep what the steps computed, so that a step with such rows reads a copy of all rows, one of each
// thread: much less than the step's products read.
#pragma once
#include "rows.h"

namespace RECURRA_NAMESPACE {

// The rows of a state before a step, `row` apart.
template <class V>
struct Before {
  const Scalar<V>* at;
  long row;
};

template <class V>
class Restarts : Loop<V> {
  using Loop<V>::plan_, Loop<V>::call_, Loop<V>::batch_, Loop<V>::units;

 public:
  using T = Scalar<V>;
  using Loop<V>::resets;

  Restarts(const Plan<V>& plan, const Call<T>& call, Arena& arena, int threads) : Loop<V>(plan, call) {
    if (!call.reset) return;
    for (int s = 0; s < plan.states; ++s) {
      States<V> state;
      set_initial(state, call.start[s], batch_, units(s), arena);
      start_[s] = state.initial;
    }
    own_ = arena.take<Own>(threads);
    for (int thread = 0; thread < threads; ++thread) {
      own_[thread].some = false;
      for (int s = 0; s < plan.states; ++s) own_[thread].at[s] = arena.take<T>(batch_ * padded(units(s)));
    }
  }

  explicit operator bool() const { return own_; }

  // What a row starts from: (B, padded), `start_row` apart.
  const T* start(int s) const { return start_[s]; }
  long start_row(int s) const { return padded(units(s)); }

  // Makes a thread's copies for step n, when the states before it are there. Each step begins with this.
  void enter(long n, const States<V>* states, int thread) {
    if (!own_) return;
    const unsigned char* rows = resets(n);
    unsigned char some = 0;
    for (long b = 0; b < batch_; ++b) some |= rows[b];
    Own& own = own_[thread];
    own.some = some;
    for (int s = 0; some && s < plan_.states; ++s) {
      const long row = start_row(s), from_row = states[s].row_before(n);
      const T* const from = states[s].before(n);
      for (long b = 0; b < batch_; ++b)
        std::memcpy(own.at[s] + b * row, rows[b] ? start_[s] + b * row : from + b * from_row, size_t(row) * sizeof(T));
    }
  }

  // State number s as step n reads it.
  Before<V> before(long n, const States<V>* states, int s, int thread) const {
    if (own_ && own_[thread].some) return {own_[thread].at[s], start_row(s)};
    return {states[s].before(n), states[s].row_before(n)};
  }

 private:
  struct Own {  // of one thread
    bool some;  // whether a row begins anew before the step it is at
    T* at[max_states];
  };

  const T* start_[max_states] = {};
  Own* own_ = nullptr;
};

}  // namespace RECURRA_NAMESPACE
