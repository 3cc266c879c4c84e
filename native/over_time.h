// The products over time of the backward pass: gradients of the matrices and of the input.
//
// Gradients of gates live for some steps (a chunk) only: then they are multiplied into the gradients
// of the weights and of the input, while they are still in the cache.
#pragma once
#include "gradient.h"
#include "half_gradient.h"
#include "restarts.h"
#include "transposed.h"

namespace RECURRA_NAMESPACE {

template <class V>
class OverTime : protected Loop<V> {
 protected:
  using Loop<V>::plan_, Loop<V>::call_, Loop<V>::shape_, Loop<V>::batch_, Loop<V>::whole_;
  using Loop<V>::time, Loop<V>::valid, Loop<V>::units, Loop<V>::resets;
  using T = Scalar<V>;

  // `finishing`: threads that will call `finish_tokens`.
  OverTime(const Plan<V>& plan, const Transposed<V>& transposed, const Call<T>& call, Arena& arena,
           int threads, int finishing)
      : Loop<V>(plan, call), transposed_(transposed), saved_(plan, call), restarts_(plan, call, arena, threads) {
    chunk_ = batch_ < chunk_rows ? chunk_rows / (batch_ ? batch_ : 1) : 1;
    if (chunk_ > shape_.steps) chunk_ = shape_.steps;
    for (int space = 0; space < 2; ++space) {
      // Odd in lines, so that no two rows are in one set of the cache.
      slot_row_[space] = plan.slots[space] * padded(units_of(shape_, space)) + pad;
      const long rows = (chunk_ + 1) * batch_;
      slots_[space] = arena.take<T>(rows * slot_row_[space] + 2 * pad);
      // The last half of a product's depth may be the next slot, not yet written: what it holds is
      // multiplied by zero, and must be a number.
      if (call.half && padded(units_of(shape_, space)) % half_step)
        std::memset(slots_[space], 0, size_t(rows * slot_row_[space]) * sizeof(T));
      if (call.half)
        half_slots_[space] = arena.zeros<Half>(whole_blocks(rows + half_rows) * slot_row_[space]);
    }
    find_states(plan, call, saved_, arena, states_, fresh_);
    if (call.tokens) {
      token_row_ = plan.gradients.item[0].gates * padded(shape_.hidden) + pad;
      dtokens_ = arena.zeros<T>(call.symbols * token_row_ + 2 * pad);
      if (call.half) half_tokens_ = arena.zeros<Half>(whole_blocks(call.symbols) * token_row_);
    }
    const int workers = finishing > threads ? finishing : threads;
    work_ = arena.take<T*>(workers);
    rows_ = arena.take<T**>(workers);
    for (int thread = 0; thread < workers; ++thread) {
      work_[thread] = arena.take<T>(working(threads));
      rows_[thread] = arena.take<T*>(most_gradient_rows(threads));
    }
  }

  // Gradients of step n of the chunk from n0; the step after the chunk has the last place.
  T* slots(int space, long n, long n0) const {
    return slots_[space] + (n - n0) * batch_ * slot_row_[space];
  }

  // Products in bfloat16 read a copy of the slots.
  void copy_half(int space, long n, long n0, long p, int count) {
    if constexpr (has_half<V>) {
      if (!half_slots_[space]) return;
      const long units = padded(units_of(shape_, space)), at = (n - n0) * batch_ * slot_row_[space];
      for (int k = 0; k < plan_.slots[space]; ++k) {
        const long first = at + k * units + p * lanes<V>;
        to_half(slots_[space] + first, slot_row_[space], nullptr, 0, batch_, count * lanes<V>,
                half_slots_[space] + first, slot_row_[space]);
      }
    }
  }

  // Rows of slots from number `slot` on, of step n of the chunk from n0.
  Argument<V> from_slots(int space, int slot, long n, long n0) const {
    const long at = (n - n0) * batch_ * slot_row_[space] + slot * padded(units_of(shape_, space));
    return {slots_[space] + at, slot_row_[space], half_slots_[space] ? half_slots_[space] + at : nullptr,
            slot_row_[space]};
  }

  // What the gradients of the chunk of steps [n0, n1) add to those of the parameters and the input, from
  // product number `n` on. Returns the first product that has to wait until all threads are here.
  int gradients(long n0, long n1, int n, int thread, int threads) {
    for (const int first = n; n < plan_.gradients.size; ++n) {
      const Gradient& g = plan_.gradients.item[n];
      // Where two products have a gate in common, its rows may be another thread's in each.
      if (n > first && adds_again(n)) return n;
      if (g.matrix != weight_ih || !call_.tokens) weight_gradient(g, n0, n1, thread, threads);
    }
    const Gradient& input = plan_.gradients.item[0];
    if (call_.tokens) {
      add_tokens(n0, n1, thread, threads);
    } else if (call_.dx) {
      input_gradient(from_slots(0, input.slot, n0, n0), (n1 - n0) * batch_, n0, thread, threads);
    }
    return n;
  }

