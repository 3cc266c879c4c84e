// The loop over time, forward: for inference, and for training with what backward needs.
//
// Each thread owns a slice of the units, for all rows: it computes their share of the input's
// product (for some steps at a time, so that it stays in the cache), of every product of a step, and
// the cell's equations on the result. Threads meet where a product needs the units of all.
#pragma once
#include "forward_states.h"

namespace RECURRA_NAMESPACE {

template <class V>
class Forward : ForwardStates<V> {
  using Loop<V>::plan_, Loop<V>::call_, Loop<V>::shape_, Loop<V>::batch_, Loop<V>::whole_;
  using Loop<V>::panels, Loop<V>::time, Loop<V>::valid, Loop<V>::units;
  using ForwardStates<V>::saved_, ForwardStates<V>::states_, ForwardStates<V>::fresh_, ForwardStates<V>::staged_;
  using ForwardStates<V>::any_staged_, ForwardStates<V>::kept, ForwardStates<V>::finish;
  using ForwardStates<V>::stage_segment, ForwardStates<V>::copy_last, ForwardStates<V>::restarts_;
  using ForwardStates<V>::before;

 public:
  using T = Scalar<V>;
  using ForwardStates<V>::read_state, ForwardStates<V>::write_state;

  // `table`: products of the rows that tokens choose from, where there are tokens.
  Forward(const Plan<V>& plan, const Packed<V>& packed, const Table<V>& table, const Call<T>& call,
          Arena& arena, int threads)
      : ForwardStates<V>(plan, packed, call, arena, threads),
        packed_(packed),
        sums_(call.shape, count_rows(plan.forward), arena),
        threads_(threads),
        levels_(1 + (plan.forward.end() - 1)->level) {
    const long steps = shape_.steps;
    chunk_ = !call.each && whole_ < chunk_rows ? chunk_rows / (whole_ ? whole_ : 1) : 1;
    if (chunk_ > steps) chunk_ = steps > 0 ? steps : 1;
    stats_out_ = call.saved ? call.saved + saved_.stats : nullptr;
    stats_slot_ = padded(chunk_ * batch_);
    if (plan.x_moments >= 0) x_partial_ = arena.zeros<T>(panels(0) * 2 * stats_slot_);
    own_ = arena.take<Own>(threads);
    for (int thread = 0; thread < threads; ++thread) {
      const long mine = share(panels(0), thread + 1, threads) - share(panels(0), thread, threads);
      Own& own = own_[thread];
      own.step = 0;
      own.piece = first_piece(0);
      own.x_row = mine * plan.x_gates.size * lanes<V> + lanes<V>;  // odd: no two rows in one set
      const long rows = chunk_ * batch_;
      own.x = call.tokens ? table.at + share(panels(0), thread, threads) * plan.x_gates.size * lanes<V>
                          : arena.take<T>(rows * own.x_row);
      if (call.tokens) own.x_row = table.row;
      own.u = arena.take<T>(batch_ * most_products() * lanes<V>);
      own.stats = arena.zeros<T>(plan.moments * 2 * stats_slot_);
      own.half = packed.x.half && !call.tokens
                     ? arena.zeros<Half>(whole_blocks(rows) * half_depth(shape_.inputs))
                     : nullptr;
    }
  }

  // The next piece of a thread's part; false: it was the last. Threads meet after each.
  bool advance(int thread) {
    Own& own = own_[thread];
    if (own.step < shape_.steps) {
      const long n0 = own.step / chunk_ * chunk_, n1 = n0 + chunk_ < shape_.steps ? n0 + chunk_ : shape_.steps;
      do piece(own.step, n0, n1, own.piece, thread);
      while (++own.piece <= levels_ && threads_ == 1);
      if (own.piece <= levels_) return true;
      own.piece = first_piece(++own.step);
      if (own.step < shape_.steps) return true;
    }
    for (int s = 0; s < plan_.states; ++s)
      if (call_.last[s]) copy_last(s, shape_.steps, call_.last[s], thread, threads_);
    return false;
  }

  // Piece number `k` of step n of a call whose steps come one by one, and how many a step has.
  int pieces() const { return levels_ + 1 - first_piece(0); }
  void run_one(long n, int k, int thread) {
    piece(n, n, n + 1, first_piece(n) + k, thread);
    for (int s = 0; k + 1 == pieces() && s < plan_.states; ++s)
      if (call_.last[s]) copy_last(s, n + 1, call_.last[s] + n * whole_ * units(s), thread, threads_);
  }

 private:
  // Vectors of products that a segment reads of a row, of all the panels that it takes at a time.
  long most_products() const {
    long most = 0;
    for (const Segment<V>& segment : plan_.forward) {
      const long vectors = panels_of(segment) * gates_of(segment);
      most = vectors > most ? vectors : most;
    }
    return most;
  }
  static int gates_of(const Segment<V>& segment) {
    int gates = 0;
    for (const Product& p : segment.products) gates += p.gates;
    return gates;
  }
  int panels_of(const Segment<V>& segment) const {
    const int gates = gates_of(segment);
    return segment.products.size > 1 ? 1 : panels_at_once(gates ? gates : 1, batch_);
  }

