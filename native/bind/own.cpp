#include "../own.h"

#include <nanobind/stl/string.h>

#include <stdexcept>

#include "common.h"

namespace nb = nanobind;
namespace recurra {
namespace {

const Isa& named(const std::string& name) {
  const Isa* isa = choose_isa(name.c_str());
  if (!isa) throw std::invalid_argument("no such instruction set here");
  return *isa;
}

}  // namespace

void bind_own(nb::module_& m) {
  m.def("own_text", [] { return own_text; });
  m.def("own_layout", [](const std::string& isa) { return own_layout(named(isa)); });
  m.def("own_bytes", [](const std::string& isa) { return named(isa).bytes; });
  m.def("own_flags", [](const std::string& isa) { return named(isa).flags; });
  m.def("add_own", [](const std::string& path, const std::string& isa) {
    const Isa& found = named(isa);
    nb::gil_scoped_release release;
    return add_own(path, found);
  });
}

}  // namespace recurra
