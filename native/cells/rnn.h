// rnn: generated from the equations of the cell 'rnn'. Do not edit.
#pragma once
#include "plan.h"

namespace RECURRA_NAMESPACE::rnn {

template <class V, bool Keep>
void forward_0(const Ports<V>& ports) {
  const Ports<V> p = ports;
  for (long b = 0; b < p.rows; ++b) {
    const V h = tanh(p.x(b, 0) + p.u(b, 0));
    p.set_fresh(b, 0, h);
  }
}

template <class V>
void backward_0(const Ports<V>& ports) {
  const Ports<V> p = ports;
  V d0 = V{};
  for (long b = 0; b < p.rows; ++b) {
    const V h = p.fresh(b, 0);
    const V da_h = p.grad(b, 0) * (splat<V>(1.0) - h * h);
    p.set_slot(b, 0, da_h);
    d0 += da_h;
  }
  p.add_bias(0, d0);
}

template <class V>
inline const Plan<V> plan = {
    /* name */ "rnn",
    /* states */ 1,
    /* gates */ {1, 1},
    /* x_gates */ {1, {0}},
    /* kept_names */ {nullptr},
    /* kept */ 0,
    /* slots */ {1, 0},
    /* moments */ 0,
    /* x_moments */ -1,
    /* normed */ {0, 0},
    /* projected */ {0},
    /* direct */ {0},
    /* weights */ {0, {}},
    /* biases */ {2, {{2, 0, 0}, {3, 0, 0}}},
    /* forward */ {1, {{0, 0, {1, {{1, 0, -1, 1, {0}}}}, {0, {}}, {1, {0}}, forward_0<V, false>, forward_0<V, true>}}},
    /* backward */ {1, {{0, 0, {0, {}}, {0, {}}, {1, {0}}, backward_0<V>, nullptr}}},
    /* incoming */ {1, {{1, 0, 0, 1, {0}}}},
    /* gradients */ {2, {{0, -1, -1, 0, 1, {0}}, {1, 0, -1, 0, 1, {0}}}},
};

}  // namespace RECURRA_NAMESPACE::rnn
