// The output layer of a language model with its loss: logits = W x + b, cross-entropy, gradients.
//
// Logits are computed transposed, [token][row]: W's rows are then read as they are, and the lanes of
// a vector are rows of x, each with its own maximum and sum. They exist for one chunk of tokens at a
// time. Forward keeps two numbers a row; backward computes each chunk's logits once more, turns them
// into their gradient in place, and multiplies it into dx and dW while it is in the cache. So a
// fourth product stands in for the traffic, and the memory, of N x V numbers.
//
// A thread owns rows for logits and dx, and tokens for dW. Chunks depend on H and V alone, and every
// sum runs over its terms, or its chunks, in ascending order: bits do not depend on threads, nor a
// row's on other rows.
#pragma once
#include <algorithm>
#include <cmath>

#include "functions.h"
#include "loss_call.h"
#include "packed.h"
#include "pool.h"

namespace RECURRA_NAMESPACE {

using recurra::Barrier;
using recurra::LossCall;
using recurra::LossKernels;
using recurra::Team;

// exp(v) for v <= 0: without the care that the top of the range needs.
template <class V>
inline V exp_below(V v) {
  const V least = splat<V>(Exponent<V>::smallest);
  const Reduced<V> e(select<V>(v < least, least, v));
  const V scale = Reduced<V>::power(e.n);
  return select<V>(v < least, V{}, scale * e.p + scale);
}

template <class V>
class Loss {
 public:
  using T = Scalar<V>;
  static constexpr long W = lanes<V>;
  static constexpr long pair = 2 * W;           // rows whose logits are computed together
  static constexpr long tile_rows = most_rows(2);

  Loss(const LossCall<T>& call, Arena& arena, int threads)
      : call_(call), threads_(threads), features_(call.features) {
    index_ = arena.take<long>(call.rows);
    for (long n = 0; n < call.rows; ++n)
      if (!call.counted || call.counted[n]) {
        index_[rows_++] = n;
      } else if (call.loss) {
        call.loss[n] = call.spread[2 * n] = call.spread[2 * n + 1] = 0;
      } else if (call.dx) {
        std::fill_n(call.dx + n * features_, features_, T(0));
      }
    pairs_ = (rows_ + pair - 1) / pair;
    panels_ = (features_ + W - 1) / W;
    // Tokens of a chunk: its weights stay in the second-level cache, and make whole tiles.
    const long fitting = chunk_bytes / long(sizeof(T)) / (features_ ? features_ : 1) / 14 * 14;
    chunk_ = fitting < 14 ? 14 : fitting > most_tokens ? most_tokens : fitting;
    if (chunk_ > call.tokens) chunk_ = call.tokens;
    x_ = arena.take<T>(2 * pairs_ * x_panel());
  }

  // Losses of the thread's rows.
  void forward(int thread, T* work) const {
    const long first = share(pairs_, thread, threads_), last = share(pairs_, thread + 1, threads_);
    for (long p = first; p < last; ++p) pack_rows_of_x(p);
    T* const greatest = work;
    T* const sum = greatest + (last - first) * pair;
    T* const picked = sum + (last - first) * pair;
    T* const logits = picked + (last - first) * pair;
    for (long n = 0; n < (last - first) * pair; ++n) {
      greatest[n] = -infinity;
      sum[n] = picked[n] = 0;
    }
    for (long from = 0; from < call_.tokens; from += chunk_) {
      const long count = tokens_from(from);
      for (long p = first; p < last; ++p) {
        const long at = (p - first) * pair;
        product(from, count, p, logits, pair);
        for (long half = 0; half < rows_of(p); half += W)
          join(count, logits + half, greatest + at + half, sum + at + half);
        for (long n = 0; n < rows_of(p); ++n) {
          const long token = target(p * pair + n) - from;
          if (token >= 0 && token < count) picked[at + n] = logits[token * pair + n];
        }
      }
    }
    for (long n = first * pair; n < last * pair && n < rows_; ++n) {
      const long at = n - first * pair, row = index_[n];
      call_.loss[row] = greatest[at] - picked[at] + std::log(sum[at]);
      call_.spread[2 * row] = greatest[at];
      call_.spread[2 * row + 1] = sum[at];
    }
  }

  // Elements of working memory for one thread.
  long forward_work() const {
    return ((pairs_ + threads_ - 1) / threads_) * pair * 3 + chunk_ * pair;
  }