  // The first gradients of a chunk are what flows into the chunk before it, of `length` steps.
  void keep_boundary(long length, int thread, int threads) {
    for (int space = 0; space < 2; ++space) {
      const long size = batch_ * slot_row_[space], first = share(size, thread, threads);
      const size_t count = size_t(share(size, thread + 1, threads) - first);
      std::memcpy(slots_[space] + length * size + first, slots_[space] + first, count * sizeof(T));
      if (Half* half = half_slots_[space])
        std::memcpy(half + length * size + first, half + first, count * sizeof(Half));
    }
  }

  // Adds another part's sums by token.
  void add_tokens_of(const OverTime& part, int thread, int threads) const {
    const long size = call_.symbols * token_row_, last = share(size, thread + 1, threads);
    for (long k = share(size, thread, threads); k < last; ++k) dtokens_[k] += part.dtokens_[k];
  }

  // Gradients of the input's weights and of the rows that tokens choose, from those sums: first what one
  // thread does for all.
  void begin_tokens() {
    if constexpr (has_half<V>)
      if (half_tokens_)
        to_half(dtokens_, token_row_, nullptr, 0, call_.symbols, token_row_, half_tokens_, token_row_);
  }

  void finish_tokens(int thread, int threads) {
    const Gradient& g = plan_.gradients.item[0];
    const long rows = call_.symbols;
    Tall<T> from;
    from.at = call_.x;
    from.step = call_.x_row;
    weight_gradient(g, dtokens_, token_row_, from, rows, 1, thread, threads);
    if (call_.dx)
      input_gradient({dtokens_, token_row_, half_tokens_, token_row_}, rows, 0, thread, threads);
  }

 private:
  // Rows whose gates' gradients are kept at once.
  static constexpr long chunk_rows = 512;
  static constexpr long row_block = 64;  // rows of gradients that stay in the second-level cache
  static constexpr long panels_of_input = registers == 32 ? 4 : 2;  // of one gate, at once

  long most_gradient_rows(int threads) const {
    long most = 0;
    for (const Gradient& g : plan_.gradients)
      most = gradient_rows(g) > most ? gradient_rows(g) : most;
    return most / threads + 1;
  }

  long working(int threads) const {
    long most = 0;
    for (const Gradient& g : plan_.gradients) {
      const long need = call_.half ? HalfGradient<V>::working(most_gradient_rows(threads), argument_units(g))
                                   : WeightGradient<V>::working(argument_units(g));
      most = need > most ? need : most;
    }
    const long need = row_block * panels_of_input * lanes<V>;
    return need > most ? need : most;
  }

  // Whether an earlier gradient adds to some of the rows that number `n` adds to.
  bool adds_again(int n) const {
    const Gradient& g = plan_.gradients.item[n];
    for (int m = 0; m < n; ++m) {
      const Gradient& before = plan_.gradients.item[m];
      for (int i = 0; before.matrix == g.matrix && i < g.gates; ++i)
        for (int k = 0; k < before.gates; ++k)
          if (before.gate[k] == g.gate[i]) return true;
    }
    return false;
  }

  static int space_of(const Gradient& g) { return g.matrix == weight_hr; }
  long gradient_rows(const Gradient& g) const {
    return g.gates * padded(units_of(shape_, space_of(g)));
  }
  long argument_units(const Gradient& g) const {
    return g.matrix == weight_ih   ? shape_.inputs
           : g.matrix == weight_hh ? shape_.recurrent()
                                   : shape_.hidden;
  }

  // The thread's part of dL/dW for the steps [n0, n1).
  void weight_gradient(const Gradient& g, long n0, long n1, int thread, int threads) {
    const int space = space_of(g);
    const bool write = call_.written[g.matrix] && n1 == shape_.steps;
    weight_gradient(g, slots(space, n0, n0) + g.slot * padded(units_of(shape_, space)), slot_row_[space],
                    argument(g, n0), n1 - n0, batch_, thread, threads, write);
  }

  // The same from `steps` times `batch` rows of gradients, `row` apart.
  void weight_gradient(const Gradient& g, const T* gradient, long row, const Tall<T>& argument,
                       long steps, long batch, int thread, int threads, bool write = false) {
    T* weight = call_.dparameter[matrix_place[g.matrix]];
    if (!weight) return;
    const long units = units_of(shape_, space_of(g)), columns = argument_units(g);
    const long first = share(gradient_rows(g), thread, threads);
    const long count = share(gradient_rows(g), thread + 1, threads) - first;
    T** const to = rows_[thread];
    for (long n = 0; n < count; ++n) {
      const long unit = (first + n) % padded(units), gate = g.gate[(first + n) / padded(units)];
      to[n] = unit < units ? weight + (gate * units + unit) * columns : nullptr;
    }
    if (call_.half)
      return HalfGradient<V>::add(gradient + first, row, count, argument, steps, batch, columns, work_[thread], to);
    WeightGradient<V>::add(gradient + first, row, count, argument, steps, batch, columns, work_[thread], to, write);
  }

