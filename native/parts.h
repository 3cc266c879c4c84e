// Halves of a call's rows, each of which goes through all the steps by itself. Where each has threads
// of its own, these need not wait for the others', nor fetch what another core wrote; but all of them
// read all of the weights.
//
// Sums over rows (the gradients of parameters) are made by halves whatever the number of threads, so
// that they do not depend on it.
#pragma once
#include "packed.h"
#include "pool.h"

namespace RECURRA_NAMESPACE {

using recurra::most_parameters;

// Two, where each half has rows enough for the micro-kernel, and a core can keep all recurrent weights
// in its second-level cache, or has so many rows for each weight that it can wait for them; else one:
// all rows.
template <class V>
int row_parts(const Plan<V>& plan, const Call<Scalar<V>>& call) {
  const Shape& shape = call.shape;
  const long weights = plan.gates[weight_hh] * shape.hidden * shape.recurrent() + shape.projection * shape.hidden;
  const long size = call.half ? long(sizeof(Half)) : long(sizeof(Scalar<V>));
  const long most = (shape.batch >= 64 ? 4 : 1) * second_level_cache();
  return shape.batch >= 12 && weights * size <= most ? 2 : 1;
}

// The call for rows [first, first + count) alone.
template <class V>
Call<Scalar<V>> rows_of(const Plan<V>& plan, const Call<Scalar<V>>& call, long first, long count) {
  const auto move = [&](auto*& at, long row) { at = at ? at + first * row : at; };
  Call<Scalar<V>> part = call;
  part.shape.batch = count;
  part.shape.first = first;
  part.shape.whole = call.shape.batch;
  if (call.tokens) {
    move(part.tokens, 1);
  } else {
    move(part.x, call.x_row);
    move(part.dx, call.dx_row);
  }
  move(part.y, call.y_row);
  move(part.dy, call.dy_row);
  move(part.valid, 1);
  move(part.reset, 1);
  move(part.recurrent_mask, call.shape.recurrent());
  for (int s = 0; s < plan.states; ++s) {
    const long units = units_of(call.shape, plan.projected[s]);
    move(part.initial[s], units);
    move(part.start[s], units);
    move(part.keep[s], units);
    move(part.last[s], units);
    move(part.dlast[s], units);
    move(part.dinitial[s], units);
    move(part.dstart[s], units);
    move(part.dstate[s], padded(units));
  }
  return part;
}

// The call's rows in `count` parts, and which of its threads compute them: each part has threads of its
// own, or one thread takes all parts one after the other.
template <class V>
class Parts {
 public:
  using T = Scalar<V>;

  Parts(const Plan<V>& plan, const Call<T>& call, int count, int threads, Arena& arena)
      : count_(count), threads_(threads), calls_(arena.take<Call<T>>(count)) {
    for (int n = 0; n < count; ++n) {
      const long first = share(call.shape.batch, n, count), last = share(call.shape.batch, n + 1, count);
      new (&calls_[n]) Call<T>(count > 1 ? rows_of(plan, call, first, last - first) : call);
    }
  }

  int count() const { return count_; }
  Call<T>& call(int part) const { return calls_[part]; }

  // How many threads share a part, and how many groups of threads do not wait for one another.
  int sharing(int part) const { return threads_ < count_ ? 1 : int(share(threads_, part + 1, count_)) - first(part); }
  int groups() const { return threads_ < count_ ? 1 : count_; }

  // Calls body(part, thread of the part, threads of the part) for the parts of a thread.
  template <class Body>
  void of(int thread, Body body) const {
    for (int n = 0; n < count_; ++n) {
      const int within = threads_ < count_ ? 0 : thread - first(n);
      if (within >= 0 && within < sharing(n)) body(n, within, sharing(n));
    }
  }

  // The next piece of what a thread has to do: body(part, thread of the part) as long as that has more.
  template <class Body>
  bool advance(int thread, Body body) {
    if (threads_ >= count_) {
      bool more = false;
      of(thread, [&](int n, int within, int) { more = body(n, within); });
      return more;
    }
    if (!body(turn_, 0)) ++turn_;
    return turn_ < count_;
  }

