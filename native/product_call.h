// Products of many pairs of matrices, as the binding asks for them.
#pragma once

namespace recurra {

// c = a b, `count` times: a (rows, depth), b (depth, columns), c (rows, columns). A `step` leads from one
// matrix to the next; a's and c's columns lie side by side, and either b's rows or its columns do.
template <class T>
struct Matrices {
  const T* a = nullptr;
  const T* b = nullptr;
  T* c = nullptr;
  long count = 0, rows = 0, depth = 0, columns = 0;
  long a_step = 0, a_row = 0, b_step = 0, b_row = 0, b_column = 0, c_step = 0, c_row = 0;
};

// The matrices [first, last) of a call.
template <class T>
using ProductKernels = void (*)(const Matrices<T>& call, long first, long last);

}  // namespace recurra
