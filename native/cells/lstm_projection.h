// lstm_projection: generated from the equations of the cell 'lstm'. Do not edit.
#pragma once
#include "plan.h"

namespace RECURRA_NAMESPACE::lstm_projection {

template <class V, bool Keep>
void forward_0(const Ports<V>& ports) {
  const Ports<V> p = ports;
  for (long b = 0; b < p.rows; ++b) {
    const V i = sigmoid(p.x(b, 0) + p.u(b, 0));
    const V f = sigmoid(p.x(b, 1) + p.u(b, 1));
    const V g = tanh(p.x(b, 2) + p.u(b, 2));
    const V c = f * p.old(b, 1) + i * g;
    const V o = sigmoid(p.x(b, 3) + p.u(b, 3));
    const V v22 = o * tanh(c);
    if constexpr (Keep) p.keep(b, 0, i);
    if constexpr (Keep) p.keep(b, 1, f);
    if constexpr (Keep) p.keep(b, 2, g);
    if constexpr (Keep) p.keep(b, 3, o);
    p.keep(b, 4, v22);
    p.set_fresh(b, 1, c);
  }
}

template <class V, bool Keep>
void forward_1(const Ports<V>& ports) {
  const Ports<V> p = ports;
  for (long b = 0; b < p.rows; ++b) {
    const V h = p.u(b, 0);
    p.set_fresh(b, 0, h);
  }
}

template <class V>
void backward_0(const Ports<V>& ports) {
  const Ports<V> p = ports;
  for (long b = 0; b < p.rows; ++b) {
    const V d_h = p.grad(b, 0);
    p.set_slot(b, 0, d_h);
  }
}

template <class V>
void backward_1(const Ports<V>& ports) {
  const Ports<V> p = ports;
  V d0 = V{}, d1 = V{}, d2 = V{}, d3 = V{};
  for (long b = 0; b < p.rows; ++b) {
    const V i = p.kept(b, 0);
    const V f = p.kept(b, 1);
    const V g = p.kept(b, 2);
    const V c = p.fresh(b, 1);
    const V o = p.kept(b, 3);
    const V v21 = tanh(c);
    const V v22 = p.kept(b, 4);
    const V v26 = p.u(b, 0);
    const V da_o = v26 * v21 * o * (splat<V>(1.0) - o);
    const V v36 = p.grad(b, 1) + v26 * o * (splat<V>(1.0) - v21 * v21);
    const V v40 = v36 * f;
    const V da_g = v36 * i * (splat<V>(1.0) - g * g);
    const V da_f = v36 * p.old(b, 1) * f * (splat<V>(1.0) - f);
    const V da_i = v36 * g * i * (splat<V>(1.0) - i);
    p.set_slot(b, 0, da_i);
    d0 += da_i;
    p.set_slot(b, 1, da_f);
    d1 += da_f;
    p.set_slot(b, 2, da_g);
    d2 += da_g;
    p.set_slot(b, 3, da_o);
    d3 += da_o;
    p.set_slot(b, 4, v22);
    p.set_direct(b, 1, v40);
  }
  p.add_bias(0, d0);
  p.add_bias(1, d1);
  p.add_bias(2, d2);
  p.add_bias(3, d3);
}

template <class V>
inline const Plan<V> plan = {
    /* name */ "lstm_projection",
    /* states */ 2,
    /* gates */ {4, 4},
    /* x_gates */ {4, {0, 1, 2, 3}},
    /* kept_names */ {"i", "f", "g", "o", "", nullptr},
    /* kept */ 5,
    /* slots */ {5, 1},
    /* moments */ 0,
    /* x_moments */ -1,
    /* normed */ {0, 0},
    /* projected */ {1, 0},
    /* direct */ {0, 1},
    /* weights */ {0, {}},
    /* biases */ {8, {{2, 0, 0}, {2, 1, 1}, {2, 2, 2}, {2, 3, 3}, {3, 0, 0}, {3, 1, 1}, {3, 2, 2}, {3, 3, 3}}},
    /* forward */ {2, {{0, 0, {1, {{1, 0, -1, 4, {0, 1, 2, 3}}}}, {0, {}}, {1, {1}}, forward_0<V, false>, forward_0<V, true>}, {1, 1, {1, {{2, -1, 4, 1, {0}}}}, {0, {}}, {1, {0}}, forward_1<V, false>, forward_1<V, true>}}},
    /* backward */ {2, {{0, 1, {0, {}}, {0, {}}, {1, {0}}, backward_0<V>, nullptr}, {1, 0, {1, {{2, -1, 0, 1, {0}}}}, {0, {}}, {1, {1}}, backward_1<V>, nullptr}}},
    /* incoming */ {1, {{1, 0, 0, 4, {0, 1, 2, 3}}}},
    /* gradients */ {3, {{0, -1, -1, 0, 4, {0, 1, 2, 3}}, {1, 0, -1, 0, 4, {0, 1, 2, 3}}, {2, -1, 4, 0, 1, {0}}}},
};

}  // namespace RECURRA_NAMESPACE::lstm_projection
