// Whether tensors are still what they were, and hold what they held: enough of them to notice every change
// that is not hidden on purpose, few enough to compare before a call of one step.
#pragma once
#include <cstring>
#include <vector>

#include "arrays.h"
#include "packed_weights.h"

namespace recurra {

// Of a tensor: the object itself, its memory, autograd's version, and values. Of an array of up to `whole`
// elements all of them; of a larger one an element of each row and of each column. Compared by their bits.
template <class T>
class Watched {
 public:
  // `sizes`: rows and columns of each tensor, side by side: 1 and its length for a vector. Tensors are
  // contiguous.
  Watched(nb::handle list, const std::vector<long>& sizes) : isa_(chosen) {
    const nb::object from = nb::steal(PySequence_Fast(list.ptr(), "expected a sequence of tensors"));
    if (!from.is_valid()) throw nb::python_error();
    if (size_t(PySequence_Fast_GET_SIZE(from.ptr())) != sizes.size() / 2 || sizes.size() % 2)
      throw std::invalid_argument("rows and columns of other tensors");
    long total = 0;
    for (size_t n = 0; n < sizes.size() / 2; ++n) {
      Part part;
      part.rows = sizes[2 * n];
      part.columns = sizes[2 * n + 1];
      if (part.rows < 1 || part.columns < 1) throw std::invalid_argument("an array without elements");
      part.count = part.all() ? part.rows * part.columns : part.rows + part.columns;
      total += part.count;
      PyObject* const tensor = PySequence_Fast_GET_ITEM(from.ptr(), Py_ssize_t(n));
      part.itself = nb::steal(PyWeakref_NewRef(tensor, nullptr));
      if (!part.itself.is_valid() || !seen(tensor, part)) throw nb::python_error();
      parts_.push_back(std::move(part));
    }
    kept_.resize(size_t(total));
    T* kept = kept_.data();
    for (const Part& part : parts_) {
      each(part, [&](const T* value) { *kept++ = *value; });
    }
  }

  size_t size() const { return parts_.size(); }

  // Whether tensor number `n` is this one, unchanged as far as it says itself.
  bool is(size_t n, PyObject* tensor) const {
    const Part& part = parts_[n];
    Part now;
    now.rows = part.rows;
    now.columns = part.columns;
    if (object(part.itself.ptr()) != tensor) return false;
    if (!seen(tensor, now)) {
      PyErr_Clear();
      return false;
    }
    return now.at == part.at && now.version == part.version;
  }

  // Whether their memory holds the same values, after `is` has said yes to all.
  bool hold() const {
    if (isa_ != chosen || forgotten_) return false;
    const T* kept = kept_.data();
    for (const Part& part : parts_) {
      if (part.all()) {
        if (std::memcmp(part.at, kept, size_t(part.count) * sizeof(T)) != 0) return false;
        kept += part.count;
        continue;
      }
      Bits different = 0;
      each(part, [&](const T* value) {
        Bits one, other;
        std::memcpy(&one, value, sizeof one);
        std::memcpy(&other, kept++, sizeof other);
        different |= one ^ other;
      });
      if (different) return false;
    }
    return true;
  }

  // From now on nothing is the same: of changes that cannot be noticed.
  void forget() { forgotten_ = true; }

  bool same(nb::handle list) const {
    const nb::object from = nb::steal(PySequence_Fast(list.ptr(), "expected a sequence of tensors"));
    if (!from.is_valid()) throw nb::python_error();
    if (size_t(PySequence_Fast_GET_SIZE(from.ptr())) != parts_.size()) return false;
    for (size_t n = 0; n < parts_.size(); ++n)
      if (!is(n, PySequence_Fast_GET_ITEM(from.ptr(), Py_ssize_t(n)))) return false;
    return hold();
  }

 private:
  using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  static constexpr long whole = 1 << 12;
  static constexpr long ahead = 32;  // rows: a core can wait for some twelve lines at a time

  struct Part {
    long rows = 0, columns = 0, count = 0;
    nb::object itself;  // weak
    const T* at = nullptr;
    long version = 0;
    bool all() const { return rows * columns <= whole; }
  };

  // Calls body(address) for each element that is compared: of a large matrix the last of an even row, the
  // first of the row after it, which is next to it, and all of one row.
  template <class Body>
  static void each(const Part& part, Body body) {
    const T* const at = part.at;
    if (part.all()) {
      for (long k = 0; k < part.rows * part.columns; ++k) body(at + k);
      return;
    }
    const auto end_of = [&](long row) { return at + (row + 1) * part.columns - 1; };
    for (long row = 0; row < part.rows; row += 2) {
      if (row + ahead < part.rows) __builtin_prefetch(end_of(row + ahead));
      body(end_of(row));
      if (row + 1 < part.rows) body(end_of(row) + 1);
    }
    for (long column = 0; column < part.columns; ++column) body(at + part.rows / 2 * part.columns + column);
  }

  // Reads where a tensor is, and its version; false with Python's error where it has none, or is no longer of
  // that size, or not laid out as its values.
  static bool seen(PyObject* tensor, Part& part) {
    const nb::object version = nb::steal(PyObject_GetAttr(tensor, version_));
    if (!version.is_valid()) return false;
    part.version = PyLong_AsLong(version.ptr());
    const nb::object at = method(tensor, data_ptr_);
    if (!at.is_valid()) return false;
    part.at = static_cast<const T*>(PyLong_AsVoidPtr(at.ptr()));
    const nb::object contiguous = method(tensor, is_contiguous_), negative = method(tensor, is_neg_);
    const nb::object numel = method(tensor, numel_);
    if (!contiguous.is_valid() || !negative.is_valid() || !numel.is_valid()) return false;
    if (contiguous.ptr() == Py_True && negative.ptr() == Py_False &&
        PyLong_AsLong(numel.ptr()) == part.rows * part.columns)
      return true;
    PyErr_SetString(PyExc_ValueError, "a tensor of another size or layout");
    return false;
  }

  static nb::object method(PyObject* tensor, PyObject* name) {
    PyObject* const arguments[] = {tensor};
    return nb::steal(PyObject_VectorcallMethod(name, arguments, 1, nullptr));
  }

  // What a weak reference is to, only to be compared with.
  static PyObject* object(PyObject* reference) {
#if PY_VERSION_HEX >= 0x030D0000
    PyObject* found = nullptr;
    if (PyWeakref_GetRef(reference, &found) == 1) Py_DECREF(found);
    return found;
#else
    return PyWeakref_GetObject(reference);
#endif
  }

  static inline PyObject* const version_ = PyUnicode_InternFromString("_version");
  static inline PyObject* const data_ptr_ = PyUnicode_InternFromString("data_ptr");
  static inline PyObject* const is_contiguous_ = PyUnicode_InternFromString("is_contiguous");
  static inline PyObject* const is_neg_ = PyUnicode_InternFromString("is_neg");
  static inline PyObject* const numel_ = PyUnicode_InternFromString("numel");

  const Isa* const isa_;
  bool forgotten_ = false;
  std::vector<Part> parts_;
  std::vector<T> kept_;
};

}  // namespace recurra
