// The loop over time, backward: of a call, or of a part of its rows. Threads own slices of units as in
// the forward pass.
#pragma once
#include "over_time.h"

namespace RECURRA_NAMESPACE {

template <class V>
class Backward : public OverTime<V> {
  using Loop<V>::plan_, Loop<V>::call_, Loop<V>::shape_, Loop<V>::batch_, Loop<V>::whole_;
  using Loop<V>::panels, Loop<V>::time, Loop<V>::valid, Loop<V>::mixes, Loop<V>::units, Loop<V>::kept_share;
  using OverTime<V>::slots, OverTime<V>::copy_half, OverTime<V>::from_slots, OverTime<V>::gradients;
  using OverTime<V>::keep_boundary, OverTime<V>::transposed_, OverTime<V>::saved_, OverTime<V>::chunk_;
  using OverTime<V>::slot_row_, OverTime<V>::states_, OverTime<V>::fresh_, OverTime<V>::restarts_, OverTime<V>::resets;

 public:
  using T = Scalar<V>;
  using OverTime<V>::add_tokens_of, OverTime<V>::begin_tokens, OverTime<V>::finish_tokens;

  Backward(const Plan<V>& plan, const Vectors<V>& vectors, const Transposed<V>& transposed,
           const Call<T>& call, Arena& arena, int threads, int finishing)
      : OverTime<V>(plan, transposed, call, arena, threads, finishing),
        vectors_(vectors),
        sums_(call.shape, count_rows(plan.backward), arena),
        threads_(threads),
        levels_(1 + (plan.backward.end() - 1)->level) {
    const long hidden = padded(shape_.hidden);
    long products = 0;
    for (const Segment<V>& segment : plan.backward)
      products = segment.products.size > products ? segment.products.size : products;
    for (int s = 0; s < plan.states; ++s) place_gradients(s, arena);
    dweights_ = arena.zeros<T>(plan.weights.size * hidden);
    dbiases_ = arena.zeros<T>(plan.slots[0] * hidden);
    own_ = arena.take<Own>(threads);
    for (int thread = 0; thread < threads; ++thread) {
      own_[thread].end = shape_.steps;
      own_[thread].step = shape_.steps - 1;
      own_[thread].piece = 0;
      own_[thread].u = arena.take<T>(batch_ * products * 8 * lanes<V>);
      own_[thread].grad = arena.take<T>(plan.states * batch_ * 8 * lanes<V>);
      own_[thread].sums = arena.zeros<T>(2 * plan.moments * batch_);
    }
  }

  // The next piece of a thread's part; false: it was the last. Threads meet after each.
  bool advance(int thread) {
    Own& own = own_[thread];
    if (own.end > 0) {
      const long n0 = own.end > chunk_ ? own.end - chunk_ : 0;
      if (own.step >= n0) {
        do level(own.step, n0, own.piece, thread);
        while (++own.piece < levels_ && threads_ == 1);
        if (own.piece == levels_) own.piece = 0, --own.step;
        return true;
      }
      if (own.piece < plan_.gradients.size) {
        own.piece = gradients(n0, own.end, own.piece, thread, threads_);
        if (n0 > 0 || own.piece < plan_.gradients.size) return true;
      } else {
        keep_boundary(n0 < chunk_ ? n0 : chunk_, thread, threads_);
        own.piece = 0;
        own.end = n0;
        return true;
      }
    }
    finish(thread);
    return false;
  }

 private:
  struct Own {  // of one thread
    long end, step;  // what its next piece is: the chunk's end, the step,
    int piece;       // the level, or after the chunk's steps the number of the gradient
    T* u;       // products of a block of panels
    T* grad;    // (states, B, block): dL/d(new state)
    T* sums;    // (moments, 2, B)
  };

  void place_gradients(int s, Arena& arena) {
    const long row = padded(units(s));
    direct_[s] = arena.zeros<T>(batch_ * row);
    for (long b = 0; call_.dlast[s] && b < batch_; ++b)
      std::memcpy(direct_[s] + b * row, call_.dlast[s] + b * units(s), size_t(units(s)) * sizeof(T));
    if (mixes(s) || call_.valid) passed_[s] = arena.zeros<T>(batch_ * row);
    if (call_.dstart[s]) dstart_[s] = arena.zeros<T>(batch_ * row);
  }

  void level(long n, long n0, int level, int thread) {
    if (level == 0) restarts_.enter(n, states_, thread);
    if (level > 0) sums_.join(plan_.backward, level - 1, false, own_[thread].sums, batch_);
    int product = 0, rows = 0;
    for (const Segment<V>& segment : plan_.backward) {
      if (segment.level == level) run_segment(segment, n, n0, product, rows, thread);
      product += segment.products.size;
      rows += segment.rows.size;
    }
  }

