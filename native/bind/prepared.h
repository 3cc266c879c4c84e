// Short calls of a layer whose weights are in order, from torch's tensors to torch's tensors: all layers and
// directions at once. Around the arithmetic of one step every question asked in Python would be felt, the
// more so as the weights have just driven the interpreter from the caches.
#pragma once
#include <memory>
#include <optional>

#include "packed_weights.h"
#include "watched.h"

namespace recurra {

// What is asked of torch.
struct Torch {
  nb::object tensor, parameter;  // the classes
  nb::object dtype;
  nb::object empty_like;
  nb::object template_of;        // of sizes: a tensor that `empty_like` reads
};

template <class T>
class Prepared {
 public:
  // `parts`: by layer and direction the packed weights, what watches over the parameters, and their names.
  // `states`: how many. `starts`: names of learnt initial states. `axes`: of an input, 3, or 2 for one step of
  // a cell, which has no outputs but its states. `most`: steps times rows of a call.
  Prepared(nb::list parts, int states, int directions, int axes, bool batch_first, bool reverse,
           std::vector<nb::object> starts, long most, nb::tuple torch)
      : directions_(directions), axes_(axes), batch_first_(batch_first), reverse_(reverse), starts_(std::move(starts)),
        most_(most), torch_{torch[0], torch[1], torch[2], torch[3], torch[4]}, isa_(chosen) {
    for (nb::handle given : parts) {
      const nb::tuple part = nb::borrow<nb::tuple>(given);
      Part made{part[0], part[1], nb::cast<const PackedWeights<T>*>(part[0]), nb::cast<const Watched<T>*>(part[1]), {}};
      for (nb::handle name : nb::borrow<nb::tuple>(part[2])) made.names.push_back(nb::borrow(name));
      if (made.names.size() != made.watched->size()) throw std::invalid_argument("other names than parameters");
      parts_.push_back(std::move(made));
    }
    if (parts_.empty() || directions < 1 || parts_.size() % size_t(directions) || states < 1 ||
        states > most_states || (axes != 2 && axes != 3))
      throw std::invalid_argument("a layer without layers or states");
    const Shape& shape = parts_[0].packed->shape();
    inputs_ = shape.inputs;
    for (int s = 0; s < states; ++s) widths_.push_back(s == 0 ? shape.recurrent() : shape.hidden);
    for (const Part& part : parts_) {
      const Shape& own = part.packed->shape();
      products_ += own.hidden * (own.inputs + own.recurrent());
    }
  }

  // Outputs and states, as a layer returns them. None: not such a call, or one that is wrong. False: the
  // parameters are others.
  nb::object run(nb::handle parameters, nb::handle x, nb::handle given, int threads) {
    Given input;
    if (!read(x, input, axes_)) return nb::none();
    const int time = axes_ == 2 ? -1 : batch_first_ ? 1 : 0, row = axes_ == 2 ? 0 : 1 - time;
    const long T_ = time < 0 ? 1 : input.size[time], B = input.size[row];
    if (input.size[axes_ - 1] != inputs_ || (inputs_ > 1 && input.stride[axes_ - 1] != 1)) return nb::none();
    if (T_ < 1 || B < 1 || T_ > most_ || B > most_ || T_ * B > most_) return nb::none();
    const T* initial[most_states] = {};
    if (!states(given, B, initial) || (given.is_none() && learns(parameters))) return nb::none();
    if (isa_ != chosen || !unchanged(parameters)) return nb::bool_(false);

    const std::shared_ptr<const Sizes> sizes = sizes_of(T_, B);
    const nb::object outputs = axes_ == 2 ? nb::none() : fresh(sizes->outputs);
    nb::object last[most_states];
    T* ends[most_states] = {};
    for (size_t s = 0; s < widths_.size(); ++s) ends[s] = address(last[s] = fresh(sizes->last[s]));
    Frame frame;
    frame.steps = T_;
    frame.batch = B;
    frame.x = {input.at, time < 0 ? 0 : input.stride[time], input.stride[row]};
    const long width = directions_ * widths_[0];
    if (axes_ == 3)
      frame.y = {address(outputs), batch_first_ ? width : B * width, batch_first_ ? T_ * width : width};
    frame.threads = threads;
    {
      std::optional<nb::gil_scoped_release> release;
      if (products_ * T_ * B >= brief_products) release.emplace();
      compute(frame, initial, ends);
    }
    nb::object state = last[0];
    if (widths_.size() > 1) {
      state = nb::steal(PyTuple_New(Py_ssize_t(widths_.size())));
      for (size_t s = 0; s < widths_.size(); ++s) PyTuple_SET_ITEM(state.ptr(), Py_ssize_t(s), last[s].release().ptr());
    }
    return axes_ == 2 ? state : nb::object(nb::make_tuple(outputs, state));
  }

