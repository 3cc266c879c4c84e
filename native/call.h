// The arguments of a call, as the binding fills them in. Sizes: B rows, T steps, I inputs, H hidden
// units, P projected (0: none), R = P or H. Units are next to one another in every array; the
// caller owns all of them, and no output overlaps anything else.
#pragma once
#include <cstdint>

#include "sizes.h"

namespace recurra {

constexpr int most_states = max_states, most_parameters = max_parameters, matrices = 3;

struct Shape {
  long steps = 0, batch = 0, inputs = 0, hidden = 0, projection = 0;
  long first = 0, whole = 0;  // of a part of the rows: which is its first, of how many (see parts.h)

  long recurrent() const { return projection ? projection : hidden; }
  long rows() const { return whole ? whole : batch; }  // between two steps of arrays (T, B, .)
};

template <class T>
struct Call {
  Shape shape;
  int threads = 1;                             // below 0: at most so many, where they pay
  bool reverse = false;
  bool each = false;                           // steps are asked for one by one (see `Kernels::step`)
  bool by_units = false;                       // threads share units alone, whatever there is of rows
  long turn = 0;                               // steps before this call, of whoever calls for each
  bool half = false;                           // products in bfloat16, where has_half

  const T* x = nullptr;                        // (T, B, I) with strides; with `tokens` (V, I)
  long x_step = 0, x_row = 0;
  const int64_t* tokens = nullptr;             // (T, B): the input is that row of x. Null: x itself
  long symbols = 0;                            // V, with `tokens`
  const T* parameter[most_parameters] = {};    // as the program lists them; null: a bias that is 0
  const T* initial[most_states] = {};          // (B, R) or (B, H); null: zeros
  const unsigned char* valid = nullptr;        // (T, B); null: all
  const T* recurrent_mask = nullptr;           // (B, R), factors on every recurrent argument
  const T* keep[most_states] = {};             // (T, B, R or H), share of the old state that stays
  T keep_rate[most_states] = {};               // where `keep` is null: that share, 0 for none
  const unsigned char* reset = nullptr;        // (T, B): before that step the row begins anew; null: never
  const T* start[most_states] = {};            // (B, R) or (B, H): the states it begins with; null: zeros

  T* y = nullptr;                              // (T, B, R) with strides
  long y_step = 0, y_row = 0;
  T* last[most_states] = {};                   // (B, R) or (B, H); with `each` (T, B, .), of every step
  T* saved = nullptr;                          // what backward needs (see Saved); null: inference

  // Backward. Gradients of outputs may be null: zeros. Those of inputs may be null: not wanted.
  // Gradients of parameters are added to what is there.
  const T* dy = nullptr;                       // (T, B, R) with strides
  long dy_step = 0, dy_row = 0;
  const T* dlast[most_states] = {};
  T* dx = nullptr;                             // as x
  long dx_step = 0, dx_row = 0;
  T* dparameter[most_parameters] = {};
  bool fresh = false;                          // they are written: what is there is no number
  bool written[matrices] = {};                 // of which the first sums are written, not added
  T* dinitial[most_states] = {};
  T* dstart[most_states] = {};
  T* dstate[most_states] = {};                 // (T, B, padded R or H), dL/d(state after each step)
};

}  // namespace recurra
