// A program for certain sizes and options. What stays from call to call is here, so that a call of a
// short sequence passes its arrays and little else.
#pragma once
#include <cstring>

#include "arrays.h"
#include "packed_weights.h"

namespace recurra {

template <class T>
class Sized {
 public:
  // `places`: of the parameters, as `Arrays::set` has them. `rates`: by state the share that stays where calls
  // have no factors for it. `masked`: whether they say which steps count. `mixed`: by state whether the
  // old one stays at all, for a share or factors.
  Sized(int index, const std::vector<long>& sizes, const std::vector<int>& places, bool reverse,
        bool half, const std::vector<double>& rates, bool masked, const std::vector<bool>& mixed)
      : index_(index), table_(sizes.size() > 5), places_(places), masked_(masked), mixed_(mixed) {
    check_sizes(sizes);
    call_.shape = {sizes[0], sizes[1], sizes[2], sizes[3], sizes[4]};
    call_.symbols = table_ ? sizes[5] : 0;
    call_.reverse = reverse;
    call_.half = half;
    for (size_t s = 0; s < rates.size() && s < size_t(most_states); ++s)
      call_.keep_rate[s] = T(rates[s]);
  }

  // Elements of `saved`.
  long saved_size() const { return kernels()->saved_size(kernels()->program, saving()); }

  // Where in `saved` the states are: see `Kernels`.
  std::vector<long> saved_states() const {
    std::vector<long> at(2 * most_states, -1);
    kernels()->saved_states(kernels()->program, saving(), at.data());
    return at;
  }

  void forward(nb::handle x, nb::handle parameters, nb::handle initial, nb::handle y,
               nb::handle last, nb::handle saved, nb::handle valid, nb::handle mask,
               nb::handle keep, nb::handle tokens, int threads,
               const PackedWeights<T>* packed, nb::handle reset, nb::handle start) const {
    Arrays arrays;
    Call<T> call = given(arrays, x, parameters, initial, y, saved, valid, mask, keep, tokens, threads);
    set_resets(arrays, call, reset, start);
    arrays.set(call.last, last);
    if (!call.y && call.shape.steps && call.shape.batch)
      throw std::invalid_argument("a call without a place for its outputs");
    const Kernels<T>* cell = packed ? packed->kernels() : kernels();
    if (packed) call.turn = packed->turn();
    nb::gil_scoped_release release;
    Releasing done;
    cell->forward(cell->program, packed ? packed->get() : nullptr, call, arena());
  }

  void backward(nb::handle x, nb::handle parameters, nb::handle initial, nb::handle y,
                nb::handle saved, nb::handle dy, nb::handle dlast, nb::handle dx,
                nb::handle dparameters, nb::handle dinitial, nb::handle dstates, nb::handle valid,
                nb::handle mask, nb::handle keep, nb::handle tokens, int threads, bool fresh, nb::handle reset,
                nb::handle start, nb::handle dstart) const {
    Arrays arrays;
    Call<T> call = given(arrays, x, parameters, initial, y, saved, valid, mask, keep, tokens, threads);
    call.fresh = fresh;
    set_resets(arrays, call, reset, start);
    if (!dstart.is_none()) arrays.set(call.dstart, dstart);
    const auto from = arrays.rowed<const T>(dy);
    call.dy = from.at;
    call.dy_step = from.step;
    call.dy_row = from.row;
    arrays.set(call.dlast, dlast);
    const auto to = arrays.rowed<T>(dx, table_);
    call.dx = to.at;
    call.dx_step = to.step;
    call.dx_row = to.row;
    arrays.set(call.dparameter, dparameters, places_);
    arrays.set(call.dinitial, dinitial);
    arrays.set(call.dstate, dstates);
    if (call.dx && table_ && !(call.shape.steps && call.shape.batch))  // tokens that have no address
      for (long v = 0; v < call.symbols; ++v)
        std::memset(call.dx + v * call.dx_row, 0, size_t(call.shape.inputs) * sizeof(T));
    if (!call.saved && saved_size())
      throw std::invalid_argument("a backward call without what the forward call saved");
    if (!call.y && call.shape.steps && call.shape.batch && saved_states()[0] < 0)  // then it reads the outputs
      throw std::invalid_argument("a backward call without the outputs that it reads");
    nb::gil_scoped_release release;
    Releasing done;
    kernels()->backward(kernels()->program, call, arena());
  }

