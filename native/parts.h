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

using recurra::Barrier;

// Two, where each half has rows enough for the micro-kernel, and a core can keep all recurrent weights
// in its second-level cache; else one: all rows.
template <class V>
int row_parts(const Plan<V>& plan, const Call<Scalar<V>>& call) {
  const Shape& shape = call.shape;
  const long weights = plan.gates * shape.hidden * shape.recurrent() + shape.projection * shape.hidden;
  const long size = call.half ? long(sizeof(Half)) : long(sizeof(Scalar<V>));
  return shape.batch >= 12 && weights * size <= second_level_cache() ? 2 : 1;
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
  move(part.recurrent_mask, call.shape.recurrent());
  for (int s = 0; s < plan.states; ++s) {
    const long units = units_of(call.shape, plan.projected[s]);
    move(part.initial[s], units);
    move(part.keep[s], units);
    move(part.last[s], units);
    move(part.dlast[s], units);
    move(part.dinitial[s], units);
    move(part.dstate[s], padded(units));
  }
  return part;
}

// `count` parts of a call, and which of its threads go through them: each part has threads of its own,
// or fewer threads than parts take one after the other.
template <class V>
class Parts {
 public:
  using T = Scalar<V>;

  Parts(const Plan<V>& plan, const Call<T>& call, int count, int threads, Arena& arena)
      : count_(count), threads_(threads), calls_(arena.take<Call<T>>(count)), barriers_(arena.take<Barrier>(count)) {
    for (int n = 0; n < count; ++n) {
      const long first = share(call.shape.batch, n, count), last = share(call.shape.batch, n + 1, count);
      new (&calls_[n]) Call<T>(count > 1 ? rows_of(plan, call, first, last - first) : call);
      new (&barriers_[n]) Barrier(sharing(n));
    }
  }

  Call<T>& call(int part) const { return calls_[part]; }

  // How many threads share a part.
  int sharing(int part) const { return threads_ < count_ ? 1 : int(share(threads_, part + 1, count_)) - first(part); }

  // Calls body(part, thread of the part, threads of the part, barrier) for the parts of a thread.
  template <class Body>
  void of(int thread, Body body) const {
    for (int n = 0; n < count_; ++n) {
      const int within = threads_ < count_ ? (n % threads_ == thread ? 0 : -1) : thread - first(n);
      if (within >= 0 && within < sharing(n)) body(n, within, sharing(n), barriers_[n]);
    }
  }

 private:
  int first(int part) const { return int(share(threads_, part, count_)); }

  const int count_, threads_;
  Call<T>* const calls_;
  Barrier* const barriers_;
};

}  // namespace RECURRA_NAMESPACE