 private:
  int first(int part) const { return int(share(threads_, part, count_)); }

  const int count_, threads_;
  int turn_ = 0;  // the part that the only thread is at
  Call<T>* const calls_;
};

// The sums of the parts of a call but the first, which adds to the gradients themselves.
template <class V>
class PartSums {
 public:
  using T = Scalar<V>;

  PartSums(const Plan<V>& plan, const Call<T>& call) : plan_(plan), call_(call) {}

  // Memory for the gradients of a part.
  void place(Call<T>& part, Arena& arena) const {
    for (int p = 0; p < most_parameters; ++p)
      if (call_.dparameter[p]) part.dparameter[p] = arena.take<T>(size(p));
  }

  // Zeros in it: the thread's share.
  void clear(const Call<T>& part, int thread, int threads) const {
    each(thread, threads, [&](int p, long first, long count) {
      std::memset(part.dparameter[p] + first, 0, size_t(count) * sizeof(T));
    });
  }

  // Whether the first chunk of steps writes all of the gradient of a matrix, in the place of adding to it.
  bool writes(int matrix) const {
    if (!call_.fresh || call_.half || !(call_.shape.steps && call_.shape.batch)) return false;
    if (matrix == weight_ih && call_.tokens) return false;
    bool gate[max_gates] = {};
    int rows = 0;
    for (const Gradient& g : plan_.gradients)
      for (int i = 0; g.matrix == matrix && i < g.gates; ++i) {
        if (gate[g.gate[i]]) return false;  // added to again
        gate[g.gate[i]] = true;
        ++rows;
      }
    return rows == (matrix == weight_hr ? 1 : plan_.gates[matrix]);
  }

  // Zeros in the gradients that are not written so: the thread's share.
  void clear_unwritten(const Call<T>& call, int thread, int threads) const {
    each(thread, threads, [&](int p, long first, long count) {
      for (int matrix = 0; matrix < recurra::matrices; ++matrix)
        if (call.written[matrix] && matrix_place[matrix] == p) return;
      std::memset(call.dparameter[p] + first, 0, size_t(count) * sizeof(T));
    });
  }

  // Adds a part's to the call's: the thread's share.
  void add(const Call<T>& part, int thread, int threads) const {
    each(thread, threads, [&](int p, long first, long count) {
      T* const to = call_.dparameter[p] + first;
      const T* const from = part.dparameter[p] + first;
      for (long k = 0; k < count; ++k) to[k] += from[k];
    });
  }

 private:
  // Calls body(parameter, first, count) for a thread's share of each gradient that is wanted.
  template <class Body>
  void each(int thread, int threads, Body body) const {
    for (int p = 0; p < most_parameters; ++p) {
      const long first = call_.dparameter[p] ? share(size(p), thread, threads) : 0;
      const long last = call_.dparameter[p] ? share(size(p), thread + 1, threads) : 0;
      if (last > first) body(p, first, last - first);
    }
  }

  // Elements of a parameter.
  long size(int p) const {
    const Shape& shape = call_.shape;
    if (p == matrix_place[weight_ih]) return plan_.gates[weight_ih] * shape.hidden * shape.inputs;
    if (p == matrix_place[weight_hh]) return plan_.gates[weight_hh] * shape.hidden * shape.recurrent();
    if (shape.projection && p == matrix_place[weight_hr]) return shape.projection * shape.hidden;
    for (const Bias& b : plan_.biases)
      if (b.parameter == p) return plan_.gates[p - 2] * shape.hidden;
    long parts = 1;  // of a vector by gates
    for (const Vectored& v : plan_.weights) {
      if (v.parameter == p && v.gate == single) return 1;
      if (v.parameter == p && v.gate >= parts) parts = v.gate + 1;
    }
    return parts * shape.hidden;
  }

  const Plan<V>& plan_;
  const Call<T>& call_;
};

}  // namespace RECURRA_NAMESPACE
