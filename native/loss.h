// The output layer of a language model with its loss: logits = W x + b, cross-entropy, gradients.
//
// Logits are computed transposed, [token][row]: W's rows are then read as they are, and the lanes of
// a vector are rows of x, each with its own maximum and sum. They exist for one chunk of tokens at a
// time. Forward keeps two numbers a row; backward computes each chunk's logits once more, turns them
// into their gradient, and multiplies it into dx and dW while it is in the cache. So a fourth product
// stands in for the traffic, and the memory, of N x V numbers.
//
// A thread owns rows for logits and dx, and tokens for dW. Chunks depend on H and V alone, and every
// sum runs over its terms, or its chunks, in ascending order: bits do not depend on threads, nor a
// row's on other rows.
#pragma once
#include <cmath>

#include "functions.h"
#include "half_loss.h"
#include "loss_products.h"
#include "pool.h"

namespace RECURRA_NAMESPACE {

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

template <class V, class Products>
class Loss {
 public:
  using T = Scalar<V>;
  using Block = typename Products::Block;
  static constexpr long W = lanes<V>, pair = LossPlan<V>::pair;

  Loss(const LossCall<T>& call, Arena& arena, int threads)
      : call_(call), plan_(cut(LossPlan<V>(call, arena, threads))), products_(plan_, arena), at_(arena.zeros<At>(threads)) {}
  Loss(const Loss&) = delete;

  // Elements of working memory for one thread.
  long forward_work() const {
    const long pairs = (plan_.pairs + plan_.threads - 1) / plan_.threads;
    return pairs * pair * 3 + plan_.chunk * pair + products_.work();
  }

  // The losses of the thread's rows, a chunk of tokens at a time; false: it was the last. Threads need
  // not meet.
  bool forward(int thread, T* work) const {
    const Span own = pairs_of(plan_.pairs, thread);
    const long rows = (own.last - own.first) * pair, from = at_[thread].next;
    T* const greatest = work;
    T* const sum = greatest + rows;
    T* const picked = sum + rows;
    const Block logits{picked + rows, pair};
    T* const rest = logits.at + plan_.chunk * pair;
    if (from == 0) {
      for (long p = own.first; p < own.last; ++p) products_.pack_x(p, rest);
      for (long n = 0; n < rows; ++n) {
        greatest[n] = -infinity;
        sum[n] = picked[n] = 0;
      }
    }
    if (from < call_.tokens && rows) {
      const long count = plan_.tokens_from(from);
      products_.begin_chunk(from, rest);
      for (long p = own.first; p < own.last; ++p) {
        const long at = (p - own.first) * pair;
        products_.logits(from, count, p, -1, rest, logits);
        add_bias(from, count, plan_.rows_of(p), logits);
        for (long half = 0; half < plan_.rows_of(p); half += W)
          join(count, logits.at + half, greatest + at + half, sum + at + half);
        for (long n = 0; n < plan_.rows_of(p); ++n) {
          const long token = plan_.target(p * pair + n) - from;
          if (token >= 0 && token < count) picked[at + n] = logits.at[token * pair + n];
        }
      }
      at_[thread].next += plan_.chunk;
      if (at_[thread].next < call_.tokens) return true;
    }
    for (long n = own.first * pair; n < own.last * pair && n < plan_.rows; ++n) {
      const long at = n - own.first * pair, row = plan_.index[n];
      call_.loss[row] = greatest[at] - picked[at] + std::log(sum[at]);
      call_.spread[2 * row] = greatest[at];
      call_.spread[2 * row + 1] = sum[at];
    }
    return false;
  }

  // Takes what backward works in; false where no row counts, and all gradients are written.
  bool begin_backward(Arena& arena) {
    if (plan_.rows == 0) {
      if (call_.dweight) std::fill_n(call_.dweight, call_.tokens * call_.features, T(0));
      if (call_.dbias) std::fill_n(call_.dbias, call_.tokens, T(0));
      return false;
    }
    products_.take_backward(arena);
    if (call_.dx) dx_ = arena.take<T>(plan_.pairs * pair * dx_row());
    scales_ = arena.take<T>(2 * plan_.pairs * pair);
    return true;
  }
  long backward_work() const {
    return plan_.chunk * Products::panels_at_once * W + products_.work();
  }

