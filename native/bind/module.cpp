// The Python face of the kernels: addresses and sizes in, nothing owned but packed weights. What it
// receives was checked by recurra/native.py, the only caller.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>

#include "packed_weights.h"
#include "pool.h"
#include "sized.h"

namespace nb = nanobind;
using namespace recurra;

namespace {

// Streams that move on together, a step at a time: their states, and the weights packed.
template <class T>
class Stepper {
 public:
  Stepper(int index, const std::vector<long>& shape, int threads, const Addresses& parameters,
          const std::vector<long>& widths, bool half)
      : weights_(index, shape, threads, parameters, half, {0, 0, 0}), widths_(widths) {
    if (widths.empty() || widths.size() > size_t(most_states))
      throw std::length_error("a cell has one to four states");
    call_.shape = {1, shape.at(1), shape.at(2), shape.at(3), shape.at(4)};
    call_.threads = threads;
    call_.half = half;
    for (const long width : widths) {
      const long size = call_.shape.batch * width;
      for (int turn = 0; turn < 2; ++turn) states_[turn].push_back(memory_.template zeros<T>(size));
    }
    y_ = memory_.template zeros<T>(call_.shape.batch * widths[0]);
  }

  // The outputs (B, R): the stepper's own memory, written over by the next step.
  nb::ndarray<nb::numpy, T, nb::ndim<2>> step(Rows<T> x) {
    if (long(x.shape(0)) != call_.shape.batch || long(x.shape(1)) != call_.shape.inputs)
      throw std::invalid_argument("inputs of another shape than the stepper was made for");
    call_.x = x.data();
    call_.x_row = call_.shape.inputs;
    call_.x_step = call_.shape.batch * call_.x_row;
    call_.y = y_;
    call_.turn = turn_;
    call_.y_row = widths_[0];
    call_.y_step = call_.shape.batch * call_.y_row;
    for (size_t s = 0; s < widths_.size(); ++s) {
      call_.initial[s] = states_[turn_][s];
      call_.last[s] = states_[1 - turn_][s];
    }
    {
      nb::gil_scoped_release release;
      weights_.kernels()->forward(weights_.kernels()->program, weights_.get(), call_, work_);
      work_.reset();
    }
    turn_ = 1 - turn_;
    const size_t shape[] = {size_t(call_.shape.batch), size_t(widths_[0])};
    return nb::ndarray<nb::numpy, T, nb::ndim<2>>(y_, 2, shape, nb::find(this));
  }

  void read(int s, Address to) const { std::memcpy(pointer<T>(to), states_[turn_].at(size_t(s)), bytes(s)); }
  void write(int s, Address from) {
    std::memcpy(states_[turn_].at(size_t(s)), pointer<T>(from), bytes(s));
  }

 private:
  size_t bytes(int s) const {
    return size_t(call_.shape.batch * widths_.at(size_t(s))) * sizeof(T);
  }

  PackedWeights<T> weights_;
  std::vector<long> widths_;
  Arena memory_, work_;
  Call<T> call_;
  std::vector<T*> states_[2];
  T* y_ = nullptr;
  int turn_ = 0;
};

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
      .def("read", &Stepper<T>::read)
      .def("write", &Stepper<T>::write);
  bind_sized<T>(m, ("Sized" + s).c_str());
}

}  // namespace

NB_MODULE(_native, m) {
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
    for (const size_t size : shape) bytes *= size;
    void* at = Memory::instance().take(bytes);
    nb::capsule owner(at, [](void* mine) noexcept { Memory::instance().give(mine); });
    return nb::ndarray<nb::numpy>(at, shape.size(), shape.data(), owner, nullptr,
                                  twice ? nb::dtype<double>() : nb::dtype<float>());
  });
  m.def("share_threads", [](const std::string& path) { return Pool::instance().share(path.c_str()); });
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
  bind<float>(m, "32");
  bind<double>(m, "64");
  bind_loss(m, chosen);
  bind_update(m, chosen);
}
