// Parts of a call's rows, for threads that each go through all the steps with rows of their own. They
// need not wait for one another, nor fetch states that another core wrote; but each of them reads all
// of the weights at every step.
//
// Sums over rows are made by groups, and those of the groups added in their order: so that a sum does
// not depend on how many threads there are. A part is some groups.
#pragma once
#include "packed.h"

namespace RECURRA_NAMESPACE {

// Groups of at least 6 rows, which is what the micro-kernel takes at once of an LSTM.
inline int row_groups(long batch) {
  int groups = 1;
  while (groups < 16 && batch >= 12 * groups) groups *= 2;
  return groups;
}

// The first row of a group; of the group after the last: the number of rows.
inline long first_of_group(long batch, int group) { return share(batch, group, row_groups(batch)); }

// Whether so many threads are better off with parts of the rows than with parts of the units: where
// each can keep all recurrent weights in its second-level cache.
template <class V>
bool rows_apart(const Plan<V>& plan, const Call<Scalar<V>>& call, int threads) {
  const Shape& shape = call.shape;
  const long weights = plan.gates * shape.hidden * shape.recurrent() + shape.projection * shape.hidden;
  const long size = call.half ? long(sizeof(Half)) : long(sizeof(Scalar<V>));
  return threads > 1 && row_groups(shape.batch) >= threads && weights * size <= second_level_cache();
}

// The call for rows [first, first + count) alone.
template <class V>
Call<Scalar<V>> rows_of(const Plan<V>& plan, const Call<Scalar<V>>& call, long first, long count) {
  using T = Scalar<V>;
  const auto move = [&](auto*& at, long row) { at = at ? at + first * row : at; };
  Call<T> part = call;
  part.shape.batch = count;
  part.shape.first = first;
  part.shape.whole = call.shape.batch;
  if (call.tokens) {
    move(part.tokens, 1);
  } else {
    move(part.x, call.x_row);
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

// The calls of `count` threads: of a part of the rows each, or one that they share.
template <class V>
class Parts {
 public:
  Parts(const Plan<V>& plan, const Call<Scalar<V>>& call, int threads, Arena& arena)
      : count_(rows_apart(plan, call, threads) ? threads : 1), calls_(arena.take<Call<Scalar<V>>>(count_)) {
    const long batch = call.shape.batch;
    const int groups = row_groups(batch);
    for (int n = 0; n < count_; ++n) {
      const long first = first_of_group(batch, int(share(groups, n, count_)));
      const long last = first_of_group(batch, int(share(groups, n + 1, count_)));
      new (&calls_[n]) Call<Scalar<V>>(count_ > 1 ? rows_of(plan, call, first, last - first) : call);
    }
  }

  int count() const { return count_; }
  const Call<Scalar<V>>& call(int part) const { return calls_[part]; }

  // The part of a thread of the call, its number among those who share it, and theirs.
  int of(int thread) const { return count_ > 1 ? thread : 0; }
  int within(int thread) const { return count_ > 1 ? 0 : thread; }
  int sharing(int threads) const { return count_ > 1 ? 1 : threads; }

 private:
  const int count_;
  Call<Scalar<V>>* const calls_;
};

}  // namespace RECURRA_NAMESPACE
