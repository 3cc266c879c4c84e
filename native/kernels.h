// What one instruction set offers, as a table of functions that the binding chooses from.
#pragma once
#include <cstddef>

#include "arena.h"
#include "call.h"
#include "loss_call.h"
#include "product_call.h"
#include "update_call.h"

namespace recurra {

// A cell's kernels for one type. `program` is theirs: pass it back as the first argument.
template <class T>
struct Kernels {
  const char* name;
  const void* program;
  const char* const* kept;  // names of the values kept a step, "" for those without; ends with null

  // Elements of `saved` for a call with these shapes and options.
  long (*saved_size)(const void* program, const Call<T>& call);
  // Where in `saved` each state is: after the steps, and `most_states` further as the cell computed
  // it, before zoneout and masks; -1 where only `y` has it.
  void (*saved_states)(const void* program, const Call<T>& call, long* at);
  // Packs the parameters into the arena; what it returns lives as long as the arena's pieces.
  void* (*pack)(const void* program, const Call<T>& call, Arena& arena);
  void (*forward)(const void* program, const void* packed, const Call<T>& call, Arena& arena);
  // Inference step by step: all of `threads` threads call `step` for n = 0, 1, ... and in each for all of
  // `pieces`, and meet after every piece. Inputs of step n are read then. A state (B, R) or (B, H) can be read and written
  // as it is before step n; who does not start from `initial` begins with n = 1, and may go on with
  // 2, 1, 2, ... What `begin` returns lives as long as the arena's pieces.
  void* (*begin)(const void* program, const void* packed, const Call<T>& call, Arena& arena, int threads);
  int (*pieces)(const void* begun);
  void (*step)(void* begun, long n, int piece, int thread);
  void (*read_state)(const void* begun, int state, long n, T* to);
  void (*write_state)(void* begun, int state, long n, const T* from);
  void (*backward)(const void* program, const Call<T>& call, Arena& arena);
  // Microseconds that the products of a call take one thread, about.
  double (*work)(const void* program, const Call<T>& call);
};

// Pointwise functions over n values, for tests: name, from, to.
struct Isa {
  const char* name;
  bool (*runs)();  // whether this processor has it
  const Kernels<float>* (*single)(int index);
  const Kernels<double>* (*twice)(int index);
  bool (*function)(const char* name, const float* from, float* to, long n);
  bool (*function64)(const char* name, const double* from, double* to, long n);
  const char* (*half)();   // what computes products in bfloat16 here, or null
  // The output layer of one stream (see head.h).
  void* (*pack_head)(const float* weight, const float* bias, long tokens, long features, Arena& arena);
  void (*head)(const void* packed, const float* x, float* logits, int thread, int threads);
  void (*head_rows)(const void* packed, const float* x, long x_row, long rows, float* c, long c_row,
                    long first, long last);
  long head_columns;
  ProductKernels<float> products;
  ProductKernels<double> products64;
  LossKernels<float> loss;
  LossKernels<double> loss64;
  UpdateKernels<float> update;
  UpdateKernels<double> update64;
  // The kernels of a plan that was compiled elsewhere, with these flags and this vector size.
  Kernels<float> (*adopt)(const void* plan);
  Kernels<double> (*adopt64)(const void* plan);
  const char* flags;
  int bytes;
};

}  // namespace recurra