  // The next piece of what a thread does: a chunk's gradients of logits, after what follows from those of
  // the chunk before. False: it was the last. Threads meet after each.
  bool backward(int thread, T* work) const {
    const Span own = pairs_of(plan_.pairs, thread);
    T* const rest = work + plan_.chunk * Products::panels_at_once * W;
    const long chunks = (call_.tokens + plan_.chunk - 1) / plan_.chunk;
    const long slices = (plan_.rows + plan_.slice - 1) / plan_.slice, n = at_[thread].next++;
    if (n == 0) {
      for (long p = own.first; p < own.last; ++p) {
        products_.pack_x(p, rest);
        if (call_.dweight) products_.pack_columns(p);
        if (call_.dx) std::fill_n(dx_ + p * pair * dx_row(), pair * dx_row(), T(0));
        prepare(p);
      }
      products_.pack_weight(0, 0, thread);
      return true;
    }
    if (n > 1) {
      const Piece before = piece(n - 2, chunks);
      if (call_.dweight) put_dweight(before.begin, before.rows, before.from, before.count, before.turn, thread, work);
      if (call_.dbias) put_dbias(before.begin, before.rows, before.from, before.count, before.turn, thread);
    }
    if (n <= slices * chunks) {
      const Piece here = piece(n - 1, chunks);
      gradient_of_logits(here.begin, here.rows, here.from, here.count, here.turn, thread, rest);
      if (call_.dx) add_dx(here.begin, here.rows, here.count, here.turn, thread);
      // Beside the other turn's array, which all have read when they met the time before the last.
      const long next = here.from + plan_.chunk;
      products_.pack_weight(next < call_.tokens ? next : 0, here.turn ^ 1, thread);
      return true;
    }
    for (long k = own.first * pair; call_.dx && k < own.last * pair && k < plan_.rows; ++k)
      copy(call_.dx + plan_.index[k] * call_.features, dx_ + k * dx_row(), call_.features);
    return false;
  }

 private:
  static constexpr T infinity = T(__builtin_inf());

  static LossPlan<V> cut(LossPlan<V> plan) {
    plan.cut(Products::most_tokens, Products::token_tile);
    return plan;
  }

  // Where a thread is: the chunk, or the piece. On a line of its own.
  struct alignas(64) At {
    long next;
  };

  // A slice of rows and a chunk of tokens.
  struct Piece {
    long begin, rows, from, count;
    int turn;
  };
  Piece piece(long number, long chunks) const {
    const long begin = number / chunks * plan_.slice, from = number % chunks * plan_.chunk;
    return {begin, std::min(plan_.slice, plan_.rows - begin), from, plan_.tokens_from(from), int(number & 1)};
  }

  // The thread's pairs of `pairs`.
  Span pairs_of(long pairs, int thread) const {
    return {share(pairs, thread, plan_.threads), share(pairs, thread + 1, plan_.threads)};
  }
  long dx_row() const { return plan_.panels * W; }

  void add_bias(long from, long count, long rows, Block to) const {
    if (!call_.bias) return;
    for (long v = 0; v < count; ++v)
      for (long half = 0; half < rows; half += W) {
        T* at = to.at + v * to.row + half;
        store<V>(at, load<V>(at) + call_.bias[from + v]);
      }
  }

