// Compiled once for each instruction set: every cell's kernels for it.
#include "kernels.h"

#include <cstring>

#include "backward.h"
#include "costs.h"
#include "forward.h"
#include "head.h"
#include "loss.h"
#include "parts.h"
#include "product.h"
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

// How many threads a call is to have, and whether it is brief. With a number below 0 at most so many as
// there are processors, of which each has work enough to pay for what it costs at every step: the
// meeting, and the lines of the states that come from another core, unless each has rows of its own; and
// the call enough to wake them.
struct Threads {
  int count;
  unsigned manner;
  double work = 0;  // microseconds that it takes one thread, where it is brief
};

// Microseconds that the products of a call take one thread, about.
template <class V>
double work_of(const Plan<V>& plan, const Call<Scalar<V>>& call) {
  const Shape& shape = call.shape;
  const double batch = double(shape.batch), inputs = call.tokens ? 0 : double(shape.inputs);
  const double products = batch * double(shape.hidden) *
                          (plan.gates[weight_ih] * inputs + plan.gates[weight_hh] * double(shape.recurrent()));
  return products * (shape.batch == 1 ? 24e-6 : 15e-6) * double(shape.steps);
}

template <class V>
Threads threads_of(const Plan<V>& plan, const Call<Scalar<V>>& call) {
  if (call.threads >= 0) return {call.threads, 0};
  const int room = recurra::cores(), most = -call.threads < room ? -call.threads : room;
  if (most == 1) return {1, 0};
  const Shape& shape = call.shape;
  const double batch = double(shape.batch), inputs = call.tokens ? 0 : double(shape.inputs);
  recurra::Step step;
  step.products = batch * double(shape.hidden) *
                  (plan.gates[weight_ih] * inputs + plan.gates[weight_hh] * double(shape.recurrent()));
  step.per_cycle = 2 * lanes<V>;
  step.single = shape.batch == 1;
  step.meetings = 1 + (plan.forward.end() - 1)->level;
  step.states = batch * double(shape.hidden);
  step.by_rows = row_parts(plan, call) >= most;
  if (recurra::too_small(step, double(shape.steps))) return {1, Team::brief};
  const recurra::Choice choice = recurra::choose(recurra::costs(), step, double(shape.steps), most);
  return {choice.threads, choice.brief ? unsigned(Team::brief) : 0, choice.work};
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

// The products of a table, shared out among threads. Each has a `half` to copy the rows to, or null.
template <class V>
void fill_table(const Table<V>& table, const Panels<V>& x, const Call<Scalar<V>>& call, Half* half, int thread,
                int threads) {
  const long first = share(x.count, thread, threads), last = share(x.count, thread + 1, threads);
  input_table(x, Argument<V>{call.x, call.x_row}, call.symbols, first, last, half,
              table.at + first * x.gates * lanes<V>, table.row);
}

template <class V>
Half* half_of_symbols(const Panels<V>& x, long symbols, Arena& arena) {
  return x.half ? arena.zeros<Half>(whole_blocks(symbols) * half_depth(x.depth)) : nullptr;
}

template <class V>
void* pack(const void* program, const Call<Scalar<V>>& call, Arena& arena) {
  auto* packed = new (arena.take<Packed<V>>(1)) Packed<V>(plan_of<V>(program), call, arena);
  Team team(call.threads, Team::whole);
  Half* half = packed->table.at ? half_of_symbols(packed->x, call.symbols, arena) : nullptr;
  team.once([&](int thread) {
    const HalfScope scope(call.half);
    packed->fill(call.parameter, thread, team.threads());
  });
  if (packed->table.at) {
    const HalfScope scope(call.half);
    fill_table(packed->table, packed->x, call, half, 0, 1);
  }
  return packed;
}

template <class V>
void forward(const void* program, const void* given, const Call<Scalar<V>>& call, Arena& arena) {
  const Plan<V>& plan = plan_of<V>(program);
  const Threads wanted = threads_of(plan, call);
  Team team(wanted.count, wanted.manner, wanted.work);
  const int threads = team.threads();
  Packed<V>* mine = given ? nullptr : new (arena.take<Packed<V>>(1)) Packed<V>(plan, call, arena, reads_in_place(call) && !has_many_gates(plan));
  const Packed<V>& packed = given ? *static_cast<const Packed<V>*>(given) : *mine;
  Table<V> table = packed.table;
  Half** half = nullptr;
  if (call.tokens && !table.at) {
    table = Table<V>(packed.x, call.symbols, arena);
    half = arena.take<Half*>(threads);
    for (int n = 0; n < threads; ++n) half[n] = half_of_symbols(packed.x, call.symbols, arena);
  }
  const int count = threads > 1 ? row_parts(plan, call) : 1;
  Parts<V> parts(plan, call, count, threads, arena);
  auto* loops = arena.take<Forward<V>>(count);
  for (int n = 0; n < count; ++n)
    new (&loops[n]) Forward<V>(plan, packed, table, parts.call(n), arena, parts.sharing(n));
  team.hold([&] {
    if (mine)
      team.once([&](int thread) {
        const HalfScope scope(call.half);
        mine->fill(call.parameter, thread, threads);
      });
    if (half)
      team.once([&](int thread) {
        const HalfScope scope(call.half);
        fill_table(table, packed.x, call, half[thread], thread, threads);
      });
    team.pieces(parts.groups(), [&](int thread) {
      const HalfScope scope(call.half);
      return parts.advance(thread, [&](int n, int within) { return loops[n].advance(within); });
    });
  });
}

// A call whose steps come one by one.
template <class V>
struct Steps {
  Call<Scalar<V>> call;
  Parts<V> parts;
  Forward<V>* loops;

  Steps(const Plan<V>& plan, const Packed<V>& packed, const Call<Scalar<V>>& given, Arena& arena, int threads)
      : call(given), parts(plan, call, threads > 1 && !given.by_units ? row_parts(plan, call) : 1, threads, arena) {
    loops = arena.take<Forward<V>>(parts.count());
    for (int n = 0; n < parts.count(); ++n)
      new (&loops[n]) Forward<V>(plan, packed, packed.table, parts.call(n), arena, parts.sharing(n));
  }
};

template <class V>
void* begin(const void* program, const void* given, const Call<Scalar<V>>& call, Arena& arena, int threads) {
  const Packed<V>& packed = *static_cast<const Packed<V>*>(given);
  return new (arena.take<Steps<V>>(1)) Steps<V>(plan_of<V>(program), packed, call, arena, threads);
}

template <class V>
int pieces(const void* begun) {
  return static_cast<const Steps<V>*>(begun)->loops[0].pieces();
}

template <class V>
void step(void* begun, long n, int piece, int thread) {
  const auto& steps = *static_cast<Steps<V>*>(begun);
  const HalfScope scope(steps.call.half);
  steps.parts.of(thread, [&](int part, int within, int) { steps.loops[part].run_one(n, piece, within); });
}

template <class V>
void read_state(const void* begun, int state, long n, Scalar<V>* to) {
  const auto& steps = *static_cast<const Steps<V>*>(begun);
  for (int part = 0; part < steps.parts.count(); ++part) steps.loops[part].read_state(state, n, to);
}

template <class V>
void write_state(void* begun, int state, long n, const Scalar<V>* from) {
  const auto& steps = *static_cast<Steps<V>*>(begun);
  for (int part = 0; part < steps.parts.count(); ++part) steps.loops[part].write_state(state, n, from);
}

template <class V>
void backward(const void* program, const Call<Scalar<V>>& given, Arena& arena) {
  const Plan<V>& plan = plan_of<V>(program);
  const Threads wanted = threads_of(plan, given);
  Team team(wanted.count, wanted.manner, wanted.work);
  const int threads = team.threads(), count = row_parts(plan, given);
  Vectors<V> vectors(plan, given.shape, arena);
  vectors.fill(given.parameter);
  Transposed<V> transposed(plan, given, arena);
  Call<Scalar<V>> call = given;
  const PartSums<V> sums(plan, call);
  for (int matrix = 0; matrix < recurra::matrices; ++matrix) call.written[matrix] = sums.writes(matrix);
  Parts<V> parts(plan, call, count, threads, arena);
  auto* loops = arena.take<Backward<V>>(count);
  for (int n = 0; n < count; ++n) {
    if (n > 0) sums.place(parts.call(n), arena);
    new (&loops[n]) Backward<V>(plan, vectors, transposed, parts.call(n), arena, parts.sharing(n), n ? 0 : threads);
  }
  team.hold([&] {
    team.once([&](int thread) {
      const HalfScope scope(call.half);
      transposed.fill(call.parameter, thread, threads);
      if (call.fresh) sums.clear_unwritten(call, thread, threads);
      parts.of(thread, [&](int n, int within, int sharing) {
        if (n > 0) sums.clear(parts.call(n), within, sharing);
      });
    });
    team.pieces(parts.groups(), [&](int thread) {
      const HalfScope scope(call.half);
      return parts.advance(thread, [&](int n, int within) { return loops[n].advance(within); });
    });
    if (count > 1)
      team.once([&](int thread) {
        for (int n = 1; n < count; ++n) {
          sums.add(parts.call(n), thread, threads);
          if (call.tokens) loops[0].add_tokens_of(loops[n], thread, threads);
        }
      });
    if (!call.tokens) return;
    loops[0].begin_tokens();
    team.once([&](int thread) {
      const HalfScope scope(call.half);
      loops[0].finish_tokens(thread, threads);
    });
  });
}

template <class V>
double work(const void* program, const Call<Scalar<V>>& call) {
  return work_of(plan_of<V>(program), call);
}

template <class V>
constexpr Kernels<Scalar<V>> kernels(const Plan<V>& plan) {
  return {plan.name, &plan, plan.kept_names, saved_size<V>, saved_states<V>,
          pack<V>,   forward<V>, begin<V>, pieces<V>, step<V>, read_state<V>, write_state<V>,
          backward<V>, work<V>};
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
             {"hard_sigmoid", hard_sigmoid<V>}, {"abs", abs<V>},   {"sqrt", sqrt<V>},
             {"log", log<V>},           {"sin", sin<V>},           {"cos", cos<V>}};
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
                         pack_head, head, head_rows, head_columns,
                         products<F32>, products<F64>,
                         loss_kernels<F32>(), loss_kernels<F64>(),
                         update_kernels<F32>(), update_kernels<F64>(),
                         adopt<F32>, adopt<F64>, RECURRA_FLAGS, RECURRA_BYTES};

}  // namespace RECURRA_NAMESPACE
