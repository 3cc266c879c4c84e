// gru: generated from the equations of the cell 'gru'. Do not edit.
#pragma once
#include "plan.h"

namespace RECURRA_NAMESPACE::gru {

template <class V, bool Keep>
void forward_0(const Ports<V>& ports) {
  const Ports<V> p = ports;
  for (long b = 0; b < p.rows; ++b) {
    const V v6 = p.u(b, 2);
    const V r = sigmoid(p.x(b, 0) + p.u(b, 0));
    const V z = sigmoid(p.x(b, 1) + p.u(b, 1));
    const V n = tanh(p.x(b, 2) + r * v6);
    const V h = (splat<V>(1.0) - z) * n + z * p.old(b, 0);
    if constexpr (Keep) p.keep(b, 0, v6);
    if constexpr (Keep) p.keep(b, 1, r);
    if constexpr (Keep) p.keep(b, 2, z);
    if constexpr (Keep) p.keep(b, 3, n);
    p.set_fresh(b, 0, h);
  }
}

template <class V>
void backward_0(const Ports<V>& ports) {
  const Ports<V> p = ports;
  V d0 = V{}, d1 = V{}, d2 = V{}, d3 = V{};
  for (long b = 0; b < p.rows; ++b) {
    const V r = p.kept(b, 1);
    const V z = p.kept(b, 2);
    const V n = p.kept(b, 3);
    const V v15 = splat<V>(1.0) - z;
    const V d_h = p.grad(b, 0);
    const V v21 = d_h * z;
    const V da_n = d_h * v15 * (splat<V>(1.0) - n * n);
    const V du_n = da_n * r;
    const V da_z = (d_h * p.old(b, 0) + -(d_h * n)) * z * v15;
    const V da_r = da_n * p.kept(b, 0) * r * (splat<V>(1.0) - r);
    p.set_slot(b, 0, du_n);
    d0 += du_n;
    p.set_slot(b, 1, da_r);
    d1 += da_r;
    p.set_slot(b, 2, da_z);
    d2 += da_z;
    p.set_slot(b, 3, da_n);
    d3 += da_n;
    p.set_direct(b, 0, v21);
  }
  p.add_bias(0, d0);
  p.add_bias(1, d1);
  p.add_bias(2, d2);
  p.add_bias(3, d3);
}

template <class V>
inline const Plan<V> plan = {
    /* name */ "gru",
    /* states */ 1,
    /* gates */ {3, 3},
    /* x_gates */ {3, {0, 1, 2}},
    /* kept_names */ {"", "r", "z", "n", nullptr},
    /* kept */ 4,
    /* slots */ {4, 0},
    /* moments */ 0,
    /* x_moments */ -1,
    /* normed */ {0, 0},
    /* projected */ {0},
    /* direct */ {1},
    /* weights */ {0, {}},
    /* biases */ {6, {{2, 0, 1}, {2, 1, 2}, {2, 2, 3}, {3, 0, 1}, {3, 1, 2}, {3, 2, 0}}},
    /* forward */ {1, {{0, 0, {1, {{1, 0, -1, 3, {0, 1, 2}}}}, {0, {}}, {1, {0}}, forward_0<V, false>, forward_0<V, true>}}},
    /* backward */ {1, {{0, 0, {0, {}}, {0, {}}, {1, {0}}, backward_0<V>, nullptr}}},
    /* incoming */ {1, {{1, 0, 0, 3, {2, 0, 1}}}},
    /* gradients */ {2, {{0, -1, -1, 1, 3, {0, 1, 2}}, {1, 0, -1, 0, 3, {2, 0, 1}}}},
};

}  // namespace RECURRA_NAMESPACE::gru