  // Takes what backward works in; false where no row counts, and all gradients are written.
  bool begin_backward(Arena& arena) {
    if (rows_ == 0) {
      if (call_.dweight) std::fill_n(call_.dweight, call_.tokens * features_, T(0));
      if (call_.dbias) std::fill_n(call_.dbias, call_.tokens, T(0));
      return false;
    }
    slice_ = slice_elements / (chunk_ ? chunk_ : 1) / pair * pair;
    if (slice_ < pair) slice_ = pair;
    if (slice_ > pairs_ * pair) slice_ = pairs_ * pair;
    // Not a power of two apart, or the rows of a tile would share the cache's few places.
    p_row_ = slice_ + W;
    for (T*& p : p_) p = arena.take<T>(chunk_ * p_row_ + pair);
    if (call_.dx) {
      for (T*& columns : weight_) columns = arena.take<T>(panels_ * weight_panel());
      dx_ = arena.take<T>(rows_ * panels_ * W);
    }
    if (call_.dweight) columns_ = arena.take<T>(panels_ * columns_panel());
    scales_ = arena.take<T>(2 * pairs_ * pair);
    return true;
  }
  long backward_work() const { return chunk_ * pair; }

  void backward(int thread, Barrier& barrier, T* work) const {
    const long rows_first = share(rows_, thread, threads_);
    const long rows_last = share(rows_, thread + 1, threads_);
    for (long p = share(pairs_, thread, threads_); p < share(pairs_, thread + 1, threads_); ++p) {
      pack_rows_of_x(p);
      prepare(p);
    }
    if (call_.dweight)
      for (long n = rows_first; n < rows_last; ++n)
        spread_row(call_.x + index_[n] * call_.x_row, columns_ + n * W, columns_panel());
    if (call_.dx) std::fill(dx_ + rows_first * panels_ * W, dx_ + rows_last * panels_ * W, T(0));
    int turn = 0;
    pack_weight(0, weight_[turn], thread);
    barrier.wait();
    for (long begin = 0; begin < rows_; begin += slice_) {
      const long rows = rows_ - begin < slice_ ? rows_ - begin : slice_;
      for (long from = 0; from < call_.tokens; from += chunk_, turn ^= 1) {
        const long count = tokens_from(from), next = from + chunk_;
        gradient_of_logits(begin, rows, from, count, p_[turn], thread);
        if (call_.dx) add_dx(begin, rows, count, p_[turn], weight_[turn], thread);
        // Beside the other turn's array, which all have read by the barrier before the last.
        pack_weight(next < call_.tokens ? next : 0, weight_[turn ^ 1], thread);
        barrier.wait();
        if (call_.dweight) put_dweight(begin, rows, from, count, p_[turn], work, thread);
        if (call_.dbias) put_dbias(begin, rows, from, count, p_[turn], thread);
      }
    }
    if (!call_.dx) return;
    for (long n = rows_first; n < rows_last; ++n)
      copy(call_.dx + index_[n] * features_, dx_ + n * panels_ * W, features_);
  }

 private:
  static constexpr long chunk_bytes = 256 * 1024, most_tokens = 168;
  static constexpr long slice_elements = 256 * 1024;  // of logits that exist at a time
  static constexpr T infinity = T(__builtin_inf());

  // From one panel to the next: one vector more, or two panels would share the cache's few places.
  long x_panel() const { return (features_ + 1) * W; }
  long weight_panel() const { return (chunk_ + 1) * W; }
  long columns_panel() const { return (rows_ + 1) * W; }

  long tokens_from(long from) const {
    return call_.tokens - from < chunk_ ? call_.tokens - from : chunk_;
  }
  long rows_of(long p) const { return rows_ - p * pair < pair ? rows_ - p * pair : pair; }
  long target(long n) const { return call_.target[index_[n]]; }

  // x_[panel][k][lane] for two panels of rows; zeros beyond the last row.
  void pack_rows_of_x(long p) const {
    for (long half = 0; half < 2; ++half) {
      T* to = x_ + (2 * p + half) * x_panel();
      for (long k = 0; k < features_; k += W) {
        V part[W];
        for (long lane = 0; lane < W; ++lane) {
          const long n = p * pair + half * W + lane;
          part[lane] = n < rows_ ? load_left<V>(call_.x + index_[n] * call_.x_row + k, features_ - k) : V{};
        }
        transpose(part);
        for (long j = 0; j < W && k + j < features_; ++j) store<V>(to + (k + j) * W, part[j]);
      }
    }
  }

