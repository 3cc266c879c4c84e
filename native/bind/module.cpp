// The Python face of the kernels: addresses and sizes in, nothing owned but packed weights. What it
// receives was checked by recurra/native.py, the only caller.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>

#include "costs.h"
#include "packed_weights.h"
#include "pool.h"
#include "prepared.h"
#include "sized.h"
#include "stepper.h"
#include "watched.h"

namespace nb = nanobind;
using namespace recurra;

namespace {

template <class T>
void bind(nb::module_& m, const char* suffix) {
  const std::string s = suffix;
  nb::class_<PackedWeights<T>>(m, ("Packed" + s).c_str())
      .def(nb::init<int, const std::vector<long>&, int, const Addresses&, bool, const Strided&>())
      .def("step", nb::overload_cast<Rows<T>, const std::vector<Rows<T>>&, const std::vector<double>&, int>(
                       &PackedWeights<T>::step, nb::const_))
      .def("step_tokens", &PackedWeights<T>::step_tokens);
  nb::class_<Stepper<T>>(m, ("Stepper" + s).c_str())
      .def(nb::init<int, const std::vector<long>&, int, const Addresses&, const std::vector<long>&, bool>())
      .def("step", &Stepper<T>::step)
      .def("step", &Stepper<T>::step_anew, nb::arg("x"), nb::arg("reset").none())
      .def("begin_with", &Stepper<T>::begin_with)
      .def("read", &Stepper<T>::read)
      .def("write", &Stepper<T>::write);
  nb::class_<Watched<T>>(m, ("Watched" + s).c_str())
      .def(nb::init<nb::handle, const std::vector<long>&>())
      .def("same", &Watched<T>::same)
      .def("forget", &Watched<T>::forget);
  nb::class_<Prepared<T>>(m, ("Prepared" + s).c_str())
      .def(nb::init<nb::list, int, int, int, bool, bool, std::vector<nb::object>, long, nb::tuple>())
      .def("run", &Prepared<T>::run, nb::arg("parameters"), nb::arg("x"), nb::arg("given").none(), nb::arg("threads"));
  bind_sized<T>(m, ("Sized" + s).c_str());
}

// What Python does between two of its instructions: a handler of a signal may end the call.
void ask_python() {
  const nb::gil_scoped_acquire python;
  if (PyErr_CheckSignals()) throw nb::python_error();
}

}  // namespace

NB_MODULE(_native, m) {
  Watch::ask(ask_python);
  nb::set_leak_warnings(false);
  chosen = choose_isa(nullptr);
  m.def("isas", [] {
    std::vector<std::string> names;
    for (const Isa* const* isa = runnable_isas(); *isa; ++isa) names.push_back((*isa)->name);
    return names;
  });
  m.def("isa", [] { return chosen->name; });
  m.def("half", [] { return chosen->half() ? std::string(chosen->half()) : std::string(); });
  m.def("use_isa", [](const std::string& name) {
    const Isa* isa = choose_isa(name.c_str());
    if (isa) chosen = isa;
    return isa != nullptr;
  });
  m.def("cells", [] {
    std::vector<std::string> names;
    for (int n = 0; const Kernels<float>* kernels = chosen->single(n); ++n) names.push_back(kernels->name);
    return names;
  });
  m.def("empty", [](const std::vector<size_t>& shape, bool twice) {
    size_t bytes = twice ? 8 : 4;
    for (const size_t size : shape)
      if (__builtin_mul_overflow(bytes, size, &bytes)) throw std::bad_alloc();
    void* at = Memory::instance().take(bytes);
    nb::capsule owner(at, [](void* mine) noexcept { Memory::instance().give(mine); });
    return nb::ndarray<nb::numpy>(at, shape.size(), shape.data(), owner, nullptr,
                                  twice ? nb::dtype<double>() : nb::dtype<float>());
  });
  m.def("share_threads", [](const std::string& path) { return Pool::instance().share(path.c_str()); });
  m.def("cores", [] { return cores(); });
  m.def("limit_cores", [](int most) { limit_cores(most); });
  m.def("crowded", [] { return Pool::instance().crowded(); });
  m.def("costs", [] {
    const Costs found = costs();
    return std::make_tuple(found.cycle, found.meeting, found.waking, found.gain, found.measured);
  });
  // For work that is shared out once: multiplications, or what takes as long.
  m.def("threads_for", [](int most, double products) {
    const int room = cores();
    Step step;
    step.products = products;
    step.per_cycle = chosen->bytes / 2;
    step.by_rows = true;
    if (most > room) most = room;
    return most < 2 || too_small(step, 1) ? 1 : choose(costs(), step, 1, most).threads;
  });
  m.def("choose_threads", [](const std::tuple<double, double, double, double>& given, double products, int per_cycle,
                             bool single, int meetings, double states, bool by_rows, double steps, int most) {
    const auto [cycle, meeting, waking, gain] = given;
    const Step step{products, per_cycle, single, meetings, states, by_rows};
    const Choice found = choose({cycle, meeting, waking, gain, true}, step, steps, most);
    return std::make_tuple(found.threads, found.brief);
  });
  m.def("most_threads", [] { return most_parts; });
  m.def("memory", [] {
    return std::make_tuple(Memory::instance().used(), Memory::instance().kept());
  });
  m.def("kept", [](int index) {
    std::vector<std::string> names;
    for (const char* const* name = table<float>(index)->kept; *name; ++name) names.push_back(*name);
    return names;
  });
  m.def("function", [](const std::string& name, Address from, Address to, long n, bool twice) {
    if (twice) return chosen->function64(name.c_str(), pointer<double>(from), pointer<double>(to), n);
    return chosen->function(name.c_str(), pointer<float>(from), pointer<float>(to), n);
  });
  bind_own(m);
  bind_writing(m);
  bind_product(m);
  bind<float>(m, "32");
  bind<double>(m, "64");
  bind_loss(m, chosen);
  bind_update(m, chosen);
}
