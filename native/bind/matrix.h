// Weights that stay, for products with rows that do not depend on one another.
#pragma once
#include "../stack.h"
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
      : threads_(threads), output_{chosen, nullptr, long(weight.shape(0)), long(weight.shape(1))} {
    if (long(bias.shape(0)) != columns() || !columns() || !depth())
      throw std::invalid_argument("a bias of another size than the weights, or no weights");
    output_.packed = chosen->pack_head(weight.data(), bias.data(), columns(), depth(), memory_);
  }
  Matrix(const Matrix&) = delete;

  nb::ndarray<nb::numpy, float, nb::ndim<2>> apply(Rows<float> x) const {
    const long rows = long(x.shape(0));
    if (long(x.shape(1)) != depth()) throw std::invalid_argument("rows of another size than the weights");
    auto* values = new float[size_t(rows * columns()) + 1];
    nb::capsule owner(values, [](void* mine) noexcept { delete[] static_cast<float*>(mine); });
    const size_t shape[] = {size_t(rows), size_t(columns())};
    const float* from = x.data();
    const long work = rows * columns() * depth();
    released(work, [&] { multiply(from, rows, values, work >= many_products ? threads_ : 1); });
    return nb::ndarray<nb::numpy, float, nb::ndim<2>>(values, 2, shape, owner);
  }

  long columns() const { return output_.columns; }
  long depth() const { return output_.depth; }
  const Output& output() const { return output_; }

 private:
  void multiply(const float* x, long rows, float* to, int wanted) const {
    Team team(wanted);
    team.once([&](int thread) { output_.share(x, rows, to, thread, team.threads()); });
  }

  const int threads_;
  Output output_;
  Arena memory_;
};

}  // namespace recurra
