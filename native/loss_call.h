// The arguments of the output layer with its loss, as the binding fills them in. Sizes: N rows, H
// features, V tokens. The caller owns every array, and no output overlaps anything else.
#pragma once
#include <cstdint>

namespace recurra {

class Arena;

template <class T>
struct LossCall {
  long rows = 0, features = 0, tokens = 0;
  int threads = 1;
  bool half = false;                       // products in bfloat16, where has_half

  const T* x = nullptr;                    // (N, H), row n at x + n * x_row
  long x_row = 0;
  const T* weight = nullptr;               // (V, H)
  const T* bias = nullptr;                 // (V), or null: zeros
  const int64_t* target = nullptr;         // (N); read where a row counts, and there within [0, V)
  const unsigned char* counted = nullptr;  // (N), or null: every row counts

  T* loss = nullptr;    // (N): -log softmax(W x + b)[target]
  T* spread = nullptr;  // (N, 2): the greatest logit, and the sum of exp(logit - greatest)
                        // both 0 for rows that do not count

  // Backward. Gradients may be null: not wanted. All are written, not added to.
  const T* dloss = nullptr;  // (N)
  T* dx = nullptr;           // (N, H), rows side by side; zeros for rows that do not count
  T* dweight = nullptr;      // (V, H)
  T* dbias = nullptr;        // (V)
};

// For one type: forward writes `loss` and `spread`, backward reads `spread`.
template <class T>
struct LossKernels {
  void (*forward)(const LossCall<T>& call, Arena& arena);
  void (*backward)(const LossCall<T>& call, Arena& arena);
};

}  // namespace recurra
