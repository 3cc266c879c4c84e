// Arguments of products that are not read where they are: a copy, for all rows.
#pragma once
#include "restarts.h"

namespace RECURRA_NAMESPACE {

// Products read a copy of an argument that is no state; under recurrent dropout of any, times the
// mask; and a copy in bfloat16 where that is how they are computed. Of states there are two, for
// steps in turns: one is written while the other is read.
template <class V>
class Staged {
 public:
  using T = Scalar<V>;

  Staged() = default;
  Staged(const Product& p, const Panels<V>& panels, const Call<T>& call, Arena& arena)
      : batch_(call.shape.batch), depth_(panels.depth) {
    if (p.matrix != weight_hr) mask_ = call.recurrent_mask;
    const long turns = p.state < 0 ? 1 : 2;
    if (panels.half) {
      row_ = half_depth(depth_);
      half_ = arena.zeros<Half>(turns * whole_blocks(batch_) * row_);
    } else if (mask_ || p.state < 0) {
      row_ = padded(depth_);
      at_ = arena.take<T>(turns * batch_ * row_);
    }
  }

  explicit operator bool() const { return at_ || half_; }
  long depth() const { return depth_; }

  Argument<V> argument(long turn) const {
    return {at_ ? at_ + place(turn) : nullptr, row_, half_ ? half_ + place(turn) : nullptr, row_};
  }

  // Units [first, first + count) of all rows; `from` has the first of them, and whole vectors.
  void write(long turn, const T* from, long from_row, long first, long count) const {
    write(turn, from, from_row, first, count, 0, batch_);
  }

  // The same of those rows that begin anew, of which `resets` is not null.
  void write_start(long turn, const Restarts<V>& restarts, const unsigned char* resets, int s, long first,
                   long count) const {
    for (long b = 0; b < batch_; ++b)
      if (resets[b])
        write(turn, restarts.start(s) + b * restarts.start_row(s) + first, 0, first, count, b, 1);
  }

 private:
  // Of `rows` rows from number `row` on, which `from` has first.
  void write(long turn, const T* from, long from_row, long first, long count, long row, long rows) const {
    const long left = depth_ - first, many = left < count ? left : count;
    if (many <= 0) return;
    const T* mask = mask_ ? mask_ + row * depth_ + first : nullptr;
    const long to = place(turn) + row * row_ + first;
    if constexpr (has_half<V>)
      if (half_) return to_half(from, from_row, mask, depth_, rows, many, half_ + to, row_);
    for (long b = 0; b < rows; ++b, from += from_row) {
      T* const at = at_ + to + b * row_;
      for (long k = 0; !mask && k < many; k += lanes<V>) store<V>(at + k, load<V>(from + k));
      for (long k = 0; mask && k < many; ++k) at[k] = from[k] * mask[b * depth_ + k];
    }
  }

  long place(long turn) const { return turn * (half_ ? whole_blocks(batch_) : batch_) * row_; }

  T* at_ = nullptr;
  Half* half_ = nullptr;
  long row_ = 0, batch_ = 0, depth_ = 0;
  const T* mask_ = nullptr;
};

}  // namespace RECURRA_NAMESPACE
