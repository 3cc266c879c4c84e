// What the parts of the binding share.
#pragma once
#include <nanobind/nanobind.h>

#include <cstdint>

#include "isa.h"

namespace recurra {

using Address = uintptr_t;

template <class T>
T* pointer(Address address) {
  return reinterpret_cast<T*>(address);
}

// Working memory of the calling thread.
inline Arena& arena() {
  thread_local Arena mine;
  return mine;
}

struct Releasing {  // ends the pieces whatever happens
  ~Releasing() { arena().reset(); }
};

// The parts that have files of their own. `chosen` is the instruction set in use, at any time.
void bind_loss(nanobind::module_& m, const Isa* const& chosen);
void bind_update(nanobind::module_& m, const Isa* const& chosen);
void bind_own(nanobind::module_& m);  // recurra/native/own.py
void bind_writing(nanobind::module_& m);
void bind_product(nanobind::module_& m);

}  // namespace recurra
