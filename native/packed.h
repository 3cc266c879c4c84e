// Weights in the order in which the micro-kernel reads them, and the other parameters padded.
#pragma once
#include "arena.h"
#include "call.h"
#include "half.h"
#include "plan.h"
#include "tile.h"

namespace RECURRA_NAMESPACE {

using recurra::Arena;
using recurra::Call;
using recurra::second_level_cache;
using recurra::Shape;

// Rows of units in memory are padded to this many, which every vector divides.
constexpr long pad = 16;
inline long padded(long units) { return (units + pad - 1) / pad * pad; }

// Parts of `count` things for threads: thread t has [share(t), share(t + 1)).
inline long share(long count, int thread, int threads) { return count * thread / threads; }

// Panels of one matrix: panel[unit / lanes][k][gate][lane], `stride` elements from one to the next.
// For products in bfloat16 there are panels of pairs as well (see half.h).
template <class V>
struct Panels {
  Scalar<V>* at = nullptr;
  Scalar<V>* start = nullptr;  // [panel][gate][lane]: what sums start from (a bias, or zeros)
  long depth = 0, count = 0, stride = 0;
  int gates = 1;
  Half* half = nullptr;
  long half_stride = 0;
  // Where there is no copy in order: the matrix, rows of `columns` weights, side by side, of `units`
  // rows to a gate; and which gates the panels have (see in_place.h).
  const Scalar<V>* in_place = nullptr;
  long units = 0, columns = 0;
  const int* gate = nullptr;
  bool transposed = false;

  const Scalar<V>* panel(long n) const { return at + n * stride; }
};

// Units of a space, and of the argument of a product.
inline long units_of(const Shape& shape, int space) {
  return space ? shape.projection : shape.hidden;
}

template <class V>
Panels<V> take_panels(Arena& arena, long units, long depth, int gates, bool half, bool in_place = false) {
  constexpr long W = lanes<V>;
  Panels<V> p;
  p.depth = depth;
  p.count = padded(units) / W;
  p.gates = gates;
  p.stride = depth * gates * W;
  if (!in_place) p.at = arena.take<Scalar<V>>(p.count * p.stride);
  p.start = arena.zeros<Scalar<V>>(p.count * gates * W);
  if (half) {
    p.half_stride = half_depth(depth) * gates * W;
    p.half = arena.take<Half>(p.count * p.half_stride);
  }
  return p;
}

template <class V>
void pack_half(const Panels<V>& p, long panel) {
  if constexpr (has_half<V>)
    if (p.half) to_half_panel(p.panel(panel), p.depth, p.gates, p.half + panel * p.half_stride);
}

// to[k][g][lane] = weight[gate[g] * units + unit][first + k]: `depth` arguments of panel n, from `first`.
//   weight  (gates of the cell * units, columns), rows side by side. Read only.
//   ahead   how far on what is read next is: few lines of many rows, which no cache expects
template <class V>
void pack_panel(const Scalar<V>* weight, long units, const int* gate, int gates, long columns, long n, long first,
                long depth, Scalar<V>* panel, long ahead = 0) {
  constexpr long W = lanes<V>;
  for (int g = 0; g < gates; ++g) {
    Scalar<V>* to = panel + g * W;
    const long real = units - n * W < 0 ? 0 : units - n * W < W ? units - n * W : W;
    const Scalar<V>* from = weight + (gate[g] * units + n * W) * columns + first;
    for (long k = 0; k < depth; k += W) {
      const long left = depth - k, many = left < W ? left : W;
      V rows[W];
      if (real == W && many == W) {
        for (long lane = 0; lane < W; ++lane) {
          if (ahead) __builtin_prefetch(from + lane * columns + k + ahead);
          rows[lane] = load<V>(from + lane * columns + k);
        }
      } else {
        for (long lane = 0; lane < W; ++lane)
          rows[lane] = lane < real ? load_left<V>(from + lane * columns + k, left) : V{};
      }
      transpose(rows);
      for (long j = 0; j < many; ++j) store<V>(to + (k + j) * gates * W, rows[j]);
    }
  }
}

// The panels [first, last) of p, which have all of the weight's columns.
template <class V>
void pack_rows(const Panels<V>& p, const Scalar<V>* weight, long units, const int* gate, long first,
               long last) {
  for (long n = first; n < last; ++n) {
    pack_panel<V>(weight, units, gate, p.gates, p.depth, n, 0, p.depth, p.at + n * p.stride);
    pack_half(p, n);
  }
}

// Notes where the weights are, in the place of a copy in order.
template <class V>
void leave_in_place(Panels<V>& p, const Scalar<V>* weight, long units, long columns, const int* gate, int gates,
                    bool transposed) {
  p.in_place = weight;
  p.units = units;
  p.columns = columns;
  p.gate = gate;
  p.transposed = transposed;
  if (transposed) p.gates = gates;
}

// panel[j * padded(units) + unit][lane] = weight[gate[j] * units + unit][column]: for products with
// the transpose, whose argument is the gradients of `gates` gates. Panels [first, last) of columns.
template <class V>
void pack_columns(const Panels<V>& p, const Scalar<V>* weight, long units, long columns,
                  const int* gate, int gates, long first, long last) {
  constexpr long W = lanes<V>;
  for (long n = first; n < last; ++n) {
    const long real = columns - n * W < 0 ? 0 : columns - n * W < W ? columns - n * W : W;
    Scalar<V>* to = p.at + n * p.stride;
    for (int j = 0; j < gates; ++j) {
      const Scalar<V>* from = weight + gate[j] * units * columns + n * W;
      for (long unit = 0; unit < padded(units); ++unit, to += W) {
        if (unit >= units || real == 0) {
          store<V>(to, V{});
        } else if (real == W) {
          store<V>(to, load<V>(from + unit * columns));
        } else {
          store<V>(to, load_part<V>(from + unit * columns, real));
        }
      }
    }
    pack_half(p, n);
  }
}

// The vectors of parameters, padded, and which lanes are units.
template <class V>
class Vectors {
 public:
  using T = Scalar<V>;

