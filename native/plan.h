// A cell's plan: which products and segments make up a step. Generated tables; see cells/emit.py.
#pragma once
#include "ports.h"

namespace RECURRA_NAMESPACE {

using recurra::max_gates;

// Of any length: the tables that the generator writes are arrays beside the plan.
template <class E>
struct List {
  int size;
  const E* item;
  const E* begin() const { return item; }
  const E* end() const { return item + size; }
};

using Gates = List<int>;

// Matrices of parameters: their places in the list of parameters follow from `matrix_place`.
enum Matrix { weight_ih, weight_hh, weight_hr };
constexpr int matrix_place[] = {0, 1, 4};

// matrix[gates] * v, or its transpose on the gradients of the gates.
struct Product {
  int matrix;
  int state;     // the argument is this state before the step, or -1
  int slot;      // forward: the kept value that is the argument, or -1; backward: first gradient
  int gates;     // how many
  const int* gate;  // which, in the order of the gradients' slots
};

// A product's gradient over all of time: matrix[gates] += sum of gradient * argument^T.
struct Gradient {
  int matrix;
  int state;     // the argument is this state before the step, or -1
  int argument;  // or this slot of H units, or the input where both are -1
  int slot;      // first gradient
  int gates;
  const int* gate;
};

struct RowSum {
  int moment;    // which of the cell's moments
  int values;    // how many vectors of H units it is over; 0: the largest of one
};

constexpr int single = -2;

struct Vectored {
  int parameter;  // place in the list of parameters
  int gate;       // the part of this gate, or -1: all of it, or `single`: one number for all units
};

struct Bias {
  int parameter, gate, slot;
};

template <class V>
struct Segment {
  using Function = void (*)(const Ports<V>&);
  int level;                        // synchronisations before it in the step
  int space;                        // 0: H units, 1: P units
  List<Product> products;
  List<RowSum> rows;
  List<int> states;     // forward: written here. backward: dL/d(state) is read here
  Function run, keep;               // forward: for inference, for training. backward: run alone
};

template <class V>
struct Plan {
  const char* name;
  int states;
  int gates[2];                     // how many weight_ih and weight_hh have rows for
  Gates x_gates;                    // gates of weight_ih that the cell reads
  const char* const* kept_names;    // "" for those without; ends with null
  int kept;                         // values kept a unit and step, all of H units
  int slots[2];                     // gradients and what else backward leaves, of H and of P units
  int moments;
  int x_moments;                    // the moments that are over the input's product, or -1
  int normed[2];                    // the biases of weight_ih, weight_hh belong to a norm
  const int* projected;             // the state has P units
  const int* direct;                // part of dL/d(old state) comes without a product
  List<Vectored> weights;
  List<Bias> biases;
  List<Segment<V>> forward, backward;
  List<Product> incoming;   // products by which dL/d(old state) flows to the step before
  List<Gradient> gradients;
};

// How many products the segments of a step have.
template <class V>
int count_products(const List<Segment<V>>& segments) {
  int products = 0;
  for (const Segment<V>& segment : segments) products += segment.products.size;
  return products;
}

}  // namespace RECURRA_NAMESPACE
