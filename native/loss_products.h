// The three products of the output layer with its loss, and the arrays that they need: in the type
// of the call. half_loss.h has the same in bfloat16.
#pragma once
#include <algorithm>

#include "loss_call.h"
#include "packed.h"

namespace RECURRA_NAMESPACE {

using recurra::LossCall;

// What a call computes, cut to pieces. Chunks depend on H and V alone.
template <class V>
struct LossPlan {
  using T = Scalar<V>;
  static constexpr long W = lanes<V>;
  static constexpr long pair = 2 * W;  // rows whose logits are computed together

  LossPlan(const LossCall<T>& call, Arena& arena, int threads)
      : call(call), threads(threads), features(call.features), panels((features + W - 1) / W) {
    index = arena.take<long>(call.rows);
    for (long n = 0; n < call.rows; ++n)
      if (!call.counted || call.counted[n]) {
        index[rows++] = n;
      } else if (call.loss) {
        call.loss[n] = call.spread[2 * n] = call.spread[2 * n + 1] = 0;
      } else if (call.dx) {
        std::fill_n(call.dx + n * features, features, T(0));
      }
    pairs = (rows + pair - 1) / pair;
  }

  // Chunks of at most `most` tokens, whole tiles of `tile`; slices of rows to go with them.
  void cut(long most, long tile) {
    const long fitting = chunk_bytes / long(sizeof(T)) / features / tile * tile;
    chunk = std::min(std::clamp(fitting, tile, most), call.tokens);
    slice = std::clamp(slice_elements / chunk / pair * pair, pair, std::max(pairs, 1L) * pair);
  }

  long tokens_from(long from) const { return std::min(chunk, call.tokens - from); }
  long rows_of(long p) const { return std::min(pair, rows - p * pair); }
  const T* row(long n) const { return call.x + index[n] * call.x_row; }
  int64_t target(long n) const { return call.target[index[n]]; }

  static constexpr long chunk_bytes = 256 * 1024;     // of weights, in the second-level cache
  static constexpr long slice_elements = 256 * 1024;  // logits that exist at a time

  const LossCall<T>& call;
  const int threads;
  const long features, panels;
  long rows = 0, pairs = 0;  // that count
  long chunk = 0, slice = 0;
  long* index;  // of the rows that count
};

// A thread has rows [first, last) of a slice.
struct Span {
  long first, last;
};

template <class V>
class LossProducts {
 public:
  using T = Scalar<V>;
  static constexpr long W = lanes<V>, pair = LossPlan<V>::pair, tile_rows = most_rows(2);
  static constexpr long most_tokens = 168, token_tile = 14;

  // Where a pair's logits are computed, [token][row].
  struct Block {
    T* at;
    long row;
  };

  LossProducts(const LossPlan<V>& plan, Arena& arena) : plan_(plan), features_(plan.features) {
    x_ = arena.take<T>(2 * plan.pairs * x_panel());
  }

  void take_backward(Arena& arena) {
    // Not a power of two apart, or the rows of a tile would share the cache's few places.
    p_row_ = plan_.slice + W;
    for (T*& p : p_) p = arena.take<T>(plan_.chunk * p_row_ + pair);
    if (plan_.call.dx)
      for (T*& weight : weight_) weight = arena.take<T>(plan_.panels * weight_panel());
    if (plan_.call.dweight) columns_ = arena.take<T>(plan_.panels * columns_panel());
  }

  // Elements that a thread works in, for one chunk, beside what `Loss` itself does.
  long work() const { return 0; }

  // The rows of pair p for logits: x_[panel][k][lane], zeros beyond the last row.
  void pack_x(long p, T*) const {
    for (long half = 0; half < 2; ++half) pack_x_panel(plan_, 2 * p + half, x_ + (2 * p + half) * x_panel());
  }

  // The same rows for dW: columns_[panel of features][row][lane].
  void pack_columns(long p) const {
    for (long n = p * pair; n < p * pair + plan_.rows_of(p); ++n)
      spread_row(plan_.row(n), columns_ + n * W, columns_panel());
  }

  // The thread's share of a chunk of W, for dx: to[panel][token][lane].
  void pack_weight(long from, int turn, int thread) const {
    if (!plan_.call.dx) return;
    const long count = plan_.tokens_from(from);
    for (long v = share(count, thread, plan_.threads); v < share(count, thread + 1, plan_.threads); ++v)
      spread_row(plan_.call.weight + (from + v) * features_, weight_[turn] + v * W, weight_panel());
  }

