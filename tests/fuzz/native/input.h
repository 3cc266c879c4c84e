// What the harness reads of its input, and blocks of exactly the size that a call says.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "isa.h"

namespace {

using namespace recurra;

// The input, read from its start; zeros behind its end.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  unsigned byte() { return at_ < size_ ? data_[at_++] : 0; }
  bool maybe() { return byte() & 1; }
  // 0 to most, small numbers more often.
  long upto(long most) {
    const long n = byte();
    return most < 1 ? 0 : n < 128 ? n % (most < 9 ? most + 1 : 10) : (n * 257 + byte()) % (most + 1);
  }

 private:
  const uint8_t* data_;
  size_t size_, at_ = 0;
};

// Numbers for arrays: mostly small, at times what is no number.
struct Numbers {
  uint64_t state;
  bool odd;

  double next() {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    using limits = std::numeric_limits<double>;
    if (odd && state % 61 == 0) return state % 3 == 0 ? limits::infinity() : state % 3 == 1 ? -1e38 : limits::quiet_NaN();
    return double(int64_t(state % 2001) - 1000) / 1000;
  }
};

template <class T>
using Block = std::unique_ptr<T[]>;

template <class T>
Block<T> block(long count, Numbers& numbers) {
  Block<T> made(new T[size_t(count)]);
  for (long n = 0; n < count; ++n) made[size_t(n)] = T(numbers.next());
  return made;
}

void expect(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "fuzz: %s\n", what);
  std::abort();
}

// (T, B, width) with steps or rows outermost and perhaps a gap behind each row: its strides and size.
struct Laid {
  long step, row, count;

  Laid(long steps, long batch, long width, Input& in) {
    const bool rows_first = in.maybe();
    const long wide = width + (in.byte() % 4 == 0 ? 3 : 0);
    row = rows_first ? wide * (steps ? steps : 1) : wide;
    step = rows_first ? wide : wide * (batch ? batch : 1);
    count = steps && batch ? (steps - 1) * step + (batch - 1) * row + width : 0;
  }
};

template <class T>
const Kernels<T>* table(const Isa& isa, int index) {
  if constexpr (sizeof(T) == 4) {
    return isa.single(index);
  } else {
    return isa.twice(index);
  }
}

long padded(long units) { return (units + 15) / 16 * 16; }

}  // namespace
