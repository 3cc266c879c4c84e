// Steps of the optimizer, for Python: addresses and sizes in, as in module.cpp.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>
#include <string>

#include "common.h"

namespace recurra {

namespace {

namespace nb = nanobind;

template <class T>
const UpdateKernels<T>& kernels(const Isa* isa) {
  if constexpr (sizeof(T) == 4) {
    return isa->update;
  } else {
    return isa->update64;
  }
}

// gradient, and for a step also weight, mean, square, step of each parameter
template <class T>
std::vector<Updated<T>> parameters(const std::vector<long>& sizes, const std::vector<Address>& places) {
  const size_t each = sizes.empty() ? 0 : places.size() / sizes.size();
  std::vector<Updated<T>> found(sizes.size());
  for (size_t n = 0; n < sizes.size(); ++n) {
    if (sizes[n] < 0) throw std::invalid_argument("a parameter of a size below 0");
    for (size_t k = 0; k < each && sizes[n]; ++k)
      if (!places.at(n * each + k)) throw std::invalid_argument("a parameter without an address");
    found[n].size = sizes[n];
    found[n].gradient = pointer<const T>(places.at(n * each));
    if (each == 1) continue;
    found[n].weight = pointer<T>(places.at(n * each + 1));
    found[n].mean = pointer<T>(places.at(n * each + 2));
    found[n].square = pointer<T>(places.at(n * each + 3));
    found[n].step = pointer<float>(places.at(n * each + 4));
  }
  return found;
}

template <class T>
void bind(nb::module_& m, const std::string& suffix, const Isa* const& chosen) {
  m.def(("squares" + suffix).c_str(),
        [&chosen](const std::vector<long>& sizes, const std::vector<Address>& places, int threads) {
          const auto all = parameters<T>(sizes, places);
          UpdateCall<T> call;
          call.parameter = all.data();
          call.count = long(all.size());
          call.threads = threads;
          nb::gil_scoped_release release;
          Releasing done;
          return kernels<T>(chosen).squares(call, arena());
        });
  m.def(("update" + suffix).c_str(),
        [&chosen](const std::vector<long>& sizes, const std::vector<Address>& places,
                  const std::vector<double>& decays, int threads, double factor, double lr,
                  double beta1, double beta2, double epsilon, bool decoupled) {
          auto all = parameters<T>(sizes, places);
          for (size_t n = 0; n < all.size(); ++n) all[n].decay = decays.at(n);
          UpdateCall<T> call;
          call.parameter = all.data();
          call.count = long(all.size());
          call.threads = threads;
          call.factor = factor;
          call.lr = lr;
          call.beta1 = beta1;
          call.beta2 = beta2;
          call.epsilon = epsilon;
          call.decoupled = decoupled;
          nb::gil_scoped_release release;
          kernels<T>(chosen).step(call);
        });
}

}  // namespace

void bind_update(nb::module_& m, const Isa* const& chosen) {
  bind<float>(m, "32", chosen);
  bind<double>(m, "64", chosen);
}

}  // namespace recurra
