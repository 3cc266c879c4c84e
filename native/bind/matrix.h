// Weights that stay, for products with rows that do not depend on one another.
#pragma once
#include <algorithm>

#include "../pool.h"
#include "packed_weights.h"

namespace recurra {

using Row = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// Multiplications from which on a second thread is worth waking, and below which giving the
// interpreter to others costs more than they would gain.
constexpr long many_products = 1 << 22, brief_products = 1 << 15;

template <class Body>
inline void released(long work, Body body) {
  if (work < brief_products) return body();
  nb::gil_scoped_release release;
  body();
}

// x W^T + b for weights that stay. Const after it is made: threads may share it.
class Matrix {
 public:
  Matrix(Rows<float> weight, Row bias, int threads)
      : threads_(threads), columns_(long(weight.shape(0))), depth_(long(weight.shape(1))), isa_(chosen) {
    if (long(bias.shape(0)) != columns_ || !columns_ || !depth_)
      throw std::invalid_argument("a bias of another size than the weights, or no weights");
    packed_ = isa_->pack_head(weight.data(), bias.data(), columns_, depth_, memory_);
  }
  Matrix(const Matrix&) = delete;

  nb::ndarray<nb::numpy, float, nb::ndim<2>> apply(Rows<float> x) const {
    const long rows = long(x.shape(0));
    if (long(x.shape(1)) != depth_) throw std::invalid_argument("rows of another size than the weights");
    auto* values = new float[size_t(rows * columns_) + 1];
    nb::capsule owner(values, [](void* mine) noexcept { delete[] static_cast<float*>(mine); });
    const size_t shape[] = {size_t(rows), size_t(columns_)};
    const float* from = x.data();
    const long work = rows * columns_ * depth_;
    released(work, [&] { multiply(from, rows, values, work >= many_products ? threads_ : 1); });
    return nb::ndarray<nb::numpy, float, nb::ndim<2>>(values, 2, shape, owner);
  }

  long columns() const { return columns_; }
  long depth() const { return depth_; }

  const Isa* isa() const { return isa_; }
  const void* packed() const { return packed_; }

 private:
  void multiply(const float* x, long rows, float* to, int wanted) const {
    const long panels = (columns_ + isa_->head_columns - 1) / isa_->head_columns;
    Team team(wanted);
    const long threads = team.threads();
    // Rows to each thread where there are many: then all of them read the weights, which are few.
    const bool by_rows = rows >= 32 * threads;
    team.once([&](int thread) {
      const auto share = [&](long count, long n) { return count * n / threads; };
      if (by_rows) {
        part(x, share(rows, thread), share(rows, thread + 1), 0, panels, to);
      } else {
        part(x, 0, rows, share(panels, thread), share(panels, thread + 1), to);
      }
    });
  }

  // Rows and panels [first, last); blocks of rows that stay in the cache while the weights go by.
  void part(const float* x, long first_row, long last_row, long first, long last, float* to) const {
    constexpr long block = 128, widest = 16;
    const long W = isa_->head_columns, whole = std::min(last, columns_ / W);
    float ragged[block * widest];
    for (long r = first_row; r < last_row; r += block) {
      const long rows = std::min(block, last_row - r);
      const float* from = x + r * depth_;
      if (whole > first)
        isa_->head_rows(packed_, from, depth_, rows, to + r * columns_ + first * W, columns_, first, whole);
      if (last <= columns_ / W) continue;
      const long at = columns_ / W, left = columns_ - at * W;
      isa_->head_rows(packed_, from, depth_, rows, ragged, W, at, at + 1);
      for (long n = 0; n < rows; ++n)
        std::memcpy(to + (r + n) * columns_ + at * W, ragged + n * W, size_t(left) * sizeof(float));
    }
  }

  const int threads_;
  const long columns_, depth_;
  const Isa* const isa_;
  Arena memory_;
  void* packed_;
};

}  // namespace recurra