  Tall<T> argument(const Gradient& g, long n0) const {
    const long way = call_.reverse ? -1 : 1;
    Tall<T> from;
    if (g.matrix == weight_ih) {
      from.at = call_.x + time(n0) * call_.x_step;
      from.step = way * call_.x_step;
      from.row = call_.x_row;
      from.valid = valid(n0);
      from.valid_step = way * whole_;
      return from;
    }
    if (g.matrix == weight_hh) from.mask = call_.recurrent_mask;
    if (g.state >= 0) {
      const States<V>& state = states_[g.state];
      from.step = way * state.step;
      from.at = state.after(n0) - from.step;
      from.row = state.row;
      from.first = n0 == 0 ? state.initial : nullptr;
      from.first_row = state.initial_row;
      if (!restarts_) return from;
      from.reset = resets(n0);
      from.reset_step = way * whole_;
      from.start = restarts_.start(g.state);
      from.start_row = restarts_.start_row(g.state);
      return from;
    }
    from.at = slots(0, n0, n0) + g.argument * padded(shape_.hidden);
    from.step = batch_ * slot_row_[0];
    from.row = slot_row_[0];
    return from;
  }

  // The thread's part of dL/dx, from rows of gradients: those of step n0 and on, or of tokens. Some of
  // the rows, or where not all weights stay in the second-level cache some of the columns.
  void input_gradient(const Argument<V>& from, long rows, long n0, int thread, int threads) {
    constexpr long W = lanes<V>;
    const Panels<V>& panels = transposed_.x;
    const bool apart = rows >= threads * row_block && panels.count * panels.stride * long(sizeof(T)) <= second_level_cache();
    const long first = apart ? share(rows, thread, threads) : 0;
    const long last = apart ? share(rows, thread + 1, threads) : rows;
    const int of = apart ? 0 : thread, all = apart ? 1 : threads;
    T* c = work_[thread];
    for (long row = first; row < last; row += row_block) {
      const long many = last - row < row_block ? last - row : row_block;
      in_blocks(share(panels.count, of, all), share(panels.count, of + 1, all), panels_of_input, [&](long p, int count) {
        Argument<V> a = from;
        a.at += row * a.row;
        if (a.half) a.half += row * a.half_row;
        multiply<V>(panels, p, count, a, many, c, count * W, panels.start + p * W);
        long n = call_.tokens ? 0 : n0 + row / batch_, b = call_.tokens ? row : row % batch_;
        for (long i = 0; i < many; ++i) {
          T* const to = call_.tokens ? call_.dx : call_.dx + time(n) * call_.dx_step;
          write_input(to + b * call_.dx_row, p * W, count * W, c + i * count * W);
          if (++b == batch_ && !call_.tokens) ++n, b = 0;
        }
      });
    }
  }

  // Sums the gradients of gates by token: the thread's units.
  void add_tokens(long n0, long n1, int thread, int threads) {
    constexpr long W = lanes<V>;
    const Gradient& g = plan_.gradients.item[0];
    const long vectors = g.gates * padded(shape_.hidden) / W;
    const long first = share(vectors, thread, threads) * W, last = share(vectors, thread + 1, threads) * W;
    for (long n = n0; n < n1; ++n)
      for (long b = 0; b < batch_; ++b) {
        const T* from = slots(0, n, n0) + b * slot_row_[0] + g.slot * padded(shape_.hidden);
        T* to = dtokens_ + call_.tokens[time(n) * whole_ + b] * token_row_;
        for (long k = first; k < last; k += W) store<V>(to + k, load<V>(to + k) + load<V>(from + k));
      }
  }

  void write_input(T* to, long first, long count, const T* from) const {
    const long left = shape_.inputs - first;
    if (left > 0) std::memcpy(to + first, from, size_t(left < count ? left : count) * sizeof(T));
  }

 protected:
  const Transposed<V>& transposed_;
  const Saved<V> saved_;
  Restarts<V> restarts_;
  long chunk_ = 0, slot_row_[2] = {};
  States<V> states_[max_states], fresh_[max_states];

 private:
  T* slots_[2] = {};
  Half* half_slots_[2] = {};
  T* dtokens_ = nullptr;  // (V, gates): gradients of the gates, by token
  Half* half_tokens_ = nullptr;
  long token_row_ = 0;
  T** work_ = nullptr;    // of each thread, for the products
  T*** rows_ = nullptr;   // of each thread: the rows of a weight's gradient
};

}  // namespace RECURRA_NAMESPACE
