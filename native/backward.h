// The loop over time, backward. Threads own slices of units as in the forward pass.
//
// Gradients of gates live for some steps (a chunk) only: then they are multiplied into the gradients
// of the weights and of the input, while they are still in the cache.
#pragma once
#include "gradient.h"
#include "half_gradient.h"
#include "transposed.h"

namespace RECURRA_NAMESPACE {

template <class V>
class Backward : Loop<V> {
  using Loop<V>::plan_, Loop<V>::call_, Loop<V>::shape_, Loop<V>::batch_;
  using Loop<V>::panels, Loop<V>::time, Loop<V>::valid, Loop<V>::mixes, Loop<V>::units;

 public:
  using T = Scalar<V>;

  Backward(const Plan<V>& plan, const Vectors<V>& vectors, const Transposed<V>& transposed,
           const Call<T>& call, Arena& arena, int threads)
      : Loop<V>(plan, call),
        vectors_(vectors),
        transposed_(transposed),
        saved_(plan, call),
        sums_(call.shape, count_rows(plan.backward), arena) {
    const long hidden = padded(shape_.hidden);
    chunk_ = batch_ < chunk_rows ? chunk_rows / (batch_ ? batch_ : 1) : 1;
    if (chunk_ > shape_.steps) chunk_ = shape_.steps;
    for (int space = 0; space < 2; ++space) {
      // Odd in lines, so that no two rows are in one set of the cache.
      slot_row_[space] = plan.slots[space] * padded(units_of(shape_, space)) + pad;
      slots_[space] = arena.take<T>((chunk_ + 1) * batch_ * slot_row_[space] + 2 * pad);
      if (call.half)
        half_slots_[space] = arena.zeros<Half>(whole_blocks((chunk_ + 1) * batch_ + half_rows) * slot_row_[space]);
    }
    for (int s = 0; s < plan.states; ++s) place_state(s, arena);
    if (call.tokens) {
      token_row_ = plan.gradients.item[0].gates * hidden + pad;
      dtokens_ = arena.zeros<T>(call.symbols * token_row_ + 2 * pad);
      if (call.half) half_tokens_ = arena.zeros<Half>(whole_blocks(call.symbols) * token_row_);
    }
    dweights_ = arena.zeros<T>(plan.weights.size * hidden);
    dbiases_ = arena.zeros<T>(plan.slots[0] * hidden);
    own_ = arena.take<Own>(threads);
    for (int thread = 0; thread < threads; ++thread) {
      own_[thread].u = arena.take<T>(batch_ * max_products * 8 * lanes<V>);
      own_[thread].grad = arena.take<T>(max_states * batch_ * 8 * lanes<V>);
      own_[thread].sums = arena.zeros<T>(batch_ * 2 * plan.moments);
      own_[thread].work = arena.take<T>(working(threads));
      own_[thread].rows = arena.take<T*>(most_gradient_rows(threads));
    }
  }

  void run(int thread, int threads, Barrier& barrier) {
    const long steps = shape_.steps;
    for (long n1 = steps; n1 > 0; n1 -= chunk_) {
      const long n0 = n1 > chunk_ ? n1 - chunk_ : 0;
      for (long n = n1 - 1; n >= n0; --n) step(n, n0, thread, threads, barrier);
      for (const Gradient& g : plan_.gradients)
        if (g.matrix != weight_ih || !call_.tokens) weight_gradient(g, n0, n1, thread, threads);
      if (call_.tokens) {
        add_tokens(n0, n1, thread, threads);
      } else if (call_.dx) {
        input_gradient(from_slots(0, plan_.gradients.item[0].slot, n0, n0), (n1 - n0) * batch_, n0, thread, threads);
      }
      barrier.wait();
      if (n0 > 0) keep_boundary(n0 < chunk_ ? n0 : chunk_, thread, threads);
      barrier.wait();
    }
    if (call_.tokens) finish_tokens(thread, threads, barrier);
    finish(thread, threads);
  }

