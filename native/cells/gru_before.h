// gru_before: generated from the equations of the cell 'gru'. Do not edit.
#pragma once
#include "plan.h"

namespace RECURRA_NAMESPACE::gru_before {

template <class V, bool Keep>
void forward_0(const Ports<V>& ports) {
  const Ports<V> p = ports;
  for (long b = 0; b < p.rows; ++b) {
    const V r = sigmoid(p.x(b, 0) + p.u(b, 0));
    const V z = sigmoid(p.x(b, 1) + p.u(b, 1));
    const V v10 = r * p.old(b, 0);
    if constexpr (Keep) p.keep(b, 0, r);
    p.keep(b, 1, z);
    p.keep(b, 2, v10);
  }
}

template <class V, bool Keep>
void forward_1(const Ports<V>& ports) {
  const Ports<V> p = ports;
  for (long b = 0; b < p.rows; ++b) {
    const V z = p.kept(b, 1);
    const V n = tanh(p.x(b, 2) + p.u(b, 0));
    const V h = (splat<V>(1.0) - z) * n + z * p.old(b, 0);
    if constexpr (Keep) p.keep(b, 3, n);
    p.set_fresh(b, 0, h);
  }
}

template <class V>
void backward_0(const Ports<V>& ports) {
  const Ports<V> p = ports;
  V d0 = V{}, d1 = V{};
  for (long b = 0; b < p.rows; ++b) {
    const V z = p.kept(b, 1);
    const V v10 = p.kept(b, 2);
    const V n = p.kept(b, 3);
    const V v15 = splat<V>(1.0) - z;
    const V d_h = p.grad(b, 0);
    const V v21 = d_h * z;
    const V da_n = d_h * v15 * (splat<V>(1.0) - n * n);
    const V da_z = (d_h * p.old(b, 0) + -(d_h * n)) * z * v15;
    p.set_slot(b, 1, da_z);
    d0 += da_z;
    p.set_slot(b, 2, da_n);
    d1 += da_n;
    p.set_slot(b, 3, v10);
    p.set_slot(b, 0, v21);
  }
  p.add_bias(1, d0);
  p.add_bias(2, d1);
}

template <class V>
void backward_1(const Ports<V>& ports) {
  const Ports<V> p = ports;
  V d0 = V{};
  for (long b = 0; b < p.rows; ++b) {
    const V r = p.kept(b, 0);
    const V v28 = p.u(b, 0);
    const V da_r = v28 * p.old(b, 0) * r * (splat<V>(1.0) - r);
    const V v37 = p.slot(b, 0) + v28 * r;
    p.set_slot(b, 0, da_r);
    d0 += da_r;
    p.set_direct(b, 0, v37);
  }
  p.add_bias(0, d0);
}

inline constexpr int numbers_0[] = {0, 1};
inline constexpr Product products_1[] = {{1, 0, -1, 2, numbers_0}};
inline constexpr int numbers_2[] = {2};
inline constexpr Product products_3[] = {{1, -1, 2, 1, numbers_2}};
inline constexpr int numbers_4[] = {0};
inline constexpr int numbers_5[] = {0, 1, 2};
inline constexpr const char* const names_6[] = {"r", "z", "", "n", nullptr};
inline constexpr int numbers_7[] = {1};
inline constexpr Bias biases_8[] = {{2, 0, 0}, {2, 1, 1}, {2, 2, 2}, {3, 0, 0}, {3, 1, 1}, {3, 2, 2}};
template <class V>
inline const Segment<V> segments_9[] = {{0, 0, {1, products_1}, {0, nullptr}, {0, nullptr}, forward_0<V, false>, forward_0<V, true>}, {1, 0, {1, products_3}, {0, nullptr}, {1, numbers_4}, forward_1<V, false>, forward_1<V, true>}};
template <class V>
inline const Segment<V> segments_10[] = {{0, 0, {0, nullptr}, {0, nullptr}, {1, numbers_4}, backward_0<V>, nullptr}, {1, 0, {1, products_3}, {0, nullptr}, {0, nullptr}, backward_1<V>, nullptr}};
inline constexpr Product products_11[] = {{1, 0, 0, 2, numbers_0}};
inline constexpr Gradient gradients_12[] = {{0, -1, -1, 0, 3, numbers_5}, {1, 0, -1, 0, 2, numbers_0}, {1, -1, 3, 2, 1, numbers_2}};

template <class V>
inline const Plan<V> plan = {
    /* name */ "gru_before",
    /* states */ 1,
    /* gates */ {3, 3},
    /* x_gates */ {3, numbers_5},
    /* kept_names */ names_6,
    /* kept */ 4,
    /* slots */ {4, 0},
    /* moments */ 0,
    /* x_moments */ -1,
    /* normed */ {0, 0},
    /* projected */ numbers_4,
    /* direct */ numbers_7,
    /* weights */ {0, nullptr},
    /* biases */ {6, biases_8},
    /* forward */ {2, segments_9<V>},
    /* backward */ {2, segments_10<V>},
    /* incoming */ {1, products_11},
    /* gradients */ {3, gradients_12},
};

}  // namespace RECURRA_NAMESPACE::gru_before
