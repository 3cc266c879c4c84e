// The output layer with its loss, for Python: addresses and sizes in, as in module.cpp.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>
#include <string>

#include "common.h"

namespace recurra {

namespace {

namespace nb = nanobind;

template <class T>
const LossKernels<T>& kernels(const Isa* isa) {
  if constexpr (sizeof(T) == 4) {
    return isa->loss;
  } else {
    return isa->loss64;
  }
}

// x, its row's distance, weight, bias, target, counted
template <class T>
LossCall<T> common(const std::vector<long>& sizes, int threads, bool half, const std::vector<Address>& given) {
  constexpr long most = 1L << 40;
  long elements = 0, weights = 0;
  if (sizes.size() != 4 || sizes[0] < 0 || sizes[1] < 1 || sizes[2] < 1 || sizes[0] >= most ||
      __builtin_mul_overflow(sizes[0], sizes[1], &elements) || elements >= most ||
      __builtin_mul_overflow(sizes[1], sizes[2], &weights) || weights >= most)
    throw std::invalid_argument("sizes that no output layer can have: expected N of 0 or more and H, V of 1 or more");
  LossCall<T> call;
  call.rows = sizes.at(0);
  call.features = sizes.at(1);
  call.tokens = sizes.at(2);
  call.x_row = sizes.at(3);
  call.threads = threads;
  call.half = half;
  call.x = pointer<const T>(given.at(0));
  call.weight = pointer<const T>(given.at(1));
  call.bias = pointer<const T>(given.at(2));
  call.target = pointer<const int64_t>(given.at(3));
  call.counted = pointer<const unsigned char>(given.at(4));
  if (!call.weight || (call.rows && (!call.x || !call.target)))
    throw std::invalid_argument("a call without inputs, weights or targets");
  return call;
}

// The first row that counts and whose target is no token, or -1.
template <class T>
long wrong_row(const LossCall<T>& call) {
  for (long n = 0; n < call.rows; ++n)
    if ((!call.counted || call.counted[n]) && (call.target[n] < 0 || call.target[n] >= call.tokens))
      return n;
  return -1;
}

template <class T>
void bind(nb::module_& m, const std::string& suffix, const Isa* const& chosen) {
  m.def(("loss_forward" + suffix).c_str(),
        [&chosen](const std::vector<long>& sizes, int threads, bool half,
                  const std::vector<Address>& given, Address loss, Address spread) {
          LossCall<T> call = common<T>(sizes, threads, half, given);
          call.loss = pointer<T>(loss);
          call.spread = pointer<T>(spread);
          nb::gil_scoped_release release;
          const long wrong = wrong_row(call);
          if (wrong >= 0) return wrong;
          Releasing done;
          kernels<T>(chosen).forward(call, arena());
          return wrong;
        });
  m.def(("loss_backward" + suffix).c_str(),
        [&chosen](const std::vector<long>& sizes, int threads, bool half,
                  const std::vector<Address>& given, Address spread, Address dloss, Address dx, Address dweight, Address dbias) {
          LossCall<T> call = common<T>(sizes, threads, half, given);
          call.spread = pointer<T>(spread);
          call.dloss = pointer<const T>(dloss);
          call.dx = pointer<T>(dx);
          call.dweight = pointer<T>(dweight);
          call.dbias = pointer<T>(dbias);
          nb::gil_scoped_release release;
          Releasing done;
          kernels<T>(chosen).backward(call, arena());
        });
}

}  // namespace

void bind_loss(nb::module_& m, const Isa* const& chosen) {
  bind<float>(m, "32", chosen);
  bind<double>(m, "64", chosen);
}

}  // namespace recurra