 private:
  // Rows whose gates' gradients are kept at once, for the products over time.
  static constexpr long chunk_rows = 512;

  struct Own {  // of one thread
    T* u;       // products of a block of panels
    T* grad;    // (states, B, block): dL/d(new state)
    T* sums;    // (B, moments, 2)
    T* work;    // of the products over time
    T** rows;   // of the weights' gradients
  };


  // Gradients of step n of the chunk from n0; the step after the chunk has the last place.
  T* slots(int space, long n, long n0) const {
    return slots_[space] + (n - n0) * batch_ * slot_row_[space];
  }

  void place_state(int s, Arena& arena) {
    const long row = padded(units(s));
    States<V>& state = states_[s];
    state.steps = shape_.steps;
    state.reverse = call_.reverse;
    set_initial(state, call_.initial[s], batch_, units(s), arena);
    state.row = row;
    state.step = batch_ * row;
    if (saved_.state[s] >= 0) {
      state.at = call_.saved + saved_.state[s];
    } else {
      state.at = call_.y;
      state.step = call_.y_step;
      state.row = call_.y_row;
    }
    fresh_[s] = state;
    if (saved_.fresh[s] >= 0) {
      fresh_[s].at = call_.saved + saved_.fresh[s];
      fresh_[s].step = batch_ * row;
      fresh_[s].row = row;
    }
    direct_[s] = arena.zeros<T>(batch_ * row);
    for (long b = 0; call_.dlast[s] && b < batch_; ++b)
      std::memcpy(direct_[s] + b * row, call_.dlast[s] + b * units(s), size_t(units(s)) * sizeof(T));
    if (mixes(s) || call_.valid) passed_[s] = arena.zeros<T>(batch_ * row);
  }

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
                                   : WeightGradient<V>::working(most_gradient_rows(threads), argument_units(g));
      most = need > most ? need : most;
    }
    const long need = row_block * 4 * lanes<V>;
    return need > most ? need : most;
  }

  void step(long n, long n0, int thread, int threads, Barrier& barrier) {
    const Own& own = own_[thread];
    int product = 0, rows = 0, level = 0;
    for (const Segment<V>& segment : plan_.backward) {
      if (segment.level != level) {
        barrier.wait();
        sums_.join(plan_.backward, level, false, own.sums, 2 * plan_.moments);
        level = segment.level;
      }
      run_segment(segment, n, n0, product, rows, thread, threads);
      product += segment.products.size;
      rows += segment.rows.size;
    }
    barrier.wait();
  }

  void run_segment(const Segment<V>& segment, long n, long n0, int product, int rows, int thread,
                   int threads) {
    constexpr long W = lanes<V>;
    const Own& own = own_[thread];
    const int space = segment.space;
    const long first = share(panels(space), thread, threads);
    const long last = share(panels(space), thread + 1, threads), hidden = padded(shape_.hidden);
    const T* stats = call_.saved + saved_.stats + time(n) * batch_ * 2 * plan_.moments;
    Ports<V> ports;
    ports.kept_row = saved_.kept_row;
    ports.kept_slot = ports.weight_slot = ports.sum_slot = hidden;
    ports.stats_row = ports.sums_row = 2 * plan_.moments;
    ports.slot_row = slot_row_[space];
    ports.slot_slot = padded(units_of(shape_, space));
    in_blocks(first, last, panels_at_once(1, batch_), [&](long p, int count) {
      const long row = count * W;
      ports.u_row = ports.grad_row = row;
      ports.u_slot = batch_ * row;
      for (int i = 0; i < segment.products.size; ++i)
        multiply_block(segment.products.item[i], transposed_.products[product + i], n, n0, p, count,
                       own.u + i * batch_ * row, true);
      for (const int s : segment.states)
        gather(s, n, n0, p, count, own.grad + s * batch_ * row);
      for (long q = p; q < p + count; ++q) {
        ports.real = vectors_.real[space] + q * W;
        ports.weight_at = vectors_.weights + q * W;
        ports.dweight_at = dweights_ + q * W;
        ports.dbias_at = dbiases_ + q * W;
        sums_.point(ports, segment, rows, q);
        in_runs(valid(n), batch_, [&](long b, long many) {
          Ports<V> at = ports;
          at.rows = many;
          at.u_at = own.u + b * row + (q - p) * W;
          at.kept_at = call_.saved + time(n) * saved_.kept_step + b * saved_.kept_row + q * W;
          at.stats_at = stats + b * at.stats_row;
          at.sums_at = own.sums + b * at.sums_row;
          at.slot_at = slots(space, n, n0) + b * at.slot_row + q * W;
          for (int r = 0; r < segment.rows.size; ++r) at.partial_at[r] += b * ports.partial_row;
          for (int s = 0; s < plan_.states; ++s) {
            at.old_row[s] = states_[s].row_before(n);
            at.old_at[s] = states_[s].before(n) + b * at.old_row[s] + q * W;
            at.fresh_row[s] = fresh_[s].row;
            at.fresh_at[s] = fresh_[s].after(n) + b * at.fresh_row[s] + q * W;
            at.direct_row[s] = padded(units(s));
            at.direct_at[s] = direct_[s] + b * at.direct_row[s] + q * W;
            at.grad_at[s] = own.grad + (s * batch_ + b) * row + (q - p) * W;
          }
          segment.run(at);
        });
        if (valid(n)) blank(segment, n, n0, q);
      }
      copy_half(space, n, n0, p, count);
    });
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

  // A step that a row does not take leaves no gradients.
  void blank(const Segment<V>& segment, long n, long n0, long q) {
    const unsigned char* here = valid(n);
    const long units = padded(units_of(shape_, segment.space));
    for (long b = 0; b < batch_; ++b)
      for (int k = 0; k < plan_.slots[segment.space] && !here[b]; ++k)
        store<V>(slots(segment.space, n, n0) + b * slot_row_[segment.space] + k * units + q * lanes<V>, V{});
  }

  // to = transposed matrix * gradients of the gates, for a block of panels; times the dropout mask.
  void multiply_block(const Product& p, const Panels<V>& panels, long n, long n0, long panel,
                      int count, T* to, bool clear) {
    constexpr long W = lanes<V>;
    const int space = p.matrix == weight_hr;
    multiply<V>(panels, panel, count, from_slots(space, p.slot, n, n0), batch_, to, count * W,
                clear ? panels.start + panel * W : nullptr);
    if (!call_.recurrent_mask || space) return;
    const long units = shape_.recurrent();
    for (long b = 0; b < batch_; ++b)
      for (long k = 0; k < count * W; ++k)
        to[b * count * W + k] *= panel * W + k < units ? call_.recurrent_mask[b * units + panel * W + k] : 0;
  }

  // grad = dL/d(state after step n), for a block of panels; what mixing and masks let pass to the
  // state before goes to `passed`. At n = -1 it is the gradient of the initial state.
  void gather(int s, long n, long n0, long p, int count, T* grad) {
    constexpr long W = lanes<V>;
    const long row = padded(units(s));
    bool clear = true;
    for (int i = 0; i < plan_.incoming.size && n + 1 < shape_.steps; ++i) {
      const Product& product = plan_.incoming.item[i];
      if (product.state != s) continue;
      multiply_block(product, transposed_.incoming[i], n + 1, n0, p, count, grad, clear);
      clear = false;
    }
    const unsigned char* here = n >= 0 ? valid(n) : nullptr;
    for (long q = p; q < p + count; ++q) {
      for (long b = 0; b < batch_; ++b) {
        T* at = grad + (b * count + q - p) * W;
        T* direct = direct_[s] + b * row + q * W;
        V v = load<V>(direct);
        if (!clear) v += load<V>(at);
        if (!plan_.direct[s] || (here && !here[b])) store<V>(direct, V{});
        if (passed_[s]) {
          T* passed = passed_[s] + b * row + q * W;
          v += load<V>(passed);
          if (here && !here[b]) {
            store<V>(passed, v);
            v = V{};
          } else if (s == 0 && n >= 0) {
            v += output_gradient(n, b, q);
          }
          show_gradient(s, n, b, q, v);
          if (!here || here[b]) {
            const V keep = n >= 0 ? kept_share(s, time(n), b, q) : V{};
            store<V>(passed, v * keep);
            v = v - v * keep;
          }
        } else {
          if (s == 0 && n >= 0) v += output_gradient(n, b, q);
          show_gradient(s, n, b, q, v);
        }
        store<V>(at, v);
      }
    }
  }

  void show_gradient(int s, long n, long b, long q, V v) const {
    const long row = padded(units(s));
    if (call_.dstate[s] && n >= 0)
      store<V>(call_.dstate[s] + (time(n) * batch_ + b) * row + q * lanes<V>, v);
  }

  V output_gradient(long n, long b, long q) const {
    constexpr long W = lanes<V>;
    if (!call_.dy) return V{};
    return load_left<V>(call_.dy + time(n) * call_.dy_step + b * call_.dy_row + q * W, units(0) - q * W);
  }

  V kept_share(int s, long t, long b, long q) const {
    constexpr long W = lanes<V>;
    if (!call_.keep[s]) return splat<V>(call_.keep_rate[s]);
    return load_left<V>(call_.keep[s] + (t * batch_ + b) * units(s) + q * W, units(s) - q * W);
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
    weight_gradient(g, slots(space, n0, n0) + g.slot * padded(units_of(shape_, space)), slot_row_[space],
                    argument(g, n0), n1 - n0, batch_, thread, threads);
  }

  // The same from `steps` times `batch` rows of gradients, `row` apart.
  void weight_gradient(const Gradient& g, const T* gradient, long row, const Tall<T>& argument,
                       long steps, long batch, int thread, int threads) {
    T* weight = call_.dparameter[matrix_place[g.matrix]];
    if (!weight) return;
    const long units = units_of(shape_, space_of(g)), columns = argument_units(g);
    const long first = share(gradient_rows(g), thread, threads);
    const long count = share(gradient_rows(g), thread + 1, threads) - first;
    T** const to = own_[thread].rows;
    for (long n = 0; n < count; ++n) {
      const long unit = (first + n) % padded(units), gate = g.gate[(first + n) / padded(units)];
      to[n] = unit < units ? weight + (gate * units + unit) * columns : nullptr;
    }
    const auto add = call_.half ? HalfGradient<V>::add : WeightGradient<V>::add;
    add(gradient + first, row, count, argument, steps, batch, columns, own_[thread].work, to);
  }

  Tall<T> argument(const Gradient& g, long n0) const {
    const long way = call_.reverse ? -1 : 1;
    Tall<T> from;
    if (g.matrix == weight_ih) {
      from.at = call_.x + time(n0) * call_.x_step;
      from.step = way * call_.x_step;
      from.row = call_.x_row;
      from.valid = valid(n0);
      from.valid_step = way * batch_;
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
      return from;
    }
    from.at = slots(0, n0, n0) + g.argument * padded(shape_.hidden);
    from.step = batch_ * slot_row_[0];
    from.row = slot_row_[0];
    return from;
  }

  // The thread's columns of dL/dx, from rows of gradients: those of step n0 and on, or of tokens.
  void input_gradient(const Argument<V>& from, long rows, long n0, int thread, int threads) {
    constexpr long W = lanes<V>;
    const Panels<V>& panels = transposed_.x;
    T* c = own_[thread].work;
    for (long row = 0; row < rows; row += row_block) {
      const long many = rows - row < row_block ? rows - row : row_block;
      in_blocks(share(panels.count, thread, threads), share(panels.count, thread + 1, threads), 4,
                [&](long p, int count) {
                  Argument<V> a = from;
                  a.at += row * a.row;
                  if (a.half) a.half += row * a.half_row;
                  multiply<V>(panels, p, count, a, many, c, count * W, panels.start + p * W);
                  for (long i = 0; i < many; ++i)
                    if (call_.tokens) {
                      write_input(call_.dx + (row + i) * call_.dx_row, p * W, count * W, c + i * count * W);
                    } else {
                      const long n = n0 + (row + i) / batch_, b = (row + i) % batch_;
                      write_input(call_.dx + time(n) * call_.dx_step + b * call_.dx_row, p * W, count * W,
                                  c + i * count * W);
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
        T* to = dtokens_ + call_.tokens[time(n) * batch_ + b] * token_row_;
        for (long k = first; k < last; k += W) store<V>(to + k, load<V>(to + k) + load<V>(from + k));
      }
  }

  // Gradients of the input's weights and of the rows that tokens choose, from those sums.
  void finish_tokens(int thread, int threads, Barrier& barrier) {
    const Gradient& g = plan_.gradients.item[0];
    const long rows = call_.symbols;
    barrier.wait();
    if constexpr (has_half<V>)
      if (half_tokens_ && thread == 0)
        to_half(dtokens_, token_row_, nullptr, 0, rows, token_row_, half_tokens_, token_row_);
    barrier.wait();
    Tall<T> from;
    from.at = call_.x;
    from.step = call_.x_row;
    weight_gradient(g, dtokens_, token_row_, from, rows, 1, thread, threads);
    if (call_.dx)
      input_gradient({dtokens_, token_row_, half_tokens_, token_row_}, rows, 0, thread, threads);
  }

  void write_input(T* to, long first, long count, const T* from) const {
    const long left = shape_.inputs - first;
    if (left > 0) std::memcpy(to + first, from, size_t(left < count ? left : count) * sizeof(T));
  }

  // Gradients of the initial states, and of the vectors of parameters: the thread's units.
  void finish(int thread, int threads) {
    constexpr long W = lanes<V>;
    for (int s = 0; s < plan_.states; ++s) {
      const long count = panels(plan_.projected[s]);
      if (!call_.dinitial[s]) continue;
      for (long p = share(count, thread, threads); p < share(count, thread + 1, threads); ++p) {
        gather(s, -1, 0, p, 1, own_[thread].grad);
        const long left = units(s) - p * W;
        for (long b = 0; b < batch_ && left > 0; ++b)
          store_part<V>(call_.dinitial[s] + b * units(s) + p * W,
                        load<V>(own_[thread].grad + b * W), left < W ? left : W);
      }
    }
    const long hidden = shape_.hidden, first = share(panels(0), thread, threads) * W;
    const long end = share(panels(0), thread + 1, threads) * W, last = end < hidden ? end : hidden;
    for (const Bias& b : plan_.biases)
      if (T* to = call_.dparameter[b.parameter])
        for (long k = first; k < last; ++k)
          to[b.gate * hidden + k] += dbiases_[b.slot * padded(hidden) + k];
    for (int w = 0; w < plan_.weights.size; ++w) {
      const Vectored& v = plan_.weights.item[w];
      T* to = call_.dparameter[v.parameter];
      for (long k = first; to && k < last; ++k)
        to[(v.gate < 0 ? 0 : v.gate * hidden) + k] += dweights_[w * padded(hidden) + k];
    }
  }

  static constexpr long row_block = 64;  // rows of gradients that stay in the second-level cache

  const Vectors<V>& vectors_;
  const Transposed<V>& transposed_;
  const Saved<V> saved_;
  RowSums<V> sums_;
  long chunk_ = 0, slot_row_[2] = {};
  States<V> states_[max_states], fresh_[max_states];
  T* slots_[2] = {};
  Half* half_slots_[2] = {};
  T* dtokens_ = nullptr;  // (V, gates): gradients of the gates, by token
  Half* half_tokens_ = nullptr;
  long token_row_ = 0;
  T* direct_[max_states] = {};
  T* passed_[max_states] = {};
  T* dweights_ = nullptr;
  T* dbiases_ = nullptr;
  Own* own_ = nullptr;
};

}  // namespace RECURRA_NAMESPACE
