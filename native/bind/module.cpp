// The Python face of the kernels: addresses and sizes in, nothing owned but packed weights. What it
// receives was checked by recurra/native.py, the only caller.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>

#include "../own.h"
#include "common.h"
#include "pool.h"

namespace nb = nanobind;
using namespace recurra;

namespace {

using Addresses = std::vector<Address>;
using Strided = std::tuple<Address, long, long>;  // address, elements between steps, between rows

const Isa* chosen = nullptr;

template <class T>
const Kernels<T>* table(int index) {
  if (index >= first_own) return own<T>(index);
  if constexpr (sizeof(T) == 4) {
    return chosen->single(index);
  } else {
    return chosen->twice(index);
  }
}

template <class T, size_t N>
void set(T* (&to)[N], const Addresses& from) {
  if (from.size() > N) throw std::length_error("more arrays than a cell can have");
  for (size_t n = 0; n < from.size(); ++n) to[n] = pointer<T>(from[n]);
}

template <class T>
struct Arguments : Call<T> {
  Arguments(const std::vector<long>& shape, int threads, bool reverse, const Strided& x,
            const Addresses& parameters, const Addresses& initial, Address valid,
            Address recurrent_mask, const Addresses& keep, const std::vector<double>& rates,
            const Strided& y, Address saved, bool half, Address tokens) {
    this->half = half;
    this->tokens = pointer<const int64_t>(tokens);
    this->symbols = shape.size() > 5 ? shape[5] : 0;
    this->shape = {shape.at(0), shape.at(1), shape.at(2), shape.at(3), shape.at(4)};
    this->threads = threads;
    this->reverse = reverse;
    this->x = pointer<const T>(std::get<0>(x));
    this->x_step = std::get<1>(x);
    this->x_row = std::get<2>(x);
    set(this->parameter, parameters);
    set(this->initial, initial);
    this->valid = pointer<const unsigned char>(valid);
    this->recurrent_mask = pointer<const T>(recurrent_mask);
    set(this->keep, keep);
    for (size_t s = 0; s < rates.size() && s < size_t(most_states); ++s)
      this->keep_rate[s] = T(rates[s]);
    this->y = pointer<T>(std::get<0>(y));
    this->y_step = std::get<1>(y);
    this->y_row = std::get<2>(y);
    this->saved = pointer<T>(saved);
  }
};

template <class T>
using Rows = nb::ndarray<const T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Tokens = nb::ndarray<const int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// Parameters in the kernels' order, for many forward calls. Belongs to one instruction set.
template <class T>
class PackedWeights {
 public:
  PackedWeights(int index, const std::vector<long>& shape, int threads, const Addresses& parameters,
                bool half, const Strided& given)
      : kernels_(table<T>(index)), shape_{0, 1, shape.at(2), shape.at(3), shape.at(4)}, half_(half) {
    Call<T> call;
    call.shape = shape_;
    call.threads = threads;
    call.half = half;
    call.x = pointer<const T>(std::get<0>(given));
    call.x_row = std::get<2>(given);
    call.symbols = symbols_ = call.x ? shape.at(5) : 0;
    set(call.parameter, parameters);
    nb::gil_scoped_release release;
    packed_ = kernels_->pack(kernels_->program, call, arena_);
  }

  PackedWeights(const PackedWeights&) = delete;

  const Kernels<T>* kernels() const { return kernels_; }
  const void* get() const { return packed_; }

  // One step of many streams from given states to new ones; the output is the first of them.
  nb::list step(Rows<T> x, const std::vector<Rows<T>>& states, const std::vector<double>& rates,
                int threads) const {
    if (long(x.shape(1)) != shape_.inputs)
      throw std::invalid_argument("inputs of another shape than the weights");
    Call<T> call;
    call.shape.batch = long(x.shape(0));
    call.x = x.data();
    call.x_row = shape_.inputs;
    return step(call, states, rates, threads);
  }

  // The same for rows of the table that the weights were packed with.
  nb::list step_tokens(Tokens tokens, const std::vector<Rows<T>>& states,
                       const std::vector<double>& rates, int threads) const {
    for (size_t b = 0; b < tokens.shape(0); ++b)
      if (tokens.data()[b] < 0 || tokens.data()[b] >= symbols_)
        throw std::invalid_argument("a token beyond the table");
    Call<T> call;
    call.shape.batch = long(tokens.shape(0));
    call.tokens = tokens.data();
    call.symbols = symbols_;
    return step(call, states, rates, threads);
  }