  void run_segment(const Segment<V>& segment, long n, long n0, int product, int rows, int thread) {
    constexpr long W = lanes<V>;
    const Own& own = own_[thread];
    const int space = segment.space;
    const long first = share(panels(space), thread, threads_);
    const long last = share(panels(space), thread + 1, threads_), hidden = padded(shape_.hidden);
    const T* stats = call_.saved + saved_.stats + time(n) * whole_ * 2 * plan_.moments;
    Ports<V> ports;
    ports.hidden = shape_.hidden;
    ports.kept_row = saved_.kept_row;
    ports.kept_slot = pad;
    ports.weight_slot = ports.sum_slot = hidden;
    ports.stats_slot = whole_;
    ports.sums_slot = batch_;
    ports.slot_row = slot_row_[space];
    ports.slot_slot = padded(units_of(shape_, space));
    const bool back = n & 1;
    const T* old[max_states];
    T* fresh[max_states];
    for (int s = 0; s < plan_.states; ++s) {
      const Before<V> from = restarts_.before(n, states_, s, thread);
      ports.old_row[s] = from.row;
      ports.fresh_row[s] = fresh_[s].row;
      ports.direct_row[s] = padded(units(s));
      old[s] = from.at;
      fresh[s] = fresh_[s].after(n);
    }
    const unsigned char* here = valid(n);
    T* const kept = call_.saved + time(n) * saved_.kept_step;
    T* const slot = slots(space, n, n0);
    in_blocks(first, last, panels_at_once(1, batch_), back, [&](long p, int count) {
      const long row = count * W;
      ports.u_row = ports.grad_row = row;
      ports.u_slot = batch_ * row;
      for (int i = 0; i < segment.products.size; ++i)
        multiply_block(segment.products.item[i], transposed_.products[product + i], n, n0, p, count,
                       own.u + i * batch_ * row, true, back);
      for (const int s : segment.states)
        gather(s, n, n0, p, count, own.grad + s * batch_ * row, back);
      for (long q = p; q < p + count; ++q) {
        ports.real = vectors_.real[space] + q * W;
        ports.weight_at = vectors_.weights + q * W;
        ports.dweight_at = dweights_ + q * W;
        ports.dbias_at = dbiases_ + q * W;
        in_runs(here, batch_, [&](long b, long many) {
          ports.rows = many;
          ports.u_at = own.u + b * row + (q - p) * W;
          ports.kept_at = kept + saved_.kept_at(q * W) + b * saved_.kept_row;
          ports.stats_at = stats + b;
          ports.sums_at = own.sums + b;
          ports.slot_at = slot + b * ports.slot_row + q * W;
          sums_.point(ports, segment, rows, q, b);
          for (int s = 0; s < plan_.states; ++s) {
            ports.old_at[s] = old[s] + b * ports.old_row[s] + q * W;
            ports.fresh_at[s] = fresh[s] + b * ports.fresh_row[s] + q * W;
            ports.direct_at[s] = direct_[s] + b * ports.direct_row[s] + q * W;
            ports.grad_at[s] = own.grad + (s * batch_ + b) * row + (q - p) * W;
          }
          segment.run(ports);
        });
        if (here) blank(segment, n, n0, q);
      }
      copy_half(space, n, n0, p, count);
    });
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
                      int count, T* to, bool clear, bool back) {
    constexpr long W = lanes<V>;
    const int space = p.matrix == weight_hr;
    multiply<V>(panels, panel, count, from_slots(space, p.slot, n, n0), batch_, to, count * W,
                clear ? panels.start + panel * W : nullptr, back);
    if (!call_.recurrent_mask || space) return;
    const long units = shape_.recurrent();
    for (long b = 0; b < batch_; ++b)
      for (long k = 0; k < count * W; ++k)
        to[b * count * W + k] *= panel * W + k < units ? call_.recurrent_mask[b * units + panel * W + k] : 0;
  }

