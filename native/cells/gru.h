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

inline constexpr int numbers_0[] = {0, 1, 2};
inline constexpr Product products_1[] = {{1, 0, -1, 3, numbers_0}};
inline constexpr int numbers_2[] = {0};
inline constexpr const char* const names_3[] = {"", "r", "z", "n", nullptr};
inline constexpr int numbers_4[] = {1};
inline constexpr Bias biases_5[] = {{2, 0, 1}, {2, 1, 2}, {2, 2, 3}, {3, 0, 1}, {3, 1, 2}, {3, 2, 0}};
template <class V>
inline const Segment<V> segments_6[] = {{0, 0, {1, products_1}, {0, nullptr}, {1, numbers_2}, forward_0<V, false>, forward_0<V, true>}};
template <class V>
inline const Segment<V> segments_7[] = {{0, 0, {0, nullptr}, {0, nullptr}, {1, numbers_2}, backward_0<V>, nullptr}};
inline constexpr int numbers_8[] = {2, 0, 1};
inline constexpr Product products_9[] = {{1, 0, 0, 3, numbers_8}};
inline constexpr Gradient gradients_10[] = {{0, -1, -1, 1, 3, numbers_0}, {1, 0, -1, 0, 3, numbers_8}};

template <class V>
inline const Plan<V> plan = {
    /* name */ "gru",
    /* states */ 1,
    /* gates */ {3, 3},
    /* x_gates */ {3, numbers_0},
    /* kept_names */ names_3,
    /* kept */ 4,
    /* slots */ {4, 0},
    /* moments */ 0,
    /* x_moments */ -1,
    /* normed */ {0, 0},
    /* projected */ numbers_2,
    /* direct */ numbers_4,
    /* weights */ {0, nullptr},
    /* biases */ {6, biases_5},
    /* forward */ {1, segments_6<V>},
    /* backward */ {1, segments_7<V>},
    /* incoming */ {1, products_9},
    /* gradients */ {2, gradients_10},
};

}  // namespace RECURRA_NAMESPACE::gru
