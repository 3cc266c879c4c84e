// Weights of a layer in the kernels' order, for whatever runs it many times.
#pragma once
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <atomic>
#include <stdexcept>
#include <vector>

#include "../own.h"
#include "common.h"

namespace recurra {

namespace nb = nanobind;

using Addresses = std::vector<Address>;
using Strided = std::tuple<Address, long, long>;  // address, elements between steps, between rows

// The instruction set in use.
inline const Isa* chosen = nullptr;

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

// Only biases may be missing, and the recurrent matrix of a cell that has none.
template <class T>
void check_parameters(const Call<T>& call, bool recurrent) {
  if (!call.parameter[0] || (recurrent && !call.parameter[1]) || (call.shape.projection && !call.parameter[4]))
    throw std::invalid_argument("a call without the weights of its products");
}

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
    check_sizes(shape);
    Call<T> call;
    call.shape = shape_;
    call.threads = threads;
    call.half = half;
    call.x = pointer<const T>(std::get<0>(given));
    call.x_row = std::get<2>(given);
    call.symbols = symbols_ = call.x ? shape.at(5) : 0;
    set(call.parameter, parameters);
    check_parameters(call, parameters.size() < 2 || parameters[1]);
    nb::gil_scoped_release release;
    packed_ = kernels_->pack(kernels_->program, call, arena_);
  }

  PackedWeights(const PackedWeights&) = delete;

  const Kernels<T>* kernels() const { return kernels_; }
  const Shape& shape() const { return shape_; }
  bool half() const { return half_; }
  long symbols() const { return symbols_; }
  const void* get() const { return packed_; }
  // Number of a call of one step: every other one reads the weights the other way round (see `in_blocks`).
  long turn() const { return turn_.fetch_add(1, std::memory_order_relaxed); }

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
    call.turn = turn();
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
  mutable std::atomic<long> turn_{0};  // of the steps
  long symbols_ = 0;
  Arena arena_;
  void* packed_;
};

}  // namespace recurra
