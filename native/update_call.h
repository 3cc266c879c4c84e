// The arguments of a step of the optimizer, as the binding fills them in.
#pragma once

namespace recurra {

class Arena;

// One parameter, and what belongs to it: arrays of `size` elements without gaps, none overlapping.
template <class T>
struct Updated {
  long size = 0;
  const T* gradient = nullptr;
  T* weight = nullptr;
  T* mean = nullptr;     // of gradients
  T* square = nullptr;   // mean square of gradients
  float* step = nullptr; // steps so far
  double decay = 0;
};

template <class T>
struct UpdateCall {
  const Updated<T>* parameter = nullptr;
  long count = 0;
  int threads = 1;
  double factor = 1;  // on every gradient
  double lr = 0, beta1 = 0, beta2 = 0, epsilon = 0;
  bool decoupled = false;  // AdamW; else decay is a part of the gradient
};

// For one type. `squares` needs the gradients alone; `step` counts the steps up.
template <class T>
struct UpdateKernels {
  double (*squares)(const UpdateCall<T>& call, Arena& arena);
  void (*step)(const UpdateCall<T>& call);
};

}  // namespace recurra