  // c[token][row] for the tokens of a chunk and the rows of pair p, `c_row` apart.
  void product(long from, long count, long p, T* c, long c_row) const {
    static const T none[pair] = {};
    const T* weight = call_.weight + from * features_;
    const T* x = x_ + 2 * p * x_panel();
    const bool both = rows_of(p) > W;
    const Tiles<V> kernels = both ? tiles<V, 1, 2, false>() : tiles<V, 1, 1, false>();
    multiply<V>(kernels, both ? 2 : 1, weight, features_, count, x, 1, x_panel(), features_, c, c_row, none);
    if (!call_.bias) return;
    for (long v = 0; v < count; ++v)
      for (long half = 0; half < pair; half += W) {
        T* at = c + v * c_row + half;
        if (half == 0 || both) store<V>(at, load<V>(at) + call_.bias[from + v]);
      }
  }

  // Joins a vector of rows' logits to what was found before (Milakov & Gimelshein 2018).
  void join(long count, const T* logits, T* greatest, T* sum) const {
    const V before = load<V>(greatest);
    V most[4] = {before, before, before, before};
    in_fours(count, [&](long v, int part) {
      const V value = load<V>(logits + v * pair);
      most[part] = select<V>(value > most[part], value, most[part]);
    });
    const V left = select<V>(most[0] > most[1], most[0], most[1]);
    const V right = select<V>(most[2] > most[3], most[2], most[3]);
    const V now = select<V>(left > right, left, right), shift = finite(now);
    V sums[4] = {load<V>(sum) * exp_below<V>(before - shift)};
    in_fours(count, [&](long v, int part) {
      sums[part] += exp_below<V>(load<V>(logits + v * pair) - shift);
    });
    store<V>(greatest, now);
    store<V>(sum, (sums[0] + sums[1]) + (sums[2] + sums[3]));
  }

  // Calls body(v, v % 4): four independent chains hide the latency.
  template <class Body>
  static void in_fours(long count, Body body) {
    long v = 0;
    for (; v + 4 <= count; v += 4)
#pragma GCC unroll 4
      for (int part = 0; part < 4; ++part) body(v + part, part);
    for (int part = 0; v < count; ++v, ++part) body(v, part);
  }

  // Where every logit so far is -infinity there is nothing to subtract.
  static V finite(V greatest) { return select<V>(greatest == splat<V>(-infinity), V{}, greatest); }

  // scales_: for each row what its logits are reduced by, and the factor on their exponentials.
  void prepare(long p) const {
    for (long n = p * pair; n < (p + 1) * pair; ++n) {
      const bool real = n < rows_;
      const T greatest = real ? call_.spread[2 * index_[n]] : 0;
      scales_[n] = greatest == -infinity ? 0 : greatest;
      scales_[pairs_ * pair + n] = real ? call_.dloss[index_[n]] / call_.spread[2 * index_[n] + 1] : 0;
    }
  }

  // p[token][row] = dloss[row] * (softmax - [token is the target]).
  void gradient_of_logits(long begin, long rows, long from, long count, T* p, int thread) const {
    const long first = begin / pair, pairs = (rows + pair - 1) / pair;
    for (long m = first + share(pairs, thread, threads_); m < first + share(pairs, thread + 1, threads_); ++m) {
      T* const at = p + m * pair - begin;
      product(from, count, m, at, p_row_);
      for (long half = 0; half < pair; half += W) {
        const V shift = load<V>(scales_ + m * pair + half);
        const V factor = load<V>(scales_ + (pairs_ + m) * pair + half);
        for (long v = 0; v < count; ++v) {
          T* value = at + v * p_row_ + half;
          store<V>(value, exp_below<V>(load<V>(value) - shift) * factor);
        }
      }
      for (long n = 0; n < rows_of(m); ++n) {
        const long token = target(m * pair + n) - from;
        if (token >= 0 && token < count) at[token * p_row_ + n] -= call_.dloss[index_[m * pair + n]];
      }
    }
  }

  // to[panel][0][lane] from a row of H features, panels `panel` elements apart; zeros beyond H.
  void spread_row(const T* from, T* to, long panel) const {
    for (long n = 0; n < panels_; ++n)
      store<V>(to + n * panel, load_left<V>(from + n * W, features_ - n * W));
  }

  // to[panel][token][lane]: the thread's share of a chunk of W.
  void pack_weight(long from, T* to, int thread) const {
    if (!call_.dx) return;
    const long count = tokens_from(from);
    for (long v = share(count, thread, threads_); v < share(count, thread + 1, threads_); ++v)
      spread_row(call_.weight + (from + v) * features_, to + v * W, weight_panel());
  }