  // Rows whose input product is computed at once: enough for the micro-kernel to run at full speed,
  // few enough for the second-level cache.
  static constexpr long chunk_rows = 256;

  struct Own {   // of one thread
    long step;   // what its next piece is
    int piece;
    T* x;        // (chunk * B, its panels * gates of the input), `x_row` apart
    T* u;        // products of a block of panels
    T* stats;    // (moments, 2, chunk * B)
    Half* half;  // the inputs of a chunk
    long x_row;
  };

  // A step alone reads the input's weights and the others' panel by panel: all of them once, and the
  // next step the other way round.
  bool alone() const {
    return (shape_.steps == 1 || call_.each) && plan_.x_moments < 0 && plan_.forward.begin()->space == 0 && !packed_.x.half;
  }

  void input_product(long n0, long n1, int thread) {
    const Own& own = own_[thread];
    const long steps = n1 - n0, first = share(panels(0), thread, threads_);
    const long last = share(panels(0), thread + 1, threads_);
    const long time0 = call_.reverse ? time(n1 - 1) : n0;
    const T* x = call_.x + time0 * call_.x_step;
    const bool even = batch_ == 1 || call_.x_step == batch_ * call_.x_row;
    Argument<V> from{x, batch_ == 1 ? call_.x_step : call_.x_row};
    if constexpr (has_half<V>)
      if (packed_.x.half) {
        from.half = own.half;
        from.half_row = half_depth(shape_.inputs);
        for (long t = 0; t < steps; ++t)
          to_half(x + t * call_.x_step, call_.x_row, nullptr, 0, batch_, shape_.inputs,
                  own.half + t * batch_ * from.half_row, from.half_row);
      }
    const int gates = plan_.x_gates.size;
    const bool at_once = even || from.half;
    if (!at_once) {
      from.step = call_.x_step;
      from.times = steps;
    }
    in_blocks(first, last, panels_at_once(gates, steps * batch_), [&](long p, int count) {
      multiply<V>(packed_.x, p, count, from, at_once ? steps * batch_ : batch_,
                  own.x + (p - first) * gates * lanes<V>, own.x_row, packed_.x.start + p * gates * lanes<V>);
      if (plan_.x_moments >= 0)
        input_moments(p, count, own.x + (p - first) * gates * lanes<V>, own.x_row, steps * batch_);
    });
  }

  // The products of step n, which is alone, with the panels [panel, panel + count) of a thread that owns those
  // from `first` on.
  void input_block(long n, long panel, int count, long first, bool back, const Own& own) {
    const int gates = plan_.x_gates.size;
    in_blocks(panel, panel + count, panels_at_once(gates, batch_), back, [&](long p, int many) {
      multiply<V>(packed_.x, p, many, Argument<V>{call_.x + n * call_.x_step, call_.x_row}, batch_,
                  own.x + (p - first) * gates * lanes<V>, own.x_row, packed_.x.start + p * gates * lanes<V>,
                  back);
    });
  }

  // What the units of some panels contribute to the moments of the input's product.
  void input_moments(long first, int count, const T* x, long row, long rows) {
    const int gates = plan_.x_gates.size;
    Ports<V> ports;
    ports.partial_slot = stats_slot_;
    for (int n = 0; n < count; ++n, x += gates * lanes<V>) {
      ports.real = packed_.vectors.real[0] + (first + n) * lanes<V>;
      ports.partial_at[0] = x_partial_ + (first + n) * 2 * stats_slot_;
      for (long b = 0; b < rows; ++b) {
        V values[max_gates];
        for (int g = 0; g < gates; ++g) values[g] = load<V>(x + b * row + g * lanes<V>);
        ports.moments(b, 0, values, gates);
      }
    }
  }

  // Pieces of a step: 0 is the input's product where its moments are joined next, in the first step of
  // a chunk alone; 1 and on are the levels.
  int first_piece(long n) const { return plan_.x_moments >= 0 && n % chunk_ == 0 ? 0 : 1; }

  void piece(long n, long n0, long n1, int number, int thread) {
    const Own& own = own_[thread];
    if (number == 0) return input_product(n0, n1, thread);
    if (number == 1) restarts_.enter(n, states_, thread);
    if (number == 1 && n == n0) begin_chunk(n0, n1, thread);
    const int level = number - 1;
    const long place = call_.reverse ? n1 - 1 - n : n - n0;  // of this step in the chunk
    T* const stats = own.stats + place * batch_;
    if (level > 0) sums_.join(plan_.forward, level - 1, true, stats, stats_slot_);
    int product = 0, rows = 0;
    for (const Segment<V>& segment : plan_.forward) {
      if (segment.level == level)
        run_segment(segment, n, call_.tokens ? own.x : own.x + place * batch_ * own.x_row, stats, product, rows, thread);
      product += segment.products.size;
      rows += segment.rows.size;
    }
    if (number < levels_) return;
    for (int k = 0; stats_out_ && thread == 0 && k < 2 * plan_.moments; ++k)
      for (long b = 0; b < batch_; ++b)
        stats_out_[(time(n) * 2 * plan_.moments + k) * whole_ + b] = stats[k * stats_slot_ + b];
  }

