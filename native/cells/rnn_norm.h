// rnn_norm: generated from the equations of the cell 'rnn'. Do not edit.
#pragma once
#include "plan.h"

namespace RECURRA_NAMESPACE::rnn_norm {

template <class V, bool Keep>
void forward_0(const Ports<V>& ports) {
  const Ports<V> p = ports;
  for (long b = 0; b < p.rows; ++b) {
    const V v8 = p.u(b, 0);
    p.keep(b, 1, v8);
    p.moments(b, 0, {v8});
  }
}

template <class V, bool Keep>
void forward_1(const Ports<V>& ports) {
  const Ports<V> p = ports;
  for (long b = 0; b < p.rows; ++b) {
    const V v5 = p.normalize(b, 0, p.x(b, 0));
    const V h = tanh(v5 * p.weight(2) + p.weight(0) + p.normalize(b, 1, p.kept(b, 1)) * p.weight(3) + p.weight(1));
    if constexpr (Keep) p.keep(b, 0, v5);
    p.set_fresh(b, 0, h);
  }
}

template <class V>
void backward_0(const Ports<V>& ports) {
  const Ports<V> p = ports;
  V d0 = V{}, d1 = V{}, d2 = V{}, d3 = V{};
  for (long b = 0; b < p.rows; ++b) {
    const V v5 = p.kept(b, 0);
    const V v12 = p.normalize(b, 1, p.kept(b, 1));
    const V h = p.fresh(b, 0);
    const V v21 = p.grad(b, 0) * (splat<V>(1.0) - h * h);
    const V v22 = v21 * p.weight(3);
    const V v23 = v21 * v12;
    const V v26 = v21 * p.weight(2);
    const V v27 = v21 * v5;
    p.set_slot(b, 0, v21);
    d0 += v21;
    d1 += v23;
    d2 += v21;
    d3 += v27;
    p.sums(b, 0, {v22, v12});
    p.sums(b, 1, {v26, v5});
  }
  p.add_weight(1, d0);
  p.add_weight(3, d1);
  p.add_weight(0, d2);
  p.add_weight(2, d3);
}

template <class V>
void backward_1(const Ports<V>& ports) {
  const Ports<V> p = ports;
  for (long b = 0; b < p.rows; ++b) {
    const V v21 = p.slot(b, 0);
    const V du_h = p.denormalize(b, 1, v21 * p.weight(3), p.normalize(b, 1, p.kept(b, 1)));
    const V da_h = p.denormalize(b, 0, v21 * p.weight(2), p.kept(b, 0));
    p.set_slot(b, 0, du_h);
    p.set_slot(b, 1, da_h);
  }
}

inline constexpr int numbers_0[] = {0};
inline constexpr Product products_1[] = {{1, 0, -1, 1, numbers_0}};
inline constexpr RowSum sums_2[] = {{1, 1}};
inline constexpr RowSum sums_3[] = {{1, 1}, {0, 1}};
inline constexpr const char* const names_4[] = {"", "", nullptr};
inline constexpr Vectored vectors_5[] = {{2, 0}, {3, 0}, {4, 0}, {5, 0}};
template <class V>
inline const Segment<V> segments_6[] = {{0, 0, {1, products_1}, {1, sums_2}, {0, nullptr}, forward_0<V, false>, forward_0<V, true>}, {1, 0, {0, nullptr}, {0, nullptr}, {1, numbers_0}, forward_1<V, false>, forward_1<V, true>}};
template <class V>
inline const Segment<V> segments_7[] = {{0, 0, {0, nullptr}, {2, sums_3}, {1, numbers_0}, backward_0<V>, nullptr}, {1, 0, {0, nullptr}, {0, nullptr}, {0, nullptr}, backward_1<V>, nullptr}};
inline constexpr Product products_8[] = {{1, 0, 0, 1, numbers_0}};
inline constexpr Gradient gradients_9[] = {{0, -1, -1, 1, 1, numbers_0}, {1, 0, -1, 0, 1, numbers_0}};

template <class V>
inline const Plan<V> plan = {
    /* name */ "rnn_norm",
    /* states */ 1,
    /* gates */ {1, 1},
    /* x_gates */ {1, numbers_0},
    /* kept_names */ names_4,
    /* kept */ 2,
    /* slots */ {2, 0},
    /* moments */ 2,
    /* x_moments */ 0,
    /* normed */ {1, 1},
    /* projected */ numbers_0,
    /* direct */ numbers_0,
    /* weights */ {4, vectors_5},
    /* biases */ {0, nullptr},
    /* forward */ {2, segments_6<V>},
    /* backward */ {2, segments_7<V>},
    /* incoming */ {1, products_8},
    /* gradients */ {2, gradients_9},
};

}  // namespace RECURRA_NAMESPACE::rnn_norm