  Vectors(const Plan<V>& plan, const Shape& shape, Arena& arena) : plan_(plan), shape_(shape) {
    weights = arena.zeros<T>(plan.weights.size * padded(shape.hidden));
    for (int space = 0; space < 2; ++space) {
      real[space] = arena.zeros<T>(padded(units_of(shape, space)));
      for (long n = 0; n < units_of(shape, space); ++n) real[space][n] = 1;
    }
  }

  void fill(const T* const* parameter) {
    for (int w = 0; w < plan_.weights.size; ++w) {
      const Vectored& v = plan_.weights.item[w];
      const T* from = parameter[v.parameter];
      if (!from) continue;
      if (v.gate == single) {
        for (long k = 0; k < shape_.hidden; ++k) weights[w * padded(shape_.hidden) + k] = *from;
        continue;
      }
      if (v.gate > 0) from += v.gate * shape_.hidden;
      std::memcpy(weights + w * padded(shape_.hidden), from, size_t(shape_.hidden) * sizeof(T));
    }
  }

  T* weights;  // (weights, padded H)
  T* real[2];  // (padded H), (padded P): 1 for units, 0 for padding

 private:
  const Plan<V>& plan_;
  const Shape shape_;
};

// The input's product with every row that a token can choose, `row` apart.
template <class V>
struct Table {
  Scalar<V>* at = nullptr;
  long row = 0;

  Table() = default;
  Table(const Panels<V>& x, long symbols, Arena& arena)
      : row(x.count * x.gates * lanes<V> + lanes<V>) {  // odd: no two rows in one set of a cache
    at = arena.take<Scalar<V>>(symbols * row);
  }
};

// The parameters as the forward pass reads them. `fill` may be shared out among threads.
template <class V>
class Packed {
 public:
  using T = Scalar<V>;

  // `in_place`: the matrices are read where they are.
  Packed(const Plan<V>& plan, const Call<T>& call, Arena& arena, bool in_place = false)
      : vectors(plan, call.shape, arena), plan_(plan), shape_(call.shape), in_place_(in_place) {
    const Shape& shape = call.shape;
    x = take_panels<V>(arena, shape.hidden, shape.inputs, plan.x_gates.size, call.half, in_place);
    products = arena.take<Panels<V>>(count_products(plan.forward));
    if (call.symbols && !call.tokens) table = Table<V>(x, call.symbols, arena);
    for (const Segment<V>& segment : plan.forward)
      for (const Product& p : segment.products)
        products[count_++] = 
            take_panels<V>(arena, units_of(shape, segment.space), depth(p), p.gates, call.half, in_place);
    if (!in_place) return;
    note(x, weight_ih, shape.hidden, plan.x_gates.item, call.parameter);
    int n = 0;
    for (const Segment<V>& segment : plan.forward)
      for (const Product& p : segment.products)
        note(products[n++], p.matrix, units_of(shape, segment.space), p.gate, call.parameter);
  }

  void fill(const T* const* parameter, int thread, int threads) {
    fill_panels(x, weight_ih, shape_.hidden, plan_.x_gates.item, parameter, thread, threads);
    int n = 0;
    for (const Segment<V>& segment : plan_.forward)
      for (const Product& p : segment.products)
        fill_panels(products[n++], p.matrix, units_of(shape_, segment.space), p.gate, parameter, thread,
                    threads);
    if (thread == 0) vectors.fill(parameter);
  }

  Table<V> table;  // where the rows were given at packing
  Vectors<V> vectors;
  Panels<V> x, *products;

 private:
  void note(Panels<V>& p, int matrix, long units, const int* gate, const T* const* parameter) {
    leave_in_place(p, parameter[matrix_place[matrix]], units, p.depth, gate, p.gates, false);
  }

  long depth(const Product& p) const {
    return p.matrix == weight_hr || p.slot >= 0 ? shape_.hidden : shape_.recurrent();
  }

  void fill_panels(Panels<V>& p, int matrix, long units, const int* gate, const T* const* parameter,
                   int thread, int threads) {
    const long first = share(p.count, thread, threads), last = share(p.count, thread + 1, threads);
    if (!in_place_) pack_rows<V>(p, parameter[matrix_place[matrix]], units, gate, first, last);
    if (matrix == weight_hr || plan_.normed[matrix]) return;
    const T* bias = parameter[2 + matrix];
    if (!bias) return;
    constexpr long W = lanes<V>;
    for (long n = first; n < last; ++n)
      for (int g = 0; g < p.gates; ++g)
        for (long lane = 0; lane < W && n * W + lane < units; ++lane)
          p.start[(n * p.gates + g) * W + lane] = bias[gate[g] * units + n * W + lane];
  }

  const Plan<V>& plan_;
  const Shape shape_;
  const bool in_place_;
  int count_ = 0;
};

}  // namespace RECURRA_NAMESPACE