  void begin_chunk(long, T*) const {}

  // Logits of a chunk and the rows of pair p, without the bias. `turn` < 0: forward.
  void logits(long from, long count, long p, int, T*, Block to) const {
    static const T none[pair] = {};
    const int panels = plan_.rows_of(p) > W ? 2 : 1;
    const Tiles<V> kernels = panels == 2 ? tiles<V, 1, 2, false>() : tiles<V, 1, 1, false>();
    multiply<V>(kernels, panels, {plan_.call.weight + from * features_, features_, count, 0, 1},
                x_ + 2 * p * x_panel(), 1, x_panel(), features_, to.at, to.row, none);
  }

  // Where the gradient of the logits of pair p of a slice is to be, and what to do when it is.
  Block block(long p, int turn, T*) const { return {p_[turn] + p * pair, p_row_}; }
  void keep(long, long, int, Block) const {}

  // dx of the thread's rows += gradient of a chunk times W.
  void add_dx(Span rows, long count, int turn, T* dx, long dx_row) const {
    const long many = rows.last - rows.first, blocks = (many + tile_rows - 1) / tile_rows;
    for (long n = 0; n < plan_.panels; n += 2) {
      const Tiles<V> kernels = n + 1 < plan_.panels ? tiles<V, 1, 2, true>() : tiles<V, 1, 1, true>();
      for (long b = 0, m = rows.first; b < blocks; ++b) {
        const long next = rows.first + many * (b + 1) / blocks;
        kernels.by_rows[next - m - 1](p_[turn] + m, p_row_, weight_[turn] + n * weight_panel(), weight_panel(),
                                      count, dx + (m - rows.first) * dx_row + n * W, dx_row, nullptr,
                                      weight_[turn] + n * weight_panel(), 0);
        m = next;
      }
    }
  }

  // c (tokens, panels * W) = (first: start from zeros) c + gradient of `tokens` tokens times x.
  static constexpr int panels_at_once = 2;
  static constexpr long tokens_at_once = tile_rows;
  void dweight(Span tokens, long begin, long rows, int turn, long panel, int panels, T* c, long c_row) const {
    static const T none[pair] = {};
    const Tiles<V> kernels = panels == 2 ? tiles<V, 1, 2, false>() : tiles<V, 1, 1, false>();
    multiply<V>(kernels, panels, {p_[turn] + tokens.first * p_row_, p_row_, tokens.last - tokens.first, 0, 1},
                columns_ + panel * columns_panel() + begin * W, 1, columns_panel(), rows, c, c_row,
                begin ? nullptr : none);
  }

  // The sum over a slice's rows of one token's gradient.
  T dbias(long token, long rows, int turn) const {
    V sum{};
    for (long n = 0; n < rows; n += W) sum += load_left<V>(p_[turn] + token * p_row_ + n, rows - n);
    return total(sum);
  }

  // to[k][lane] of a panel of rows, zeros beyond the last row.
  static void pack_x_panel(const LossPlan<V>& plan, long panel, T* to) {
    for (long k = 0; k < plan.features; k += W) {
      V part[W];
      for (long lane = 0; lane < W; ++lane) {
        const long n = panel * W + lane;
        part[lane] = n < plan.rows ? load_left<V>(plan.row(n) + k, plan.features - k) : V{};
      }
      transpose(part);
      for (long j = 0; j < W && k + j < plan.features; ++j) store<V>(to + (k + j) * W, part[j]);
    }
  }

 private:
  // to[panel][0][lane] from a row of H features, panels `panel` elements apart; zeros beyond H.
  void spread_row(const T* from, T* to, long panel) const {
    for (long n = 0; n < plan_.panels; ++n)
      store<V>(to + n * panel, load_left<V>(from + n * W, features_ - n * W));
  }

  // From one panel to the next: one vector more, or two panels would share the cache's few places.
  long x_panel() const { return (features_ + 1) * W; }
  long weight_panel() const { return (plan_.chunk + 1) * W; }
  long columns_panel() const { return (plan_.rows + 1) * W; }

  const LossPlan<V>& plan_;
  const long features_;
  long p_row_ = 0;
  T* x_;                  // [panel of rows][k][lane]
  T* p_[2] = {};          // gradients of logits, [token of the chunk][row of the slice], in turns
  T* weight_[2] = {};     // [panel of features][token of the chunk][lane], in turns
  T* columns_ = nullptr;  // [panel of features][row][lane]
};

}  // namespace RECURRA_NAMESPACE
