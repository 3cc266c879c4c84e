// gru_norm_before: generated from the equations of the cell 'gru'. Do not edit.
#pragma once
#include "plan.h"

namespace RECURRA_NAMESPACE::gru_norm_before {

template <class V, bool Keep>
void forward_0(const Ports<V>& ports) {
  const Ports<V> p = ports;
  for (long b = 0; b < p.rows; ++b) {
    const V v20 = p.u(b, 0);
    const V v21 = p.u(b, 1);
    p.keep(b, 3, v20);
    p.keep(b, 4, v21);
    p.moments(b, 0, {v20, v21});
  }
}

template <class V, bool Keep>
void forward_1(const Ports<V>& ports) {
  const Ports<V> p = ports;
  for (long b = 0; b < p.rows; ++b) {
    const V v7 = p.normalize(b, 0, p.x(b, 0));
    const V v12 = p.normalize(b, 0, p.x(b, 1));
    const V r = sigmoid(v7 * p.weight(6) + p.weight(0) + p.normalize(b, 1, p.kept(b, 3)) * p.weight(9) + p.weight(3));
    const V z = sigmoid(v12 * p.weight(7) + p.weight(1) + p.normalize(b, 1, p.kept(b, 4)) * p.weight(10) + p.weight(4));
    const V v37 = r * p.old(b, 0);
    if constexpr (Keep) p.keep(b, 0, v7);
    if constexpr (Keep) p.keep(b, 1, v12);
    if constexpr (Keep) p.keep(b, 5, r);
    p.keep(b, 6, z);
    p.keep(b, 7, v37);
  }
}

template <class V, bool Keep>
void forward_2(const Ports<V>& ports) {
  const Ports<V> p = ports;
  for (long b = 0; b < p.rows; ++b) {
    const V v38 = p.u(b, 0);
    p.keep(b, 8, v38);
    p.moments(b, 0, {v38});
  }
}

template <class V, bool Keep>
void forward_3(const Ports<V>& ports) {
  const Ports<V> p = ports;
  for (long b = 0; b < p.rows; ++b) {
    const V v17 = p.normalize(b, 0, p.x(b, 2));
    const V z = p.kept(b, 6);
    const V n = tanh(v17 * p.weight(8) + p.weight(2) + p.normalize(b, 2, p.kept(b, 8)) * p.weight(11) + p.weight(5));
    const V h = (splat<V>(1.0) - z) * n + z * p.old(b, 0);
    if constexpr (Keep) p.keep(b, 2, v17);
    if constexpr (Keep) p.keep(b, 9, n);
    p.set_fresh(b, 0, h);
  }
}

template <class V>
void backward_0(const Ports<V>& ports) {
  const Ports<V> p = ports;
  V d0 = V{}, d1 = V{}, d2 = V{}, d3 = V{}, d4 = V{}, d5 = V{}, d6 = V{}, d7 = V{};
  for (long b = 0; b < p.rows; ++b) {
    const V z = p.kept(b, 6);
    const V v37 = p.kept(b, 7);
    const V v42 = p.normalize(b, 2, p.kept(b, 8));
    const V n = p.kept(b, 9);
    const V v48 = splat<V>(1.0) - z;
    const V d_h = p.grad(b, 0);
    const V v54 = d_h * z;
    const V v60 = d_h * v48 * (splat<V>(1.0) - n * n);
    const V v61 = v60 * p.weight(11);
    const V v62 = v60 * v42;
    const V v70 = (d_h * p.old(b, 0) + -(d_h * n)) * z * v48;
    const V v75 = v70 * p.normalize(b, 1, p.kept(b, 4));
    const V v82 = v60 * p.kept(b, 2);
    const V v84 = v70 * p.kept(b, 1);
    p.set_slot(b, 6, v37);
    p.set_slot(b, 1, v60);
    p.set_slot(b, 3, v70);
    p.set_slot(b, 0, v54);
    d0 += v60;
    d1 += v62;
    d2 += v70;
    d3 += v75;
    d4 += v60;
    d5 += v82;
    d6 += v70;
    d7 += v84;
    p.sums(b, 0, {v61, v42});
  }
  p.add_weight(5, d0);
  p.add_weight(11, d1);
  p.add_weight(4, d2);
  p.add_weight(10, d3);
  p.add_weight(2, d4);
  p.add_weight(8, d5);
  p.add_weight(1, d6);
  p.add_weight(7, d7);
}

template <class V>
void backward_1(const Ports<V>& ports) {
  const Ports<V> p = ports;
  for (long b = 0; b < p.rows; ++b) {
    const V du_n = p.denormalize(b, 2, p.slot(b, 1) * p.weight(11), p.normalize(b, 2, p.kept(b, 8)));
    p.set_slot(b, 2, du_n);
  }
}

template <class V>
void backward_2(const Ports<V>& ports) {
  const Ports<V> p = ports;
  V d0 = V{}, d1 = V{}, d2 = V{}, d3 = V{};
  for (long b = 0; b < p.rows; ++b) {
    const V v7 = p.kept(b, 0);
    const V v12 = p.kept(b, 1);
    const V v17 = p.kept(b, 2);
    const V v25 = p.normalize(b, 1, p.kept(b, 3));
    const V v30 = p.normalize(b, 1, p.kept(b, 4));
    const V r = p.kept(b, 5);
    const V v65 = p.u(b, 0);
    const V v70 = p.slot(b, 3);
    const V v73 = v65 * p.old(b, 0) * r * (splat<V>(1.0) - r);
    const V v74 = v70 * p.weight(10);
    const V v76 = v73 * p.weight(9);
    const V v77 = v73 * v25;
    const V v81 = p.slot(b, 1) * p.weight(8);
    const V v83 = v70 * p.weight(7);
    const V v85 = v73 * p.weight(6);
    const V v86 = v73 * v7;
    const V v91 = p.slot(b, 0) + v65 * r;
    p.set_slot(b, 0, v73);
    p.set_direct(b, 0, v91);
    d0 += v73;
    d1 += v77;
    d2 += v73;
    d3 += v86;
    p.sums(b, 0, {v76, v74, v25, v30});
    p.sums(b, 1, {v85, v83, v81, v7, v12, v17});
  }
  p.add_weight(3, d0);
  p.add_weight(9, d1);
  p.add_weight(0, d2);
  p.add_weight(6, d3);
}

template <class V>
void backward_3(const Ports<V>& ports) {
  const Ports<V> p = ports;
  for (long b = 0; b < p.rows; ++b) {
    const V v70 = p.slot(b, 3);
    const V v73 = p.slot(b, 0);
    const V du_r = p.denormalize(b, 1, v73 * p.weight(9), p.normalize(b, 1, p.kept(b, 3)));
    const V du_z = p.denormalize(b, 1, v70 * p.weight(10), p.normalize(b, 1, p.kept(b, 4)));
    const V da_r = p.denormalize(b, 0, v73 * p.weight(6), p.kept(b, 0));
    const V da_z = p.denormalize(b, 0, v70 * p.weight(7), p.kept(b, 1));
    const V da_n = p.denormalize(b, 0, p.slot(b, 1) * p.weight(8), p.kept(b, 2));
    p.set_slot(b, 0, du_r);
    p.set_slot(b, 1, du_z);
    p.set_slot(b, 3, da_r);
    p.set_slot(b, 4, da_z);
    p.set_slot(b, 5, da_n);
  }
}

inline constexpr int numbers_0[] = {0, 1};
inline constexpr Product products_1[] = {{1, 0, -1, 2, numbers_0}};
inline constexpr RowSum sums_2[] = {{1, 2}};
inline constexpr int numbers_3[] = {2};
inline constexpr Product products_4[] = {{1, -1, 7, 1, numbers_3}};
inline constexpr RowSum sums_5[] = {{2, 1}};
inline constexpr int numbers_6[] = {0};
inline constexpr Product products_7[] = {{1, -1, 2, 1, numbers_3}};
inline constexpr RowSum sums_8[] = {{1, 2}, {0, 3}};
inline constexpr int numbers_9[] = {0, 1, 2};
inline constexpr const char* const names_10[] = {"", "", "", "", "", "r", "z", "", "", "n", nullptr};
inline constexpr int numbers_11[] = {1};
inline constexpr Vectored vectors_12[] = {{2, 0}, {2, 1}, {2, 2}, {3, 0}, {3, 1}, {3, 2}, {4, 0}, {4, 1}, {4, 2}, {5, 0}, {5, 1}, {5, 2}};
template <class V>
inline const Segment<V> segments_13[] = {{0, 0, {1, products_1}, {1, sums_2}, {0, nullptr}, forward_0<V, false>, forward_0<V, true>}, {1, 0, {0, nullptr}, {0, nullptr}, {0, nullptr}, forward_1<V, false>, forward_1<V, true>}, {2, 0, {1, products_4}, {1, sums_5}, {0, nullptr}, forward_2<V, false>, forward_2<V, true>}, {3, 0, {0, nullptr}, {0, nullptr}, {1, numbers_6}, forward_3<V, false>, forward_3<V, true>}};
template <class V>
inline const Segment<V> segments_14[] = {{0, 0, {0, nullptr}, {1, sums_5}, {1, numbers_6}, backward_0<V>, nullptr}, {1, 0, {0, nullptr}, {0, nullptr}, {0, nullptr}, backward_1<V>, nullptr}, {2, 0, {1, products_7}, {2, sums_8}, {0, nullptr}, backward_2<V>, nullptr}, {3, 0, {0, nullptr}, {0, nullptr}, {0, nullptr}, backward_3<V>, nullptr}};
inline constexpr Product products_15[] = {{1, 0, 0, 2, numbers_0}};
inline constexpr Gradient gradients_16[] = {{0, -1, -1, 3, 3, numbers_9}, {1, 0, -1, 0, 2, numbers_0}, {1, -1, 6, 2, 1, numbers_3}};

template <class V>
inline const Plan<V> plan = {
    /* name */ "gru_norm_before",
    /* states */ 1,
    /* gates */ {3, 3},
    /* x_gates */ {3, numbers_9},
    /* kept_names */ names_10,
    /* kept */ 10,
    /* slots */ {7, 0},
    /* moments */ 3,
    /* x_moments */ 0,
    /* normed */ {1, 1},
    /* projected */ numbers_6,
    /* direct */ numbers_11,
    /* weights */ {12, vectors_12},
    /* biases */ {0, nullptr},
    /* forward */ {4, segments_13<V>},
    /* backward */ {4, segments_14<V>},
    /* incoming */ {1, products_15},
    /* gradients */ {3, gradients_16},
};

}  // namespace RECURRA_NAMESPACE::gru_norm_before