 private:
  // Those of the instruction set in use, where the cell came with the package.
  const Kernels<T>* kernels() const { return table<T>(index_); }

  // As much of a call as decides what it saves.
  Call<T> saving() const {
    static const unsigned char some = 1;
    Call<T> call;
    call.shape = call_.shape;
    call.valid = masked_ ? &some : nullptr;
    for (size_t s = 0; s < mixed_.size() && s < size_t(most_states); ++s)
      call.keep_rate[s] = mixed_[s] ? T(1) : T(0);
    return call;
  }

  static void set_resets(Arrays& arrays, Call<T>& call, nb::handle reset, nb::handle start) {
    if (reset.is_none()) return;
    call.reset = arrays.whole<const unsigned char>(reset);
    if (!start.is_none()) arrays.set(call.start, start);
  }

  // The arrays that forward and backward share.
  Call<T> given(Arrays& arrays, nb::handle x, nb::handle parameters, nb::handle initial,
                nb::handle y, nb::handle saved, nb::handle valid, nb::handle mask, nb::handle keep,
                nb::handle tokens, int threads) const {
    Call<T> call = call_;
    call.threads = threads;
    const auto from = arrays.rowed<const T>(x, table_);
    call.x = from.at;
    call.x_step = from.step;
    call.x_row = from.row;
    arrays.set(call.parameter, parameters, places_);
    arrays.set(call.initial, initial);
    call.valid = arrays.whole<const unsigned char>(valid);
    call.recurrent_mask = arrays.whole<const T>(mask);
    arrays.set(call.keep, keep);
    call.tokens = arrays.whole<const int64_t>(tokens);
    const auto to = arrays.rowed<T>(y);
    call.y = to.at;
    call.y_step = to.step;
    call.y_row = to.row;
    call.saved = arrays.whole<T>(saved);
    check_parameters(call, places_.size() < 2 || places_[1] >= 0);
    const bool some = call.shape.steps && call.shape.batch;
    if (some && (!call.x || (table_ && !call.tokens))) throw std::invalid_argument("a call without inputs");
    return call;
  }

  int index_;
  bool table_;  // tokens choose among rows
  std::vector<int> places_;
  bool masked_;
  std::vector<bool> mixed_;
  Call<T> call_;
};

template <class T>
void bind_sized(nb::module_& m, const char* name) {
  nb::class_<Sized<T>>(m, name)
      .def(nb::init<int, const std::vector<long>&, const std::vector<int>&, bool, bool,
                    const std::vector<double>&, bool, const std::vector<bool>&>())
      .def_prop_ro("saved_size", &Sized<T>::saved_size)
      .def("saved_states", &Sized<T>::saved_states)
      .def("forward", &Sized<T>::forward, nb::arg("x"), nb::arg("parameters"), nb::arg("initial"),
           nb::arg("y"), nb::arg("last"), nb::arg("saved").none(), nb::arg("valid").none(),
           nb::arg("mask").none(), nb::arg("keep"), nb::arg("tokens").none(), nb::arg("threads"),
           nb::arg("packed").none(), nb::arg("reset").none() = nb::none(), nb::arg("start").none() = nb::none())
      .def("backward", &Sized<T>::backward, nb::arg("x"), nb::arg("parameters"),
           nb::arg("initial"), nb::arg("y").none(), nb::arg("saved"), nb::arg("dy").none(),
           nb::arg("dlast"), nb::arg("dx").none(), nb::arg("dparameters"), nb::arg("dinitial"),
           nb::arg("dstates"), nb::arg("valid").none(), nb::arg("mask").none(), nb::arg("keep"),
           nb::arg("tokens").none(), nb::arg("threads"), nb::arg("fresh"),
           nb::arg("reset").none() = nb::none(), nb::arg("start").none() = nb::none(),
           nb::arg("dstart").none() = nb::none());
}

}  // namespace recurra