  // grad = dL/d(state after step n), for a block of panels; what mixing and masks let pass to the
  // state before goes to `passed`. At n = -1 it is the gradient of the initial state.
  void gather(int s, long n, long n0, long p, int count, T* grad, bool back) {
    constexpr long W = lanes<V>;
    const long row = padded(units(s));
    bool clear = true;
    for (int i = 0; i < plan_.incoming.size && n + 1 < shape_.steps; ++i) {
      const Product& product = plan_.incoming.item[i];
      if (product.state != s) continue;
      multiply_block(product, transposed_.incoming[i], n + 1, n0, p, count, grad, clear, back);
      clear = false;
    }
    const unsigned char* here = n >= 0 ? valid(n) : nullptr;
    const unsigned char* anew = n + 1 < shape_.steps ? resets(n + 1) : nullptr;
    // Without a part of its own from the step after, a state has one only from the end.
    const bool part = plan_.direct[s] || n + 1 == shape_.steps;
    for (long q = p; q < p + count; ++q) {
      for (long b = 0; b < batch_; ++b) {
        T* at = grad + (b * count + q - p) * W;
        T* direct = direct_[s] + b * row + q * W;
        V v = part ? load<V>(direct) : V{};
        if (!clear) v += load<V>(at);
        if (part && here && !here[b]) store<V>(direct, V{});
        if (passed_[s]) {
          T* passed = passed_[s] + b * row + q * W;
          v += load<V>(passed);
          if (anew && anew[b]) v = to_start(s, b, q, v);
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
          if (anew && anew[b]) v = to_start(s, b, q, v);
          if (s == 0 && n >= 0) v += output_gradient(n, b, q);
          show_gradient(s, n, b, q, v);
        }
        store<V>(at, v);
      }
    }
  }

  // A row that begins anew has read its start and not the state before: nothing of the gradient goes on.
  V to_start(int s, long b, long q, V v) const {
    if (T* const start = dstart_[s]) {
      T* const to = start + b * padded(units(s)) + q * lanes<V>;
      store<V>(to, load<V>(to) + v);
    }
    return V{};
  }

  void show_gradient(int s, long n, long b, long q, V v) const {
    const long row = padded(units(s));
    if (call_.dstate[s] && n >= 0)
      store<V>(call_.dstate[s] + (time(n) * whole_ + b) * row + q * lanes<V>, v);
  }

  V output_gradient(long n, long b, long q) const {
    constexpr long W = lanes<V>;
    if (!call_.dy) return V{};
    const T* from = call_.dy + time(n) * call_.dy_step + b * call_.dy_row + q * W;
    if (n > 0) __builtin_prefetch(from + (time(n - 1) - time(n)) * call_.dy_step, 0, 2);
    return load_left<V>(from, units(0) - q * W);
  }

  // Gradients of the initial states, and of the vectors of parameters: the thread's units.
  void finish(int thread) {
    constexpr long W = lanes<V>;
    for (int s = 0; s < plan_.states; ++s) {
      const long count = panels(plan_.projected[s]);
      if (!call_.dinitial[s] && !dstart_[s]) continue;
      for (long p = share(count, thread, threads_); p < share(count, thread + 1, threads_); ++p) {
        gather(s, -1, 0, p, 1, own_[thread].grad, false);
        const long left = units(s) - p * W;
        for (long b = 0; b < batch_ && left > 0; ++b) {
          const long at = b * units(s) + p * W;
          if (T* to = call_.dinitial[s]) store_left<V>(to + at, load<V>(own_[thread].grad + b * W), left);
          if (dstart_[s])
            store_left<V>(call_.dstart[s] + at, load<V>(dstart_[s] + b * padded(units(s)) + p * W), left);
        }
      }
    }
    const long hidden = shape_.hidden, first = share(panels(0), thread, threads_) * W;
    const long end = share(panels(0), thread + 1, threads_) * W, last = end < hidden ? end : hidden;
    for (const Bias& b : plan_.biases)
      if (T* to = call_.dparameter[b.parameter])
        for (long k = first; k < last; ++k)
          to[b.gate * hidden + k] += dbiases_[b.slot * padded(hidden) + k];
    for (int w = 0; w < plan_.weights.size; ++w) {
      const Vectored& v = plan_.weights.item[w];
      T* to = call_.dparameter[v.parameter];
      if (v.gate == single) {
        for (long k = 0; to && thread == 0 && k < hidden; ++k) *to += dweights_[w * padded(hidden) + k];
        continue;
      }
      for (long k = first; to && k < last; ++k)
        to[(v.gate < 0 ? 0 : v.gate * hidden) + k] += dweights_[w * padded(hidden) + k];
    }
  }

  const Vectors<V>& vectors_;
  RowSums<V> sums_;
  const int threads_, levels_;
  T* direct_[max_states] = {};
  T* passed_[max_states] = {};
  T* dstart_[max_states] = {};
  T* dweights_ = nullptr;
  T* dbiases_ = nullptr;
  Own* own_ = nullptr;
};

}  // namespace RECURRA_NAMESPACE