 private:
  // Multiplications below which giving the interpreter to others costs more than they would gain.
  static constexpr long brief_products = 1 << 13;

  struct Part {
    nb::object holds_packed, holds_watched;
    const PackedWeights<T>* packed;
    const Watched<T>* watched;
    std::vector<nb::object> names;
  };
  struct Given {
    const T* at;
    long size[3], stride[3];
  };
  struct Sizes {
    long steps, batch;
    nb::object outputs, last[most_states];
  };
  struct Frame {
    long steps, batch;
    Rowed<const T> x;
    Rowed<T> y;
    int threads;
  };

  void compute(const Frame& frame, const T* const (&initial)[most_states], T* const (&ends)[most_states]) const {
    Releasing done;
    const long rows = frame.steps * frame.batch, width = directions_ * widths_[0];
    Rowed<const T> from = frame.x;
    for (size_t n = 0; n < parts_.size();) {
      const bool top = n + size_t(directions_) == parts_.size() && frame.y.at;
      const Rowed<T> to = top ? frame.y
                              : Rowed<T>{arena().template take<T>(rows * width), frame.batch * width, width};
      for (int side = 0; side < directions_; ++side, ++n) {
        const PackedWeights<T>& packed = *parts_[n].packed;
        Call<T> call;
        call.shape = packed.shape();
        call.shape.steps = frame.steps;
        call.shape.batch = frame.batch;
        call.threads = frame.threads;
        call.turn = packed.turn();
        call.reverse = reverse_ || side == 1;
        call.x = from.at;
        call.x_step = from.step;
        call.x_row = from.row;
        call.y = to.at + side * widths_[0];
        call.y_step = to.step;
        call.y_row = to.row;
        for (size_t s = 0; s < widths_.size(); ++s) {
          const long at = long(n) * frame.batch * widths_[s];
          call.initial[s] = initial[s] ? initial[s] + at : nullptr;
          call.last[s] = ends[s] + at;
        }
        packed.kernels()->forward(packed.kernels()->program, packed.get(), call, arena());
      }
      from = {to.at, to.step, to.row};
    }
  }

  bool unchanged(nb::handle parameters) const {
    PyObject* const own = parameters.ptr();
    if (!PyDict_Check(own)) return false;
    for (const Part& part : parts_)
      for (size_t n = 0; n < part.names.size(); ++n) {
        PyObject* const tensor = PyDict_GetItemWithError(own, part.names[n].ptr());
        if (!tensor || !part.watched->is(n, tensor)) return clear();
      }
    for (const Part& part : parts_)
      if (!part.watched->hold()) return false;
    return true;
  }

  // Whether initial states that are not given are learnt, or computed.
  bool learns(nb::handle parameters) const {
    for (const nb::object& name : starts_) {
      if (PyDict_GetItemWithError(parameters.ptr(), name.ptr()) == Py_None) continue;
      PyErr_Clear();
      return true;
    }
    return false;
  }

  // Initial states, side by side; false where they are not as expected.
  bool states(nb::handle given, long batch, const T* (&initial)[most_states]) const {
    if (given.is_none()) return true;
    const size_t count = widths_.size();
    if (count == 1) return state(given, 0, batch, initial[0]);
    if (!PyTuple_CheckExact(given.ptr()) || size_t(PyTuple_GET_SIZE(given.ptr())) != count) return false;
    for (size_t s = 0; s < count; ++s)
      if (!state(PyTuple_GET_ITEM(given.ptr(), Py_ssize_t(s)), s, batch, initial[s])) return false;
    return true;
  }

  bool state(nb::handle given, size_t s, long batch, const T*& at) const {
    Given found;
    if (!read(given, found, axes_)) return false;
    const long* const size = found.size + axes_ - 2;
    const long* const stride = found.stride + axes_ - 2;
    const long width = widths_[s], layers = long(parts_.size());
    if (size[0] != batch || size[1] != width || (width > 1 && stride[1] != 1) || (batch > 1 && stride[0] != width))
      return false;
    if (axes_ == 3 && (found.size[0] != layers || (layers > 1 && found.stride[0] != batch * width))) return false;
    at = found.at;
    return true;
  }

