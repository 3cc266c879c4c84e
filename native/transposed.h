// The matrices of a call transposed, as the backward pass multiplies by them.
#pragma once
#include "in_place.h"

namespace RECURRA_NAMESPACE {

template <class V>
class Transposed {
 public:
  Transposed(const Plan<V>& plan, const Call<Scalar<V>>& call, Arena& arena)
      : plan_(plan), shape_(call.shape), half_(call.half), in_place_(reads_in_place(call)) {
    if (call.dx) {
      const Gradient& input = plan.gradients.item[0];
      x = take_panels<V>(arena, shape_.inputs, plan.x_gates.size * padded(shape_.hidden), 1, half_, in_place_);
      if (in_place_)
        leave_in_place(x, call.parameter[0], shape_.hidden, shape_.inputs, input.gate, input.gates, true);
    }
    incoming = arena.take<Panels<V>>(plan.incoming.size);
    products = arena.take<Panels<V>>(count_products(plan.backward));
    for (const Product& p : plan.incoming) incoming[count_++] = take(p, call, arena);
    int n = 0;
    for (const Segment<V>& segment : plan.backward)
      for (const Product& p : segment.products) products[n++] = take(p, call, arena);
  }

  void fill(const Scalar<V>* const* parameter, int thread, int threads) {
    if (in_place_) return;
    if (x.at)
      pack_columns<V>(x, parameter[0], shape_.hidden, shape_.inputs, plan_.gradients.item[0].gate,
                      plan_.gradients.item[0].gates, share(x.count, thread, threads),
                      share(x.count, thread + 1, threads));
    int n = 0;
    for (const Product& p : plan_.incoming) fill_one(incoming[n++], p, parameter, thread, threads);
    n = 0;
    for (const Segment<V>& segment : plan_.backward)
      for (const Product& p : segment.products) fill_one(products[n++], p, parameter, thread, threads);
  }

  Panels<V> x, *incoming, *products;

 private:
  long units(const Product& p) const { return units_of(shape_, p.matrix == weight_hr); }
  long columns(const Product& p) const {
    return p.matrix == weight_hr || p.state < 0 ? shape_.hidden : shape_.recurrent();
  }
  Panels<V> take(const Product& p, const Call<Scalar<V>>& call, Arena& arena) {
    Panels<V> found = take_panels<V>(arena, columns(p), p.gates * padded(units(p)), 1, half_, in_place_);
    if (in_place_)
      leave_in_place(found, call.parameter[matrix_place[p.matrix]], units(p), columns(p), p.gate, p.gates, true);
    return found;
  }
  void fill_one(const Panels<V>& panels, const Product& p, const Scalar<V>* const* parameter,
                int thread, int threads) {
    pack_columns<V>(panels, parameter[matrix_place[p.matrix]], units(p), columns(p), p.gate, p.gates,
                    share(panels.count, thread, threads), share(panels.count, thread + 1, threads));
  }

  const Plan<V>& plan_;
  const Shape shape_;
  const bool half_, in_place_;
  int count_ = 0;
};

}  // namespace RECURRA_NAMESPACE
