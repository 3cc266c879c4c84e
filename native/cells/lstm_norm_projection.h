// lstm_norm_projection: generated from the equations of the cell 'lstm'. Do not edit.
#pragma once
#include "plan.h"

namespace RECURRA_NAMESPACE::lstm_norm_projection {

template <class V, bool Keep>
void forward_0(const Ports<V>& ports) {
  const Ports<V> p = ports;
  for (long b = 0; b < p.rows; ++b) {
    const V v27 = p.u(b, 0);
    const V v28 = p.u(b, 1);
    const V v29 = p.u(b, 2);
    const V v30 = p.u(b, 3);
    p.keep(b, 4, v27);
    p.keep(b, 5, v28);
    p.keep(b, 6, v29);
    p.keep(b, 7, v30);
    p.moments(b, 0, {v27, v28, v29, v30});
  }
}

template <class V, bool Keep>
void forward_1(const Ports<V>& ports) {
  const Ports<V> p = ports;
  for (long b = 0; b < p.rows; ++b) {
    const V v9 = p.normalize(b, 0, p.x(b, 0));
    const V v14 = p.normalize(b, 0, p.x(b, 1));
    const V v19 = p.normalize(b, 0, p.x(b, 2));
    const V v24 = p.normalize(b, 0, p.x(b, 3));
    const V i = sigmoid(v9 * p.weight(8) + p.weight(0) + p.normalize(b, 1, p.kept(b, 4)) * p.weight(12) + p.weight(4));
    const V f = sigmoid(v14 * p.weight(9) + p.weight(1) + p.normalize(b, 1, p.kept(b, 5)) * p.weight(13) + p.weight(5));
    const V g = tanh(v19 * p.weight(10) + p.weight(2) + p.normalize(b, 1, p.kept(b, 6)) * p.weight(14) + p.weight(6));
    const V c = f * p.old(b, 1) + i * g;
    const V o = sigmoid(v24 * p.weight(11) + p.weight(3) + p.normalize(b, 1, p.kept(b, 7)) * p.weight(15) + p.weight(7));
    if constexpr (Keep) p.keep(b, 0, v9);
    if constexpr (Keep) p.keep(b, 1, v14);
    if constexpr (Keep) p.keep(b, 2, v19);
    if constexpr (Keep) p.keep(b, 3, v24);
    if constexpr (Keep) p.keep(b, 8, i);
    if constexpr (Keep) p.keep(b, 9, f);
    if constexpr (Keep) p.keep(b, 10, g);
    p.keep(b, 11, o);
    p.set_fresh(b, 1, c);
    p.moments(b, 0, {c});
  }
}

template <class V, bool Keep>
void forward_2(const Ports<V>& ports) {
  const Ports<V> p = ports;
  for (long b = 0; b < p.rows; ++b) {
    const V c = p.fresh(b, 1);
    const V o = p.kept(b, 11);
    const V v70 = o * tanh(p.normalize(b, 2, c) * p.weight(16) + p.weight(17));
    p.keep(b, 12, v70);
  }
}

template <class V, bool Keep>
void forward_3(const Ports<V>& ports) {
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
  V d0 = V{}, d1 = V{}, d2 = V{}, d3 = V{}, d4 = V{}, d5 = V{};
  for (long b = 0; b < p.rows; ++b) {
    const V c = p.fresh(b, 1);
    const V o = p.kept(b, 11);
    const V v64 = p.weight(16);
    const V v66 = p.normalize(b, 2, c);
    const V v69 = tanh(v66 * v64 + p.weight(17));
    const V v70 = p.kept(b, 12);
    const V v74 = p.u(b, 0);
    const V v80 = v74 * o * (splat<V>(1.0) - v69 * v69);
    const V v81 = v80 * v64;
    const V v82 = v80 * v66;
    const V v87 = v74 * v69 * o * (splat<V>(1.0) - o);
    const V v103 = v87 * p.normalize(b, 1, p.kept(b, 7));
    const V v116 = v87 * p.kept(b, 3);
    p.set_slot(b, 8, v70);
    p.set_slot(b, 0, v80);
    p.set_slot(b, 1, v87);
    d0 += v80;
    d1 += v82;
    d2 += v87;
    d3 += v103;
    d4 += v87;
    d5 += v116;
    p.sums(b, 0, {v81, v66});
  }
  p.add_weight(17, d0);
  p.add_weight(16, d1);
  p.add_weight(7, d2);
  p.add_weight(15, d3);
  p.add_weight(3, d4);
  p.add_weight(11, d5);
}

template <class V>
void backward_2(const Ports<V>& ports) {
  const Ports<V> p = ports;
  V d0 = V{}, d1 = V{}, d2 = V{}, d3 = V{}, d4 = V{}, d5 = V{}, d6 = V{}, d7 = V{}, d8 = V{}, d9 = V{}, d10 = V{}, d11 = V{};
  for (long b = 0; b < p.rows; ++b) {
    const V v9 = p.kept(b, 0);
    const V v14 = p.kept(b, 1);
    const V v19 = p.kept(b, 2);
    const V v24 = p.kept(b, 3);
    const V v34 = p.normalize(b, 1, p.kept(b, 4));
    const V v39 = p.normalize(b, 1, p.kept(b, 5));
    const V v44 = p.normalize(b, 1, p.kept(b, 6));
    const V v49 = p.normalize(b, 1, p.kept(b, 7));
    const V i = p.kept(b, 8);
    const V f = p.kept(b, 9);
    const V g = p.kept(b, 10);
    const V c = p.fresh(b, 1);
    const V v87 = p.slot(b, 1);
    const V v88 = p.grad(b, 1) + p.denormalize(b, 2, p.slot(b, 0) * p.weight(16), p.normalize(b, 2, c));
    const V v92 = v88 * f;
    const V v95 = v88 * i * (splat<V>(1.0) - g * g);
    const V v98 = v88 * p.old(b, 1) * f * (splat<V>(1.0) - f);
    const V v101 = v88 * g * i * (splat<V>(1.0) - i);
    const V v102 = v87 * p.weight(15);
    const V v104 = v95 * p.weight(14);
    const V v105 = v95 * v44;
    const V v106 = v98 * p.weight(13);
    const V v107 = v98 * v39;
    const V v108 = v101 * p.weight(12);
    const V v109 = v101 * v34;
    const V v115 = v87 * p.weight(11);
    const V v117 = v95 * p.weight(10);
    const V v118 = v95 * v19;
    const V v119 = v98 * p.weight(9);
    const V v120 = v98 * v14;
    const V v121 = v101 * p.weight(8);
    const V v122 = v101 * v9;
    p.set_slot(b, 3, v101);
    p.set_slot(b, 2, v98);
    p.set_slot(b, 0, v95);
    p.set_direct(b, 1, v92);
    d0 += v95;
    d1 += v105;
    d2 += v98;
    d3 += v107;
    d4 += v101;
    d5 += v109;
    d6 += v95;
    d7 += v118;
    d8 += v98;
    d9 += v120;
    d10 += v101;
    d11 += v122;
    p.sums(b, 0, {v108, v106, v104, v102, v34, v39, v44, v49});
    p.sums(b, 1, {v121, v119, v117, v115, v9, v14, v19, v24});
  }
  p.add_weight(6, d0);
  p.add_weight(14, d1);
  p.add_weight(5, d2);
  p.add_weight(13, d3);
  p.add_weight(4, d4);
  p.add_weight(12, d5);
  p.add_weight(2, d6);
  p.add_weight(10, d7);
  p.add_weight(1, d8);
  p.add_weight(9, d9);
  p.add_weight(0, d10);
  p.add_weight(8, d11);
}

template <class V>
void backward_3(const Ports<V>& ports) {
  const Ports<V> p = ports;
  for (long b = 0; b < p.rows; ++b) {
    const V v87 = p.slot(b, 1);
    const V v95 = p.slot(b, 0);
    const V v98 = p.slot(b, 2);
    const V v101 = p.slot(b, 3);
    const V du_i = p.denormalize(b, 1, v101 * p.weight(12), p.normalize(b, 1, p.kept(b, 4)));
    const V du_f = p.denormalize(b, 1, v98 * p.weight(13), p.normalize(b, 1, p.kept(b, 5)));
    const V du_g = p.denormalize(b, 1, v95 * p.weight(14), p.normalize(b, 1, p.kept(b, 6)));
    const V du_o = p.denormalize(b, 1, v87 * p.weight(15), p.normalize(b, 1, p.kept(b, 7)));
    const V da_i = p.denormalize(b, 0, v101 * p.weight(8), p.kept(b, 0));
    const V da_f = p.denormalize(b, 0, v98 * p.weight(9), p.kept(b, 1));
    const V da_g = p.denormalize(b, 0, v95 * p.weight(10), p.kept(b, 2));
    const V da_o = p.denormalize(b, 0, v87 * p.weight(11), p.kept(b, 3));
    p.set_slot(b, 0, du_i);
    p.set_slot(b, 1, du_f);
    p.set_slot(b, 2, du_g);
    p.set_slot(b, 3, du_o);
    p.set_slot(b, 4, da_i);
    p.set_slot(b, 5, da_f);
    p.set_slot(b, 6, da_g);
    p.set_slot(b, 7, da_o);
  }
}

inline constexpr int numbers_0[] = {0, 1, 2, 3};
inline constexpr Product products_1[] = {{1, 0, -1, 4, numbers_0}};
inline constexpr RowSum sums_2[] = {{1, 4}};
inline constexpr RowSum sums_3[] = {{2, 1}};
inline constexpr int numbers_4[] = {1};
inline constexpr int numbers_5[] = {0};
inline constexpr Product products_6[] = {{2, -1, 12, 1, numbers_5}};
inline constexpr Product products_7[] = {{2, -1, 0, 1, numbers_5}};
inline constexpr RowSum sums_8[] = {{1, 4}, {0, 4}};
inline constexpr const char* const names_9[] = {"", "", "", "", "", "", "", "", "i", "f", "g", "o", "", nullptr};
inline constexpr int numbers_10[] = {1, 0};
inline constexpr int numbers_11[] = {0, 1};
inline constexpr Vectored vectors_12[] = {{2, 0}, {2, 1}, {2, 2}, {2, 3}, {3, 0}, {3, 1}, {3, 2}, {3, 3}, {5, 0}, {5, 1}, {5, 2}, {5, 3}, {6, 0}, {6, 1}, {6, 2}, {6, 3}, {7, -1}, {8, -1}};
template <class V>
inline const Segment<V> segments_13[] = {{0, 0, {1, products_1}, {1, sums_2}, {0, nullptr}, forward_0<V, false>, forward_0<V, true>}, {1, 0, {0, nullptr}, {1, sums_3}, {1, numbers_4}, forward_1<V, false>, forward_1<V, true>}, {2, 0, {0, nullptr}, {0, nullptr}, {0, nullptr}, forward_2<V, false>, forward_2<V, true>}, {3, 1, {1, products_6}, {0, nullptr}, {1, numbers_5}, forward_3<V, false>, forward_3<V, true>}};
template <class V>
inline const Segment<V> segments_14[] = {{0, 1, {0, nullptr}, {0, nullptr}, {1, numbers_5}, backward_0<V>, nullptr}, {1, 0, {1, products_7}, {1, sums_3}, {0, nullptr}, backward_1<V>, nullptr}, {2, 0, {0, nullptr}, {2, sums_8}, {1, numbers_4}, backward_2<V>, nullptr}, {3, 0, {0, nullptr}, {0, nullptr}, {0, nullptr}, backward_3<V>, nullptr}};
inline constexpr Product products_15[] = {{1, 0, 0, 4, numbers_0}};
inline constexpr Gradient gradients_16[] = {{0, -1, -1, 4, 4, numbers_0}, {1, 0, -1, 0, 4, numbers_0}, {2, -1, 8, 0, 1, numbers_5}};

template <class V>
inline const Plan<V> plan = {
    /* name */ "lstm_norm_projection",
    /* states */ 2,
    /* gates */ {4, 4},
    /* x_gates */ {4, numbers_0},
    /* kept_names */ names_9,
    /* kept */ 13,
    /* slots */ {9, 1},
    /* moments */ 3,
    /* x_moments */ 0,
    /* normed */ {1, 1},
    /* projected */ numbers_10,
    /* direct */ numbers_11,
    /* weights */ {18, vectors_12},
    /* biases */ {0, nullptr},
    /* forward */ {4, segments_13<V>},
    /* backward */ {4, segments_14<V>},
    /* incoming */ {1, products_15},
    /* gradients */ {3, gradients_16},
};

}  // namespace RECURRA_NAMESPACE::lstm_norm_projection
