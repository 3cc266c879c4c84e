// gru_norm: generated from the equations of the cell 'gru'. Do not edit.
#pragma once
#include "plan.h"

namespace RECURRA_NAMESPACE::gru_norm {

template <class V, bool Keep>
void forward_0(const Ports<V>& ports) {
  const Ports<V> p = ports;
  for (long b = 0; b < p.rows; ++b) {
    const V v20 = p.u(b, 0);
    const V v21 = p.u(b, 1);
    const V v22 = p.u(b, 2);
    p.keep(b, 3, v20);
    p.keep(b, 4, v21);
    p.keep(b, 5, v22);
    p.moments(b, 0, {v20, v21, v22});
  }
}

template <class V, bool Keep>
void forward_1(const Ports<V>& ports) {
  const Ports<V> p = ports;
  for (long b = 0; b < p.rows; ++b) {
    const V v7 = p.normalize(b, 0, p.x(b, 0));
    const V v12 = p.normalize(b, 0, p.x(b, 1));
    const V v17 = p.normalize(b, 0, p.x(b, 2));
    const V r = sigmoid(v7 * p.weight(6) + p.weight(0) + p.normalize(b, 1, p.kept(b, 3)) * p.weight(9) + p.weight(3));
    const V z = sigmoid(v12 * p.weight(7) + p.weight(1) + p.normalize(b, 1, p.kept(b, 4)) * p.weight(10) + p.weight(4));
    const V n = tanh(v17 * p.weight(8) + p.weight(2) + r * (p.normalize(b, 1, p.kept(b, 5)) * p.weight(11) + p.weight(5)));
    const V h = (splat<V>(1.0) - z) * n + z * p.old(b, 0);
    if constexpr (Keep) p.keep(b, 0, v7);
    if constexpr (Keep) p.keep(b, 1, v12);
    if constexpr (Keep) p.keep(b, 2, v17);
    if constexpr (Keep) p.keep(b, 6, r);
    if constexpr (Keep) p.keep(b, 7, z);
    if constexpr (Keep) p.keep(b, 8, n);
    p.set_fresh(b, 0, h);
  }
}

template <class V>
void backward_0(const Ports<V>& ports) {
  const Ports<V> p = ports;
  V d0 = V{}, d1 = V{}, d2 = V{}, d3 = V{}, d4 = V{}, d5 = V{}, d6 = V{}, d7 = V{}, d8 = V{}, d9 = V{}, d10 = V{}, d11 = V{};
  for (long b = 0; b < p.rows; ++b) {
    const V v7 = p.kept(b, 0);
    const V v12 = p.kept(b, 1);
    const V v17 = p.kept(b, 2);
    const V v26 = p.normalize(b, 1, p.kept(b, 3));
    const V v31 = p.normalize(b, 1, p.kept(b, 4));
    const V v34 = p.weight(11);
    const V v36 = p.normalize(b, 1, p.kept(b, 5));
    const V r = p.kept(b, 6);
    const V z = p.kept(b, 7);
    const V n = p.kept(b, 8);
    const V v47 = splat<V>(1.0) - z;
    const V d_h = p.grad(b, 0);
    const V v53 = d_h * z;
    const V v59 = d_h * v47 * (splat<V>(1.0) - n * n);
    const V v61 = v59 * r;
    const V v64 = (d_h * p.old(b, 0) + -(d_h * n)) * z * v47;
    const V v67 = v59 * (v36 * v34 + p.weight(5)) * r * (splat<V>(1.0) - r);
    const V v68 = v61 * v34;
    const V v69 = v61 * v36;
    const V v70 = v64 * p.weight(10);
    const V v71 = v64 * v31;
    const V v72 = v67 * p.weight(9);
    const V v73 = v67 * v26;
    const V v78 = v59 * p.weight(8);
    const V v79 = v59 * v17;
    const V v80 = v64 * p.weight(7);
    const V v81 = v64 * v12;
    const V v82 = v67 * p.weight(6);
    const V v83 = v67 * v7;
    p.set_slot(b, 3, v67);
    p.set_slot(b, 2, v64);
    p.set_slot(b, 1, v61);
    p.set_slot(b, 0, v59);
    p.set_direct(b, 0, v53);
    d0 += v61;
    d1 += v69;
    d2 += v64;
    d3 += v71;
    d4 += v67;
    d5 += v73;
    d6 += v59;
    d7 += v79;
    d8 += v64;
    d9 += v81;
    d10 += v67;
    d11 += v83;
    p.sums(b, 0, {v72, v70, v68, v26, v31, v36});
    p.sums(b, 1, {v82, v80, v78, v7, v12, v17});
  }
  p.add_weight(5, d0);
  p.add_weight(11, d1);
  p.add_weight(4, d2);
  p.add_weight(10, d3);
  p.add_weight(3, d4);
  p.add_weight(9, d5);
  p.add_weight(2, d6);
  p.add_weight(8, d7);
  p.add_weight(1, d8);
  p.add_weight(7, d9);
  p.add_weight(0, d10);
  p.add_weight(6, d11);
}

template <class V>
void backward_1(const Ports<V>& ports) {
  const Ports<V> p = ports;
  for (long b = 0; b < p.rows; ++b) {
    const V v64 = p.slot(b, 2);
    const V v67 = p.slot(b, 3);
    const V du_r = p.denormalize(b, 1, v67 * p.weight(9), p.normalize(b, 1, p.kept(b, 3)));
    const V du_z = p.denormalize(b, 1, v64 * p.weight(10), p.normalize(b, 1, p.kept(b, 4)));
    const V du_n = p.denormalize(b, 1, p.slot(b, 1) * p.weight(11), p.normalize(b, 1, p.kept(b, 5)));
    const V da_r = p.denormalize(b, 0, v67 * p.weight(6), p.kept(b, 0));
    const V da_z = p.denormalize(b, 0, v64 * p.weight(7), p.kept(b, 1));
    const V da_n = p.denormalize(b, 0, p.slot(b, 0) * p.weight(8), p.kept(b, 2));
    p.set_slot(b, 0, du_r);
    p.set_slot(b, 1, du_z);
    p.set_slot(b, 2, du_n);
    p.set_slot(b, 3, da_r);
    p.set_slot(b, 4, da_z);
    p.set_slot(b, 5, da_n);
  }
}

inline constexpr int numbers_0[] = {0, 1, 2};
inline constexpr Product products_1[] = {{1, 0, -1, 3, numbers_0}};
inline constexpr RowSum sums_2[] = {{1, 3}};
inline constexpr int numbers_3[] = {0};
inline constexpr RowSum sums_4[] = {{1, 3}, {0, 3}};
inline constexpr const char* const names_5[] = {"", "", "", "", "", "", "r", "z", "n", nullptr};
inline constexpr int numbers_6[] = {1};
inline constexpr Vectored vectors_7[] = {{2, 0}, {2, 1}, {2, 2}, {3, 0}, {3, 1}, {3, 2}, {4, 0}, {4, 1}, {4, 2}, {5, 0}, {5, 1}, {5, 2}};
template <class V>
inline const Segment<V> segments_8[] = {{0, 0, {1, products_1}, {1, sums_2}, {0, nullptr}, forward_0<V, false>, forward_0<V, true>}, {1, 0, {0, nullptr}, {0, nullptr}, {1, numbers_3}, forward_1<V, false>, forward_1<V, true>}};
template <class V>
inline const Segment<V> segments_9[] = {{0, 0, {0, nullptr}, {2, sums_4}, {1, numbers_3}, backward_0<V>, nullptr}, {1, 0, {0, nullptr}, {0, nullptr}, {0, nullptr}, backward_1<V>, nullptr}};
inline constexpr Product products_10[] = {{1, 0, 0, 3, numbers_0}};
inline constexpr Gradient gradients_11[] = {{0, -1, -1, 3, 3, numbers_0}, {1, 0, -1, 0, 3, numbers_0}};

template <class V>
inline const Plan<V> plan = {
    /* name */ "gru_norm",
    /* states */ 1,
    /* gates */ {3, 3},
    /* x_gates */ {3, numbers_0},
    /* kept_names */ names_5,
    /* kept */ 9,
    /* slots */ {6, 0},
    /* moments */ 2,
    /* x_moments */ 0,
    /* normed */ {1, 1},
    /* projected */ numbers_3,
    /* direct */ numbers_6,
    /* weights */ {12, vectors_7},
    /* biases */ {0, nullptr},
    /* forward */ {2, segments_8<V>},
    /* backward */ {2, segments_9<V>},
    /* incoming */ {1, products_10},
    /* gradients */ {2, gradients_11},
};

}  // namespace RECURRA_NAMESPACE::gru_norm