 private:
  nb::list step(Call<T>& call, const std::vector<Rows<T>>& states, const std::vector<double>& rates,
                int threads) const {
    const long batch = call.shape.batch;
    call.shape = shape_;
    call.shape.steps = 1;
    call.shape.batch = batch;
    call.threads = threads;
    call.half = half_;
    bool fits = !states.empty() && states.size() <= size_t(most_states);
    for (size_t s = 0; fits && s < states.size(); ++s) {
      const long width = s == 0 ? shape_.recurrent() : shape_.hidden;
      fits = long(states[s].shape(0)) == call.shape.batch && long(states[s].shape(1)) == width;
    }
    if (!fits) throw std::invalid_argument("inputs or states of another shape than the weights");
    nb::list found;
    for (size_t s = 0; s < states.size(); ++s) {
      const size_t shape[] = {states[s].shape(0), states[s].shape(1)};
      T* values = new T[shape[0] * shape[1]];
      nb::capsule owner(values, [](void* mine) noexcept { delete[] static_cast<T*>(mine); });
      found.append(nb::ndarray<nb::numpy, T, nb::ndim<2>>(values, 2, shape, owner));
      call.initial[s] = states[s].data();
      call.last[s] = values;
      if (s < rates.size()) call.keep_rate[s] = T(rates[s]);
    }
    Releasing done;
    // The output, once more: the kernels want a place for it that nothing else is in.
    call.y = arena().template take<T>(call.shape.batch * shape_.recurrent());
    call.y_row = shape_.recurrent();
    {
      nb::gil_scoped_release release;
      kernels_->forward(kernels_->program, packed_, call, arena());
    }
    return found;
  }

  const Kernels<T>* kernels_;
  Shape shape_;
  const bool half_;
  long symbols_ = 0;
  Arena arena_;
  void* packed_;
};

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

// As much of a call as decides what it saves.
template <class T>
Call<T> saving(const std::vector<long>& shape, bool masked, const std::vector<int>& mixed) {
  static const unsigned char some = 1;
  Call<T> call;
  call.shape = {shape.at(0), shape.at(1), shape.at(2), shape.at(3), shape.at(4)};
  call.valid = masked ? &some : nullptr;
  for (size_t n = 0; n < mixed.size() && n < size_t(most_states); ++n)
    call.keep_rate[n] = mixed[n] ? T(1) : T(0);
  return call;
}

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
  m.def(("saved_size" + s).c_str(), [](int index, const std::vector<long>& shape, bool masked,
                                       const std::vector<int>& mixed) {
    const Kernels<T>* kernels = table<T>(index);
    return kernels->saved_size(kernels->program, saving<T>(shape, masked, mixed));
  });
  m.def(("saved_states" + s).c_str(), [](int index, const std::vector<long>& shape, bool masked,
                                         const std::vector<int>& mixed) {
    const Kernels<T>* kernels = table<T>(index);
    std::vector<long> at(2 * most_states, -1);
    kernels->saved_states(kernels->program, saving<T>(shape, masked, mixed), at.data());
    return at;
  });
  m.def(("forward" + s).c_str(),
        [](int index, const nb::tuple& weights, const std::vector<long>& shape, int threads,
           bool reverse, const Strided& x, const Addresses& parameters, const Addresses& initial,
           Address valid, Address recurrent_mask, const Addresses& keep,
           const std::vector<double>& rates, bool half, Address tokens, const Strided& y, const Addresses& last,
           Address saved) {
          Arguments<T> call(shape, threads, reverse, x, parameters, initial, valid, recurrent_mask,
                            keep, rates, y, saved, half, tokens);
          set(call.last, last);
          const auto* packed = nb::len(weights) ? nb::cast<const PackedWeights<T>*>(weights[0]) : nullptr;
          const Kernels<T>* kernels = packed ? packed->kernels() : table<T>(index);
          nb::gil_scoped_release release;
          Releasing done;
          kernels->forward(kernels->program, packed ? packed->get() : nullptr, call, arena());
        });
  m.def(("backward" + s).c_str(),
        [](int index, const std::vector<long>& shape, int threads, bool reverse, const Strided& x,
           const Addresses& parameters, const Addresses& initial, Address valid,
           Address recurrent_mask, const Addresses& keep, const std::vector<double>& rates,
           bool half, Address tokens, const Strided& y, Address saved, const Strided& dy, const Addresses& dlast,
           const Strided& dx, const Addresses& dparameters, const Addresses& dinitial,
           const Addresses& dstates) {
          Arguments<T> call(shape, threads, reverse, x, parameters, initial, valid, recurrent_mask,
                            keep, rates, y, saved, half, tokens);
          call.dy = pointer<const T>(std::get<0>(dy));
          call.dy_step = std::get<1>(dy);
          call.dy_row = std::get<2>(dy);
          set(call.dlast, dlast);
          call.dx = pointer<T>(std::get<0>(dx));
          call.dx_step = std::get<1>(dx);
          call.dx_row = std::get<2>(dx);
          set(call.dparameter, dparameters);
          set(call.dinitial, dinitial);
          set(call.dstate, dstates);
          nb::gil_scoped_release release;
          Releasing done;
          table<T>(index)->backward(table<T>(index)->program, call, arena());
        });
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
  bind<float>(m, "32");
  bind<double>(m, "64");
  bind_loss(m, chosen);
  bind_update(m, chosen);
}
