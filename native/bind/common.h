// What the parts of the binding share.
#pragma once
#include <nanobind/nanobind.h>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <vector>

#include "isa.h"

namespace recurra {

using Address = uintptr_t;

template <class T>
T* pointer(Address address) {
  return reinterpret_cast<T*>(address);
}

// Working memory of the calls of a thread: one arena a call, as a signal's handler may make another
// within.
struct Arenas {
  std::vector<std::unique_ptr<Arena>> all;
  size_t used = 0;

  static Arenas& of_thread() {
    thread_local Arenas mine;
    return mine;
  }
};

// That of the innermost call, of which there is a `Releasing`.
inline Arena& arena() {
  Arenas& here = Arenas::of_thread();
  return *here.all[here.used - 1];
}

struct Releasing {  // ends the pieces whatever happens
  Releasing() {
    Arenas& here = Arenas::of_thread();
    if (here.used == here.all.size()) here.all.push_back(std::make_unique<Arena>());
    ++here.used;
  }
  ~Releasing() {
    arena().reset();
    --Arenas::of_thread().used;
  }
  Releasing(const Releasing&) = delete;
};

// Throws where a layer cannot have such sizes: T, B, I, H, P and perhaps V. What they multiply to must be
// far below what a long holds.
inline void check_sizes(const std::vector<long>& sizes) {
  constexpr long most = 1L << 40;
  long all = 1;
  bool good = sizes.size() == 5 || sizes.size() == 6;
  for (size_t n = 0; good && n < sizes.size(); ++n) {
    good = sizes[n] >= (n == 2 || n == 3 ? 1 : 0) && sizes[n] < most;
    if (good && sizes[n] > 1 && n < 2) good = !__builtin_mul_overflow(all, sizes[n], &all) && all < most;
  }
  long widths = 0, weights = 0;
  good = good && !__builtin_mul_overflow(all, sizes[2] + sizes[3] + sizes[4], &widths) && widths < most &&
         !__builtin_mul_overflow(sizes[3], sizes[2] + sizes[3] + sizes[4], &weights) && weights < most &&
         (sizes.size() == 5 || (!__builtin_mul_overflow(sizes[5], sizes[2] + sizes[3], &weights) && weights < most));
  if (!good)
    throw std::invalid_argument("sizes that no layer can have: expected T, B, P, V of 0 or more and I, H of 1 or more");
}

// The parts that have files of their own. `chosen` is the instruction set in use, at any time.
void bind_loss(nanobind::module_& m, const Isa* const& chosen);
void bind_update(nanobind::module_& m, const Isa* const& chosen);
void bind_own(nanobind::module_& m);  // recurra/native/own.py
void bind_writing(nanobind::module_& m);
void bind_product(nanobind::module_& m);

}  // namespace recurra