  // What a thread needs of the inputs of the steps [n0, n1).
  void begin_chunk(long n0, long n1, int thread) {
    if (plan_.x_moments >= 0) {
      join_rows<V, true>(x_partial_, stats_slot_, (n1 - n0) * batch_, shape_.hidden, plan_.x_gates.size,
                         own_[thread].stats + 2 * plan_.x_moments * stats_slot_, stats_slot_);
    } else if (!call_.tokens && !alone()) {
      input_product(n0, n1, thread);
    }
  }

  void run_segment(const Segment<V>& segment, long n, const T* x, const T* stats, int product,
                   int rows, int thread) {
    constexpr long W = lanes<V>;
    const Own& own = own_[thread];
    const long first = share(panels(segment.space), thread, threads_);
    const long last = share(panels(segment.space), thread + 1, threads_);
    const long first_x = segment.space ? share(panels(0), thread, threads_) : first;
    const int gates = gates_of(segment), most = panels_of(segment);
    Ports<V> ports;
    ports.hidden = shape_.hidden;
    ports.x_row = own.x_row;
    ports.u_slot = W;
    ports.kept_row = saved_.kept_row;
    ports.kept_slot = pad;
    ports.weight_slot = padded(shape_.hidden);
    ports.stats_slot = stats_slot_;
    // Of row 0 and the first units. The ports themselves are written over, which is less than a copy.
    const T* old[max_states];
    T* fresh[max_states];
    for (int s = 0; s < plan_.states; ++s) {
      const Before<V> from = before(n, s, thread);
      ports.old_row[s] = from.row;
      ports.fresh_row[s] = fresh_[s].row;
      old[s] = from.at;
      fresh[s] = fresh_[s].after(n);
    }
    const unsigned char* here = valid(n);
    const int64_t* tokens = call_.tokens ? call_.tokens + time(n) * whole_ : nullptr;
    const auto run = call_.saved ? segment.keep : segment.run;
    const bool back = (n + call_.turn) & 1;
    const bool inputs = &segment == plan_.forward.begin() && !call_.tokens && alone();
    in_blocks(first, last, most, back, [&](long p, int count) {
      if (inputs) input_block(n, p, count, first, back, own);
      ports.u_row = count * gates * W;
      T* u = own.u;
      for (int i = 0; i < segment.products.size; ++i) {
        multiply_block(segment.products.item[i], product + i, n, p, count, u, ports.u_row, back, thread);
        u += segment.products.item[i].gates * W;
      }
      for (long q = p; q < p + count; ++q) {
        ports.real = packed_.vectors.real[segment.space] + q * W;
        ports.weight_at = packed_.vectors.weights + q * W;
        const T* const x_at = x + (q - first_x) * plan_.x_gates.size * W;
        T* const kept_at = kept(n, q);
        in_runs(here, batch_, [&](long b, long many) {
          ports.rows = many;
          ports.x_at = tokens ? x_at : x_at + b * own.x_row;
          ports.x_index = tokens ? tokens + b : nullptr;
          ports.u_at = own.u + b * ports.u_row + (q - p) * gates * W;
          ports.kept_at = kept_at + b * saved_.kept_row;
          ports.stats_at = stats + b;
          sums_.point(ports, segment, rows, q, b);
          for (int s = 0; s < plan_.states; ++s) {
            ports.old_at[s] = old[s] + b * ports.old_row[s] + q * W;
            ports.fresh_at[s] = fresh[s] + b * ports.fresh_row[s] + q * W;
          }
          run(ports);
        });
        finish(segment, n, q, thread);
      }
      if (any_staged_) stage_segment(segment, n, p, count);
    });
  }

  void multiply_block(const Product& p, int number, long n, long panel, int count, T* to, long to_row,
                      bool back, int thread) {
    const Panels<V>& panels = packed_.products[number];
    const Staged<V>& staged = staged_[number];
    Argument<V> from;
    if (staged) {
      from = staged.argument(p.state >= 0 ? (n + 1) & 1 : 0);
    } else {
      const Before<V> state = before(n, p.state, thread);
      from.at = state.at;
      from.row = state.row;
    }
    multiply<V>(panels, panel, count, from, batch_, to, to_row, panels.start + panel * p.gates * lanes<V>,
                back);
  }

  const Packed<V>& packed_;
  RowSums<V> sums_;
  const int threads_, levels_;
  long chunk_ = 0, stats_slot_ = 0;
  T* stats_out_ = nullptr;
  T* x_partial_ = nullptr;
  Own* own_ = nullptr;
};

}  // namespace RECURRA_NAMESPACE