  // dx of the thread's rows += p of a chunk times W.
  void add_dx(long begin, long rows, long count, const T* p, const T* weight, int thread) const {
    const long pairs = (rows + pair - 1) / pair, first = share(pairs, thread, threads_) * pair;
    const long end = share(pairs, thread + 1, threads_) * pair, last = end < rows ? end : rows;
    if (first >= last) return;
    const long blocks = (last - first + tile_rows - 1) / tile_rows, dx_row = panels_ * W;
    for (long n = 0; n < panels_; n += 2) {
      const Tiles<V> kernels = n + 1 < panels_ ? tiles<V, 1, 2, true>() : tiles<V, 1, 1, true>();
      for (long b = 0, m = first; b < blocks; ++b) {
        const long next = first + (last - first) * (b + 1) / blocks;
        kernels.by_rows[next - m - 1](p + m, p_row_, weight + n * weight_panel(), weight_panel(), count,
                                      dx_ + (begin + m) * dx_row + n * W, dx_row, nullptr);
        m = next;
      }
    }
  }

  // dW of a chunk, from the first slice of rows, or on top of what slices before left.
  void put_dweight(long begin, long rows, long from, long count, const T* p, T* work, int thread) const {
    static const T none[pair] = {};
    const long blocks = (count + tile_rows - 1) / tile_rows, pairs = (panels_ + 1) / 2;
    const long first = share(pairs * blocks, thread, threads_), last = share(pairs * blocks, thread + 1, threads_);
    for (long item = first; item < last;) {
      const long n = item / blocks * 2, end = last < (n / 2 + 1) * blocks ? last : (n / 2 + 1) * blocks;
      const long v = count * (item % blocks) / blocks, stop = count * (end - n / 2 * blocks) / blocks;
      const int vectors = n + 1 < panels_ ? 2 : 1;
      const bool whole = (n + vectors) * W <= features_;
      const long width = whole ? vectors * W : features_ - n * W;
      T* const to = call_.dweight + (from + v) * features_ + n * W;
      T* const c = whole ? to : work;
      const long c_row = whole ? features_ : pair;
      if (!whole && begin)
        for (long m = 0; m < stop - v; ++m) copy(c + m * pair, to + m * features_, width);
      const Tiles<V> kernels = vectors == 2 ? tiles<V, 1, 2, false>() : tiles<V, 1, 1, false>();
      multiply<V>(kernels, vectors, p + v * p_row_, p_row_, stop - v, columns_ + n * columns_panel() + begin * W,
                  1, columns_panel(), rows, c, c_row, begin ? nullptr : none);
      if (!whole)
        for (long m = 0; m < stop - v; ++m) copy(to + m * features_, c + m * pair, width);
      item = end;
    }
  }

  static void copy(T* to, const T* from, long count) {
    std::memcpy(static_cast<void*>(to), from, size_t(count) * sizeof(T));
  }

  void put_dbias(long begin, long rows, long from, long count, const T* p, int thread) const {
    for (long v = share(count, thread, threads_); v < share(count, thread + 1, threads_); ++v) {
      V sum{};
      for (long n = 0; n < rows; n += W) sum += load_left<V>(p + v * p_row_ + n, rows - n);
      call_.dbias[from + v] = (begin ? call_.dbias[from + v] : 0) + total(sum);
    }
  }

  const LossCall<T>& call_;
  const int threads_;
  const long features_;
  long rows_ = 0, pairs_ = 0, panels_ = 0, chunk_ = 0, slice_ = 0, p_row_ = 0;
  long* index_;                 // of the rows that count
  T* x_;                        // [panel of rows][k][lane]
  T* p_[2] = {};                // [token of the chunk][row of the slice], in turns
  T* weight_[2] = {};           // [panel of features][token of the chunk][lane], in turns
  T* columns_ = nullptr;        // x once more: [panel of features][row][lane]
  T* dx_ = nullptr;             // (rows that count, padded H)
  T* scales_ = nullptr;         // (2, padded rows)
};

template <class V>
constexpr LossKernels<Scalar<V>> loss_kernels() {
  using Call = LossCall<Scalar<V>>;
  return {[](const Call& call, Arena& arena) {
            Team team(call.threads);
            const Loss<V> loss(call, arena, team.threads());
            const long size = loss.forward_work();
            auto* work = arena.take<Scalar<V>>(size * team.threads());
            team.run([&](int thread) { loss.forward(thread, work + thread * size); });
          },
          [](const Call& call, Arena& arena) {
            Team team(call.threads);
            Barrier barrier(team.threads());
            Loss<V> loss(call, arena, team.threads());
            if (!loss.begin_backward(arena)) return;
            const long size = loss.backward_work();
            auto* work = arena.take<Scalar<V>>(size * team.threads());
            team.run([&](int thread) { loss.backward(thread, barrier, work + thread * size); });
          }};
}

}  // namespace RECURRA_NAMESPACE