  // A tensor whose memory holds its values, of so many axes; false: it is none.
  bool read(nb::handle tensor, Given& found, int axes) const {
    PyObject* const type = reinterpret_cast<PyObject*>(Py_TYPE(tensor.ptr()));
    if (type != torch_.tensor.ptr() && type != torch_.parameter.ptr()) return false;
    const nb::object dtype = attribute(tensor, dtype_), cpu = attribute(tensor, is_cpu_);
    if (!dtype.is(torch_.dtype) || cpu.ptr() != Py_True) return clear();
    const nb::object size = attribute(tensor, shape_), stride = method(tensor, stride_);
    if (!size.is_valid() || !stride.is_valid() || PyTuple_GET_SIZE(size.ptr()) != axes ||
        PyTuple_GET_SIZE(stride.ptr()) != axes)
      return clear();
    for (int n = 0; n < axes; ++n) {
      found.size[n] = PyLong_AsLong(PyTuple_GET_ITEM(size.ptr(), n));
      found.stride[n] = PyLong_AsLong(PyTuple_GET_ITEM(stride.ptr(), n));
    }
    if (method(tensor, is_neg_).ptr() != Py_False) return clear();
    found.at = address(tensor);
    return found.at || clear();
  }

  static bool clear() {
    PyErr_Clear();
    return false;
  }

  // What `empty_like` reads for such sizes; not changed once it is made, as other threads may ask for others.
  std::shared_ptr<const Sizes> sizes_of(long steps, long batch) {
    if (sizes_ && steps == sizes_->steps && batch == sizes_->batch) return sizes_;
    const std::shared_ptr<Sizes> made = std::make_shared<Sizes>();
    const long width = directions_ * widths_[0];
    made->steps = steps;
    made->batch = batch;
    if (axes_ == 3)
      made->outputs = batch_first_ ? torch_.template_of(batch, steps, width) : torch_.template_of(steps, batch, width);
    for (size_t s = 0; s < widths_.size(); ++s)
      made->last[s] = axes_ == 2 ? torch_.template_of(batch, widths_[s])
                                 : torch_.template_of(parts_.size(), batch, widths_[s]);
    // Exchanged, not assigned: what an assignment frees, before it has changed the pointer, lets other
    // threads in here.
    std::shared_ptr<const Sizes> before = made;
    sizes_.swap(before);
    return made;
  }

  nb::object fresh(const nb::object& like) const {
    PyObject* const arguments[] = {like.ptr()};
    nb::object made = nb::steal(PyObject_Vectorcall(torch_.empty_like.ptr(), arguments, 1, nullptr));
    if (!made.is_valid()) throw nb::python_error();
    return made;
  }

  static T* address(nb::handle tensor) {
    const nb::object at = method(tensor, data_ptr_);
    return at.is_valid() ? static_cast<T*>(PyLong_AsVoidPtr(at.ptr())) : nullptr;
  }

  static nb::object attribute(nb::handle tensor, PyObject* name) {
    return nb::steal(PyObject_GetAttr(tensor.ptr(), name));
  }
  static nb::object method(nb::handle tensor, PyObject* name) {
    PyObject* const arguments[] = {tensor.ptr()};
    return nb::steal(PyObject_VectorcallMethod(name, arguments, 1, nullptr));
  }

  static inline PyObject* const dtype_ = PyUnicode_InternFromString("dtype");
  static inline PyObject* const is_cpu_ = PyUnicode_InternFromString("is_cpu");
  static inline PyObject* const shape_ = PyUnicode_InternFromString("shape");
  static inline PyObject* const stride_ = PyUnicode_InternFromString("stride");
  static inline PyObject* const is_neg_ = PyUnicode_InternFromString("is_neg");
  static inline PyObject* const data_ptr_ = PyUnicode_InternFromString("data_ptr");

  std::vector<Part> parts_;
  const int directions_, axes_;
  const bool batch_first_, reverse_;
  const std::vector<nb::object> starts_;
  const long most_;
  const Torch torch_;
  const Isa* const isa_;
  long inputs_ = 0, products_ = 0;
  std::vector<long> widths_;
  std::shared_ptr<const Sizes> sizes_;  // of the latest call
};

}  // namespace recurra
