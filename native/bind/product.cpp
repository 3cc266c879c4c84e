// Products whose rows do not depend on one another: recurra/native/product.py.
#include "matrix.h"

namespace recurra {

namespace {

template <class T>
void products(Address a, Address b, Address c, const std::vector<long>& sizes, int threads) {
  Matrices<T> m;
  m.a = pointer<const T>(a);
  m.b = pointer<const T>(b);
  m.c = pointer<T>(c);
  long* const places[] = {&m.count, &m.rows, &m.depth, &m.columns, &m.a_step, &m.a_row, &m.b_step, &m.b_row, &m.b_column};
  for (size_t n = 0; n < sizeof places / sizeof *places; ++n) *places[n] = sizes.at(n);
  m.c_row = m.columns;
  m.c_step = m.rows * m.columns;
  const Isa* const isa = chosen;
  const auto run = [&](long first, long last) {
    if constexpr (sizeof(T) == 4) {
      isa->products(m, first, last);
    } else {
      isa->products64(m, first, last);
    }
  };
  const long work = m.count * m.rows * m.depth * m.columns;
  released(work, [&] {
    Team team(work >= many_products && m.count > 1 ? threads : 1);
    team.once([&](int thread) { run(m.count * thread / team.threads(), m.count * (thread + 1) / team.threads()); });
  });
}

}  // namespace

void bind_product(nb::module_& m) {
  nb::class_<Matrix>(m, "Matrix").def(nb::init<Rows<float>, Row, int>()).def("apply", &Matrix::apply);
  m.def("products32", &products<float>);
  m.def("products64", &products<double>);
}

}  // namespace recurra
