// Compiled once for each instruction set: every cell's kernels for it.
#include "kernels.h"

#include <cstring>

#include "backward.h"
#include "forward.h"
#include "head.h"
#include "loss.h"
#include "update.h"
#include "cells/all.h"

namespace RECURRA_NAMESPACE {
namespace {

using recurra::Kernels;
using recurra::Team;

template <class V>
const Plan<V>& plan_of(const void* program) {
  return *static_cast<const Plan<V>*>(program);
}

// How many threads a call is to have. With a number below 0 at most so many, of which each has work
// enough to pay for what it costs at every step: barriers, and the lines of the states that come
// from another core; and the call enough to wake them. Measured on Sapphire Rapids, in microseconds.
template <class V>
int threads_of(const Plan<V>& plan, const Call<Scalar<V>>& call) {
  if (call.threads >= 0) return call.threads;
  const Shape& shape = call.shape;
  const double waking = 40;
  const double batch = double(shape.batch), inputs = call.tokens ? 0 : double(shape.inputs);
  const double products = batch * plan.gates * double(shape.hidden) * (inputs + double(shape.recurrent()));
  const double work = products * (shape.batch == 1 ? 24e-6 : 15e-6);
  const int barriers = 1 + (plan.forward.end() - 1)->level;
  const double cost = 0.25 * barriers + 0.95e-3 * batch * double(shape.hidden);
  const double paid = work * double(shape.steps) < waking ? 0 : work / cost;
  return paid < 2 ? 1 : paid < -call.threads ? int(paid) : -call.threads;
}

template <class V>
long saved_size(const void* program, const Call<Scalar<V>>& call) {
  return Saved<V>(plan_of<V>(program), call).size;
}

template <class V>
void saved_states(const void* program, const Call<Scalar<V>>& call, long* at) {
  const Plan<V>& plan = plan_of<V>(program);
  const Saved<V> saved(plan, call);
  for (int s = 0; s < plan.states; ++s) {
    at[s] = saved.state[s];
    at[recurra::most_states + s] = saved.fresh[s] >= 0 ? saved.fresh[s] : saved.state[s];
  }
}

template <class V>
void* pack(const void* program, const Call<Scalar<V>>& call, Arena& arena) {
  auto* packed = new (arena.take<Packed<V>>(1)) Packed<V>(plan_of<V>(program), call, arena);
  Team team(call.threads);
  Half* half = nullptr;
  if (packed->table && packed->x.half)
    half = arena.zeros<Half>(whole_blocks(call.symbols) * half_depth(call.shape.inputs));
  team.run([&](int thread) {
    const HalfScope scope(call.half);
    packed->fill(call.parameter, thread, team.threads());
  });
  if (packed->table) {
    const HalfScope scope(call.half);
    input_table(packed->x, Argument<V>{call.x, call.x_row}, call.symbols, 0, packed->x.count, half,
                packed->table, packed->table_row);
  }
  return packed;
}

template <class V>
void forward(const void* program, const void* given, const Call<Scalar<V>>& call, Arena& arena) {
  const Plan<V>& plan = plan_of<V>(program);
  const int threads = threads_of(plan, call);
  Team own(call.team ? 1 : threads), &team = call.team && threads > 1 ? *call.team : own;
  Barrier barrier(team.threads());
  Packed<V>* mine = given ? nullptr : new (arena.take<Packed<V>>(1)) Packed<V>(plan, call, arena);
  Forward<V> loop(plan, given ? *static_cast<const Packed<V>*>(given) : *mine, call, arena,
                  team.threads());
  team.run([&](int thread) {
    const HalfScope scope(call.half);
    if (mine) {
      mine->fill(call.parameter, thread, team.threads());
      barrier.wait();
    }
    loop.run(thread, team.threads(), barrier);
  });
}

template <class V>
void backward(const void* program, const Call<Scalar<V>>& call, Arena& arena) {
  const Plan<V>& plan = plan_of<V>(program);
  Team team(threads_of(plan, call));
  Barrier barrier(team.threads());
  Vectors<V> vectors(plan, call.shape, arena);
  vectors.fill(call.parameter);
  Transposed<V> transposed(plan, call, arena);
  Backward<V> loop(plan, vectors, transposed, call, arena, team.threads());
  team.run([&](int thread) {
    const HalfScope scope(call.half);
    transposed.fill(call.parameter, thread, team.threads());
    barrier.wait();
    loop.run(thread, team.threads(), barrier);
  });
}

template <class V>
constexpr Kernels<Scalar<V>> kernels(const Plan<V>& plan) {
  return {plan.name, &plan, plan.kept_names, saved_size<V>, saved_states<V>,
          pack<V>,   forward<V>, backward<V>};
}

template <class V>
const Kernels<Scalar<V>>* cell(int index) {
  static const Kernels<Scalar<V>> all[] = {
#define RECURRA_CELL(name) kernels<V>(name::plan<V>),
#include "cells/list.h"
#undef RECURRA_CELL
  };
  return index < int(sizeof all / sizeof *all) ? &all[index] : nullptr;
}

template <class V>
bool function(const char* name, const Scalar<V>* from, Scalar<V>* to, long n) {
  using F = V (*)(V);
  static const struct {
    const char* name;
    F f;
  } all[] = {{"exp", exp<V>},           {"tanh", tanh<V>},         {"sigmoid", sigmoid<V>},
             {"relu", relu<V>},         {"softsign", softsign<V>}, {"softplus", softplus<V>},
             {"hard_sigmoid", hard_sigmoid<V>}};
  for (const auto& entry : all) {
    if (std::strcmp(entry.name, name) != 0) continue;
    long k = 0;
    for (; k + lanes<V> <= n; k += lanes<V>) store<V>(to + k, entry.f(load<V>(from + k)));
    if (k < n) store_part<V>(to + k, entry.f(load_part<V>(from + k, n - k)), n - k);
    return true;
  }
  return false;
}

template <class V>
Kernels<Scalar<V>> adopt(const void* plan) {
  return kernels<V>(plan_of<V>(plan));
}

bool runs() { return RECURRA_RUNS; }

const char* half() {
  switch (runs() ? half_products() : HalfProducts::none) {
    case HalfProducts::dots: return "avx512_bf16";
    case HalfProducts::tiles: return "amx_bf16";
    default: return nullptr;
  }
}

}  // namespace

extern const recurra::Isa isa;
const recurra::Isa isa = {RECURRA_NAME, runs, cell<F32>, cell<F64>, function<F32>, function<F64>, half,
                         pack_head, head,
                         loss_kernels<F32>(), loss_kernels<F64>(),
                         update_kernels<F32>(), update_kernels<F64>(),
                         adopt<F32>, adopt<F64>, RECURRA_FLAGS, RECURRA_BYTES};

}  // namespace RECURRA_NAMESPACE
