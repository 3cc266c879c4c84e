// Whether arrays still hold what they held: enough of them to notice every change that is not hidden
// on purpose, few enough to compare before a call of one step.
#pragma once
#include <cstring>
#include <vector>

#include "arrays.h"

namespace recurra {

// Of an array of up to `whole` elements all of them; of a larger one an element of each row and of
// each column, along its diagonals. Compared by their bits.
template <class T>
class Watched {
 public:
  // `sizes`: rows and columns of each array, side by side: 1 and its length for a vector.
  Watched(nb::handle list, const std::vector<long>& sizes) {
    if (sizes.size() % 2) throw std::invalid_argument("rows without columns");
    long total = 0;
    for (size_t n = 0; n < sizes.size(); n += 2) {
      Part part{sizes[n], sizes[n + 1], 0};
      if (part.rows < 1 || part.columns < 1) throw std::invalid_argument("an array without elements");
      part.count = part.all() ? part.rows * part.columns : part.rows > part.columns ? part.rows : part.columns;
      total += part.count;
      parts_.push_back(part);
    }
    kept_.resize(size_t(total));
    read(list, [](const T* from, T* kept) { *kept = *from; return true; },
         [](const T* from, T* kept, size_t bytes) { std::memcpy(kept, from, bytes); return true; });
  }

  bool same(nb::handle list) {
    return read(list, [](const T* from, T* kept) { return !std::memcmp(from, kept, sizeof(T)); },
                [](const T* from, T* kept, size_t bytes) { return !std::memcmp(from, kept, bytes); });
  }

 private:
  static constexpr long whole = 1 << 12;

  struct Part {
    long rows, columns, count;
    bool all() const { return rows * columns <= whole; }
  };

  template <class One, class Many>
  bool read(nb::handle list, One one, Many many) {
    Arrays arrays;
    const T* at[most_parameters] = {};
    if (parts_.size() > most_parameters) throw std::length_error("more arrays than a cell can have");
    arrays.set(at, list);
    T* kept = kept_.data();
    for (size_t n = 0; n < parts_.size(); ++n) {
      const Part& part = parts_[n];
      if (!at[n]) throw std::invalid_argument("fewer arrays than are watched");
      if (part.all()) {
        if (!many(at[n], kept, size_t(part.count) * sizeof(T))) return false;
        kept += part.count;
        continue;
      }
      for (long k = 0, row = 0, column = 0; k < part.count; ++k) {
        if (!one(at[n] + row * part.columns + column, kept++)) return false;
        if (++row == part.rows) row = 0;
        if (++column == part.columns) column = 0;
      }
    }
    return true;
  }

  std::vector<Part> parts_;
  std::vector<T> kept_;
};

}  // namespace recurra
