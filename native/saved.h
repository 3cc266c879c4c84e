// Where the forward pass leaves what the backward pass needs: one array, in parts. The same for
// every instruction set.
//
//   kept    (T, panels, B, kept, pad)  values of the steps, by time: as a thread comes to them
//   state   (T, B, padded R or H)      per state, after the step; not for the output where `y` serves
//   fresh   (T, B, padded R or H)      per state, before zoneout mixes the old state in; only then
//   stats   (T, moments, 2, B)         mean and reciprocal deviation
#pragma once
#include "packed.h"

namespace RECURRA_NAMESPACE {

template <class V>
struct Saved {
  using T = Scalar<V>;

  long kept_step = 0, kept_panel = 0, kept_row = 0;
  long state[max_states] = {}, fresh[max_states] = {};  // -1: no such part
  long stats = 0, size = 0;

  Saved(const Plan<V>& plan, const Call<T>& call) {
    const Shape& shape = call.shape;
    const long cells = shape.steps * shape.rows();
    kept_row = plan.kept * pad;
    first_ = shape.first;
    kept_panel = shape.rows() * kept_row;
    kept_step = padded(shape.hidden) / pad * kept_panel;
    size = shape.steps * kept_step;
    for (int s = 0; s < plan.states; ++s) {
      const long row = padded(units_of(shape, plan.projected[s])), part = cells * row;
      state[s] = s == 0 && output_is_state(plan, call) ? -1 : size + first_ * row;
      if (state[s] >= 0) size += part;
      fresh[s] = call.keep[s] || call.keep_rate[s] != 0 ? size + first_ * row : -1;
      if (fresh[s] >= 0) size += part;
    }
    stats = size + first_;
    size += cells * plan.moments * 2;
  }

  // Where row 0 of the call has the first value kept of a unit, in a step.
  long kept_at(long unit) const { return unit / pad * kept_panel + first_ * kept_row + unit % pad; }

  // Whether `y` holds the first state as the loop can read it: unpadded, and never blanked.
  static bool output_is_state(const Plan<V>& plan, const Call<T>& call) {
    return units_of(call.shape, plan.projected[0]) % pad == 0 && !call.valid;
  }

 private:
  long first_ = 0;
};

}  // namespace RECURRA_NAMESPACE
