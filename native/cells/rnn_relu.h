// rnn_relu: generated from the equations of the cell 'rnn'. Do not edit.
#pragma once
#include "plan.h"

namespace RECURRA_NAMESPACE::rnn_relu {

template <class V, bool Keep>
void forward_0(const Ports<V>& ports) {
  const Ports<V> p = ports;
  for (long b = 0; b < p.rows; ++b) {
    const V h = relu(p.x(b, 0) + p.u(b, 0));
    p.set_fresh(b, 0, h);
  }
}

template <class V>
void backward_0(const Ports<V>& ports) {
  const Ports<V> p = ports;
  V d0 = V{};
  for (long b = 0; b < p.rows; ++b) {
    const V h = p.fresh(b, 0);
    const V da_h = p.grad(b, 0) * positive(h);
    p.set_slot(b, 0, da_h);
    d0 += da_h;
  }
  p.add_bias(0, d0);
}

inline constexpr int numbers_0[] = {0};
inline constexpr Product products_1[] = {{1, 0, -1, 1, numbers_0}};
inline constexpr const char* const names_2[] = {nullptr};
inline constexpr Bias biases_3[] = {{2, 0, 0}, {3, 0, 0}};
template <class V>
inline const Segment<V> segments_4[] = {{0, 0, {1, products_1}, {0, nullptr}, {1, numbers_0}, forward_0<V, false>, forward_0<V, true>}};
template <class V>
inline const Segment<V> segments_5[] = {{0, 0, {0, nullptr}, {0, nullptr}, {1, numbers_0}, backward_0<V>, nullptr}};
inline constexpr Product products_6[] = {{1, 0, 0, 1, numbers_0}};
inline constexpr Gradient gradients_7[] = {{0, -1, -1, 0, 1, numbers_0}, {1, 0, -1, 0, 1, numbers_0}};

template <class V>
inline const Plan<V> plan = {
    /* name */ "rnn_relu",
    /* states */ 1,
    /* gates */ {1, 1},
    /* x_gates */ {1, numbers_0},
    /* kept_names */ names_2,
    /* kept */ 0,
    /* slots */ {1, 0},
    /* moments */ 0,
    /* x_moments */ -1,
    /* normed */ {0, 0},
    /* projected */ numbers_0,
    /* direct */ numbers_0,
    /* weights */ {0, nullptr},
    /* biases */ {2, biases_3},
    /* forward */ {1, segments_4<V>},
    /* backward */ {1, segments_5<V>},
    /* incoming */ {1, products_6},
    /* gradients */ {2, gradients_7},
};

}  // namespace RECURRA_NAMESPACE::rnn_relu
