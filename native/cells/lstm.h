// lstm: generated from the equations of the cell 'lstm'. Do not edit.
#pragma once
#include "plan.h"

namespace RECURRA_NAMESPACE::lstm {

template <class V, bool Keep>
void forward_0(const Ports<V>& ports) {
  const Ports<V> p = ports;
  for (long b = 0; b < p.rows; ++b) {
    const V i = sigmoid(p.x(b, 0) + p.u(b, 0));
    const V f = sigmoid(p.x(b, 1) + p.u(b, 1));
    const V g = tanh(p.x(b, 2) + p.u(b, 2));
    const V c = f * p.old(b, 1) + i * g;
    const V o = sigmoid(p.x(b, 3) + p.u(b, 3));
    const V h = o * tanh(c);
    if constexpr (Keep) p.keep(b, 0, i);
    if constexpr (Keep) p.keep(b, 1, f);
    if constexpr (Keep) p.keep(b, 2, g);
    if constexpr (Keep) p.keep(b, 3, o);
    p.set_fresh(b, 0, h);
    p.set_fresh(b, 1, c);
  }
}

template <class V>
void backward_0(const Ports<V>& ports) {
  const Ports<V> p = ports;
  V d0 = V{}, d1 = V{}, d2 = V{}, d3 = V{};
  for (long b = 0; b < p.rows; ++b) {
    const V i = p.kept(b, 0);
    const V f = p.kept(b, 1);
    const V g = p.kept(b, 2);
    const V c = p.fresh(b, 1);
    const V o = p.kept(b, 3);
    const V v21 = tanh(c);
    const V d_h = p.grad(b, 0);
    const V da_o = d_h * v21 * o * (splat<V>(1.0) - o);
    const V v34 = p.grad(b, 1) + d_h * o * (splat<V>(1.0) - v21 * v21);
    const V v38 = v34 * f;
    const V da_g = v34 * i * (splat<V>(1.0) - g * g);
    const V da_f = v34 * p.old(b, 1) * f * (splat<V>(1.0) - f);
    const V da_i = v34 * g * i * (splat<V>(1.0) - i);
    p.set_slot(b, 0, da_i);
    d0 += da_i;
    p.set_slot(b, 1, da_f);
    d1 += da_f;
    p.set_slot(b, 2, da_g);
    d2 += da_g;
    p.set_slot(b, 3, da_o);
    d3 += da_o;
    p.set_direct(b, 1, v38);
  }
  p.add_bias(0, d0);
  p.add_bias(1, d1);
  p.add_bias(2, d2);
  p.add_bias(3, d3);
}

template <class V>
inline const Plan<V> plan = {
    /* name */ "lstm",
    /* states */ 2,
    /* gates */ {4, 4},
    /* x_gates */ {4, {0, 1, 2, 3}},
    /* kept_names */ {"i", "f", "g", "o", nullptr},
    /* kept */ 4,
    /* slots */ {4, 0},
    /* moments */ 0,
    /* x_moments */ -1,
    /* normed */ {0, 0},
    /* projected */ {0, 0},
    /* direct */ {0, 1},
    /* weights */ {0, {}},
    /* biases */ {8, {{2, 0, 0}, {2, 1, 1}, {2, 2, 2}, {2, 3, 3}, {3, 0, 0}, {3, 1, 1}, {3, 2, 2}, {3, 3, 3}}},
    /* forward */ {1, {{0, 0, {1, {{1, 0, -1, 4, {0, 1, 2, 3}}}}, {0, {}}, {2, {0, 1}}, forward_0<V, false>, forward_0<V, true>}}},
    /* backward */ {1, {{0, 0, {0, {}}, {0, {}}, {2, {0, 1}}, backward_0<V>, nullptr}}},
    /* incoming */ {1, {{1, 0, 0, 4, {0, 1, 2, 3}}}},
    /* gradients */ {2, {{0, -1, -1, 0, 4, {0, 1, 2, 3}}, {1, 0, -1, 0, 4, {0, 1, 2, 3}}}},
};

}  // namespace RECURRA_NAMESPACE::lstm
