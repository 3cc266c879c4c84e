// Arrays of numpy and of torch, by what each has itself: asking in Python where a dozen arrays are
// takes as long as a short call.
#pragma once
#include <nanobind/nanobind.h>

#include <stdexcept>
#include <type_traits>
#include <vector>

#include "common.h"

namespace recurra {

namespace nb = nanobind;

// Where an array of rows is, and the elements between steps and between rows.
template <class T>
struct Rowed {
  T* at = nullptr;
  long step = 0, row = 0;
};

// Finds arrays; None has no address. An array to write to (of `T`, not `const T`) must be laid out as
// it is asked for; one of torch's to read is copied where it is not, and the copy lives as long as this.
// Throws for tensors whose memory does not hold their values (recurra/ops/readable.py settles those).
class Arrays {
 public:
  // All elements next to one another.
  template <class T>
  T* whole(nb::handle array) {
    if (array.is_none()) return nullptr;
    if (PyObject_CheckBuffer(array.ptr())) return static_cast<T*>(buffer(array).at);
    return static_cast<T*>(address(std::is_const_v<T> ? contiguous(array) : array));
  }

  // (T, B, ·), or with `table` (V, ·): the elements of a row next to one another.
  template <class T>
  Rowed<T> rowed(nb::handle array, bool table = false) {
    if (array.is_none()) return {};
    const int last = table ? 1 : 2;
    if (PyObject_CheckBuffer(array.ptr())) {
      const Found found = buffer(array);
      check(found.axes == last + 1);
      return {static_cast<T*>(found.at), table ? 0 : found.stride[0], found.stride[table ? 0 : 1]};
    }
    const nb::object strides = call(array, stride_);
    check(PyTuple_GET_SIZE(strides.ptr()) == last + 1);
    if (std::is_const_v<T>) {
      if (number(strides, last) != 1) {
        const nb::handle copy = contiguous(array);
        if (!copy.is(array)) return rowed<T>(copy, table);
      } else {
        values(array);
      }
    }
    return {static_cast<T*>(address(array)), table ? 0 : number(strides, 0), number(strides, last - 1)};
  }

  // A list, into one of the kernels. `places`, where there are, are the numbers of its arrays in the
  // kernels' order, -1 for none.
  template <class T, size_t N>
  void set(T* (&to)[N], nb::handle list, const std::vector<int>& places = {}) {
    const nb::object from = nb::steal(PySequence_Fast(list.ptr(), "expected a sequence of arrays"));
    if (!from.is_valid()) throw nb::python_error();
    const size_t given = size_t(PySequence_Fast_GET_SIZE(from.ptr()));
    const size_t count = places.empty() ? given : places.size();
    if (count > N || given > N) throw std::length_error("more arrays than a cell can have");
    PyObject* const* const items = PySequence_Fast_ITEMS(from.ptr());
    for (size_t n = 0; n < count; ++n) {
      const size_t place = places.empty() ? n : size_t(places[n]);
      to[n] = place < given ? whole<T>(items[place]) : nullptr;
    }
  }

 private:
  struct Found {
    void* at;
    int axes;
    long stride[3];
  };

  static Found buffer(nb::handle array) {
    Py_buffer view;
    if (PyObject_GetBuffer(array.ptr(), &view, PyBUF_STRIDES)) throw nb::python_error();
    Found found{view.buf, view.ndim, {}};
    for (int n = 0; n < view.ndim && n < 3; ++n) found.stride[n] = view.strides[n] / view.itemsize;
    PyBuffer_Release(&view);
    return found;
  }

  static void check(bool axes) {
    if (!axes) throw std::invalid_argument("an array of another number of axes");
  }

  static nb::object call(nb::handle array, PyObject* method) {
    PyObject* const arguments[] = {array.ptr()};
    nb::object found = nb::steal(PyObject_VectorcallMethod(method, arguments, 1, nullptr));
    if (!found.is_valid()) throw nb::python_error();
    return found;
  }

  static void* address(nb::handle array) {
    void* const at = PyLong_AsVoidPtr(call(array, data_ptr_).ptr());
    if (!at && PyLong_AsLong(call(array, numel_).ptr()) != 0)
      throw std::invalid_argument("a tensor without memory");
    return at;
  }

  static long number(const nb::object& tuple, Py_ssize_t place) {
    return PyLong_AsLong(PyTuple_GET_ITEM(tuple.ptr(), place));
  }

  // Refuses memory that holds the negatives of the values.
  static void values(nb::handle array) {
    if (call(array, is_neg_).ptr() == Py_True) throw std::invalid_argument("a tensor of negatives");
  }

  nb::handle contiguous(nb::handle array) {
    values(array);
    nb::object same = call(array, contiguous_);
    if (same.is(array)) return array;
    copies_.push_back(std::move(same));
    return copies_.back();
  }

  static inline PyObject* const data_ptr_ = PyUnicode_InternFromString("data_ptr");
  static inline PyObject* const numel_ = PyUnicode_InternFromString("numel");
  static inline PyObject* const is_neg_ = PyUnicode_InternFromString("is_neg");
  static inline PyObject* const stride_ = PyUnicode_InternFromString("stride");
  static inline PyObject* const contiguous_ = PyUnicode_InternFromString("contiguous");

  std::vector<nb::object> copies_;
};

}  // namespace recurra
