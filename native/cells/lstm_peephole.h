// lstm_peephole: generated from the equations of the cell 'lstm'. Do not edit.
#pragma once
#include "plan.h"

namespace RECURRA_NAMESPACE::lstm_peephole {

template <class V, bool Keep>
void forward_0(const Ports<V>& ports) {
  const Ports<V> p = ports;
  for (long b = 0; b < p.rows; ++b) {
    const V v5 = p.old(b, 1);
    const V i = sigmoid(p.x(b, 0) + p.u(b, 0) + p.weight(0) * v5);
    const V f = sigmoid(p.x(b, 1) + p.u(b, 1) + p.weight(1) * v5);
    const V g = tanh(p.x(b, 2) + p.u(b, 2));
    const V c = f * v5 + i * g;
    const V o = sigmoid(p.x(b, 3) + p.u(b, 3) + p.weight(2) * c);
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
  V d0 = V{}, d1 = V{}, d2 = V{}, d3 = V{}, d4 = V{}, d5 = V{}, d6 = V{};
  for (long b = 0; b < p.rows; ++b) {
    const V v5 = p.old(b, 1);
    const V i = p.kept(b, 0);
    const V f = p.kept(b, 1);
    const V g = p.kept(b, 2);
    const V c = p.fresh(b, 1);
    const V o = p.kept(b, 3);
    const V v30 = tanh(c);
    const V d_h = p.grad(b, 0);
    const V da_o = d_h * v30 * o * (splat<V>(1.0) - o);
    const V v43 = da_o * c;
    const V v46 = p.grad(b, 1) + d_h * o * (splat<V>(1.0) - v30 * v30) + da_o * p.weight(2);
    const V da_g = v46 * i * (splat<V>(1.0) - g * g);
    const V da_f = v46 * v5 * f * (splat<V>(1.0) - f);
    const V v57 = da_f * v5;
    const V da_i = v46 * g * i * (splat<V>(1.0) - i);
    const V v62 = da_i * v5;
    const V v65 = v46 * f + da_f * p.weight(1) + da_i * p.weight(0);
    p.set_slot(b, 0, da_i);
    d0 += da_i;
    p.set_slot(b, 1, da_f);
    d1 += da_f;
    p.set_slot(b, 2, da_g);
    d2 += da_g;
    p.set_slot(b, 3, da_o);
    d3 += da_o;
    p.set_direct(b, 1, v65);
    d4 += v43;
    d5 += v57;
    d6 += v62;
  }
  p.add_bias(0, d0);
  p.add_bias(1, d1);
  p.add_bias(2, d2);
  p.add_bias(3, d3);
  p.add_weight(2, d4);
  p.add_weight(1, d5);
  p.add_weight(0, d6);
}

inline constexpr int numbers_0[] = {0, 1, 2, 3};
inline constexpr Product products_1[] = {{1, 0, -1, 4, numbers_0}};
inline constexpr int numbers_2[] = {0, 1};
inline constexpr const char* const names_3[] = {"i", "f", "g", "o", nullptr};
inline constexpr int numbers_4[] = {0, 0};
inline constexpr Vectored vectors_5[] = {{4, -1}, {5, -1}, {6, -1}};
inline constexpr Bias biases_6[] = {{2, 0, 0}, {2, 1, 1}, {2, 2, 2}, {2, 3, 3}, {3, 0, 0}, {3, 1, 1}, {3, 2, 2}, {3, 3, 3}};
template <class V>
inline const Segment<V> segments_7[] = {{0, 0, {1, products_1}, {0, nullptr}, {2, numbers_2}, forward_0<V, false>, forward_0<V, true>}};
template <class V>
inline const Segment<V> segments_8[] = {{0, 0, {0, nullptr}, {0, nullptr}, {2, numbers_2}, backward_0<V>, nullptr}};
inline constexpr Product products_9[] = {{1, 0, 0, 4, numbers_0}};
inline constexpr Gradient gradients_10[] = {{0, -1, -1, 0, 4, numbers_0}, {1, 0, -1, 0, 4, numbers_0}};

template <class V>
inline const Plan<V> plan = {
    /* name */ "lstm_peephole",
    /* states */ 2,
    /* gates */ {4, 4},
    /* x_gates */ {4, numbers_0},
    /* kept_names */ names_3,
    /* kept */ 4,
    /* slots */ {4, 0},
    /* moments */ 0,
    /* x_moments */ -1,
    /* normed */ {0, 0},
    /* projected */ numbers_4,
    /* direct */ numbers_2,
    /* weights */ {3, vectors_5},
    /* biases */ {8, biases_6},
    /* forward */ {1, segments_7<V>},
    /* backward */ {1, segments_8<V>},
    /* incoming */ {1, products_9},
    /* gradients */ {2, gradients_10},
};

}  // namespace RECURRA_NAMESPACE::lstm_peephole
