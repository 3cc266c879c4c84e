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

inline constexpr int numbers_0[] = {0, 1, 2, 3};
inline constexpr Product products_1[] = {{1, 0, -1, 4, numbers_0}};
inline constexpr int numbers_2[] = {1};
inline constexpr int numbers_3[] = {0};
inline constexpr Product products_4[] = {{2, -1, 4, 1, numbers_3}};
inline constexpr Product products_5[] = {{2, -1, 0, 1, numbers_3}};
inline constexpr const char* const names_6[] = {"i", "f", "g", "o", "", nullptr};
inline constexpr int numbers_7[] = {1, 0};
inline constexpr int numbers_8[] = {0, 1};
inline constexpr Bias biases_9[] = {{2, 0, 0}, {2, 1, 1}, {2, 2, 2}, {2, 3, 3}, {3, 0, 0}, {3, 1, 1}, {3, 2, 2}, {3, 3, 3}};
template <class V>
inline const Segment<V> segments_10[] = {{0, 0, {1, products_1}, {0, nullptr}, {1, numbers_2}, forward_0<V, false>, forward_0<V, true>}, {1, 1, {1, products_4}, {0, nullptr}, {1, numbers_3}, forward_1<V, false>, forward_1<V, true>}};
template <class V>
inline const Segment<V> segments_11[] = {{0, 1, {0, nullptr}, {0, nullptr}, {1, numbers_3}, backward_0<V>, nullptr}, {1, 0, {1, products_5}, {0, nullptr}, {1, numbers_2}, backward_1<V>, nullptr}};
inline constexpr Product products_12[] = {{1, 0, 0, 4, numbers_0}};
inline constexpr Gradient gradients_13[] = {{0, -1, -1, 0, 4, numbers_0}, {1, 0, -1, 0, 4, numbers_0}, {2, -1, 4, 0, 1, numbers_3}};

template <class V>
inline const Plan<V> plan = {
    /* name */ "lstm_projection",
    /* states */ 2,
    /* gates */ {4, 4},
    /* x_gates */ {4, numbers_0},
    /* kept_names */ names_6,
    /* kept */ 5,
    /* slots */ {5, 1},
    /* moments */ 0,
    /* x_moments */ -1,
    /* normed */ {0, 0},
    /* projected */ numbers_7,
    /* direct */ numbers_8,
    /* weights */ {0, nullptr},
    /* biases */ {8, biases_9},
    /* forward */ {2, segments_10<V>},
    /* backward */ {2, segments_11<V>},
    /* incoming */ {1, products_12},
    /* gradients */ {3, gradients_13},
};

}  // namespace RECURRA_NAMESPACE::lstm_projection