  // Joins a vector of rows' logits to what was found before (Milakov & Gimelshein 2018).
  static void join(long count, const T* logits, T* greatest, T* sum) {
    const V before = load<V>(greatest);
    V most[4] = {before, before, before, before};
    in_fours(count, [&](long v, int part) {
      const V value = load<V>(logits + v * pair);
      most[part] = select<V>(value > most[part], value, most[part]);
    });
    const V left = select<V>(most[0] > most[1], most[0], most[1]);
    const V right = select<V>(most[2] > most[3], most[2], most[3]);
    const V now = select<V>(left > right, left, right);
    // Where every logit so far is -infinity there is nothing to subtract.
    const V shift = select<V>(now == splat<V>(-infinity), V{}, now);
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

  // scales_: for each row what its logits are reduced by, and the factor on their exponentials. Both
  // leave zeros beyond the last row, whatever the bias.
  void prepare(long p) const {
    for (long n = p * pair; n < (p + 1) * pair; ++n) {
      const bool real = n < plan_.rows;
      const T greatest = real ? call_.spread[2 * plan_.index[n]] : infinity;
      const T sum = real ? call_.spread[2 * plan_.index[n] + 1] : 1;
      scales_[n] = greatest == -infinity ? 0 : greatest;
      scales_[plan_.pairs * pair + n] = real ? call_.dloss[plan_.index[n]] / sum : 0;
    }
  }

  // dloss[row] * (softmax - [token is the target]) of the thread's rows.
  void gradient_of_logits(long begin, long rows, long from, long count, int turn, int thread, T* work) const {
    const Span own = pairs_of((rows + pair - 1) / pair, thread);
    for (long p = own.first; p < own.last; ++p) {
      const long m = begin / pair + p, real = plan_.rows_of(m);
      const Block to = products_.block(p, turn, work);
      products_.logits(from, count, m, turn, work, to);
      add_bias(from, count, real, to);
      for (long half = 0; half < pair; half += W) {
        const V shift = load<V>(scales_ + m * pair + half);
        const V factor = load<V>(scales_ + (plan_.pairs + m) * pair + half);
        for (long v = 0; v < count; ++v) {
          T* value = to.at + v * to.row + half;
          store<V>(value, half < real ? exp_below<V>(load<V>(value) - shift) * factor : V{});
        }
      }
      for (long n = 0; n < real; ++n) {
        const long token = plan_.target(m * pair + n) - from;
        if (token >= 0 && token < count) to.at[token * to.row + n] -= call_.dloss[plan_.index[m * pair + n]];
      }
      products_.keep(p, count, turn, to);
    }
  }

  void add_dx(long begin, long rows, long count, int turn, int thread) const {
    const Span own = pairs_of((rows + pair - 1) / pair, thread);
    const Span mine{own.first * pair, std::min(own.last * pair, rows)};
    if (mine.first < mine.last)
      products_.add_dx(mine, count, turn, dx_ + (begin + mine.first) * dx_row(), dx_row());
  }

  // dW of a chunk, from the first slice of rows, or on top of what slices before left.
  void put_dweight(long begin, long rows, long from, long count, int turn, int thread, T* work) const {
    constexpr long many = Products::panels_at_once, tall = Products::tokens_at_once;
    const long blocks = (count + tall - 1) / tall, groups = (plan_.panels + many - 1) / many;
    const Span items = pairs_of(groups * blocks, thread);
    for (long item = items.first; item < items.last;) {
      const long group = item / blocks, n = group * many;
      const long end = std::min(items.last, (group + 1) * blocks);
      const Span tokens{std::min(item % blocks * tall, count), std::min((end - group * blocks) * tall, count)};
      const int panels = int(std::min(many, plan_.panels - n));
      const long width = std::min(panels * W, call_.features - n * W);
      const bool whole = width == panels * W;
      T* const to = call_.dweight + (from + tokens.first) * call_.features + n * W;
      T* const c = whole ? to : work;
      const long c_row = whole ? call_.features : many * W;
      if (!whole && begin)
        for (long v = 0; v < tokens.last - tokens.first; ++v) copy(c + v * c_row, to + v * call_.features, width);
      products_.dweight(tokens, begin, rows, turn, n, panels, c, c_row);
      if (!whole)
        for (long v = 0; v < tokens.last - tokens.first; ++v) copy(to + v * call_.features, c + v * c_row, width);
      item = end;
    }
  }

  static void copy(T* to, const T* from, long count) {
    std::memcpy(static_cast<void*>(to), from, size_t(count) * sizeof(T));
  }

  void put_dbias(long begin, long rows, long from, long count, int turn, int thread) const {
    const Span own = pairs_of(count, thread);
    for (long v = own.first; v < own.last; ++v)
      call_.dbias[from + v] = (begin ? call_.dbias[from + v] : 0) + products_.dbias(v, rows, turn);
  }

  const LossCall<T>& call_;
  const LossPlan<V> plan_;
  Products products_;
  At* const at_;
  T* dx_ = nullptr;  // (padded rows that count, padded H)
  T* scales_;        // (2, padded rows)
};

template <class V, class Products>
void loss_forward(const LossCall<Scalar<V>>& call, Arena& arena) {
  Team team(call.threads);
  const Loss<V, Products> loss(call, arena, team.threads());
  const long size = loss.forward_work();
  auto* work = arena.take<Scalar<V>>(size * team.threads());
  team.pieces(team.threads(), [&](int thread) {
    const HalfScope scope(call.half);
    return loss.forward(thread, work + thread * size);
  });
}

template <class V, class Products>
void loss_backward(const LossCall<Scalar<V>>& call, Arena& arena) {
  Team team(call.threads);
  Loss<V, Products> loss(call, arena, team.threads());
  if (!loss.begin_backward(arena)) return;
  const long size = loss.backward_work();
  auto* work = arena.take<Scalar<V>>(size * team.threads());
  team.pieces(1, [&](int thread) {
    const HalfScope scope(call.half);
    return loss.backward(thread, work + thread * size);
  });
}

template <class V>
constexpr LossKernels<Scalar<V>> loss_kernels() {
  using Call = LossCall<Scalar<V>>;
  return {[](const Call& call, Arena& arena) {
            if constexpr (has_half<V>)
              if (call.half) return loss_forward<V, HalfLossProducts<V>>(call, arena);
            loss_forward<V, LossProducts<V>>(call, arena);
          },
          [](const Call& call, Arena& arena) {
            if constexpr (has_half<V>)
              if (call.half) return loss_backward<V, HalfLossProducts<V>>(call, arena);
            loss_backward<V, LossProducts<V>>(call, arena);
          }};
}

}  // namespace RECURRA_NAMESPACE
