// The three products of the output layer with its loss in bfloat16 (see half.h): as LossProducts, with
// exponentials, sums and all results in float32.
#pragma once
#include "loss_products.h"

namespace RECURRA_NAMESPACE {

template <class V>
class HalfLossProducts {
 public:
  using T = Scalar<V>;
  static constexpr long W = 16, pair = 32;
  static constexpr long most_tokens = 160, token_tile = 32;

  struct Block {
    T* at;
    long row;
  };

  HalfLossProducts(const LossPlan<V>& plan, Arena& arena)
      : plan_(plan), features_(plan.features), depth_(half_depth(plan.features)) {
    x_ = arena.take<Half>(2 * plan.pairs * x_panel());
  }

  void take_backward(Arena& arena) {
    const long tokens = whole_blocks(plan_.chunk);
    p_row_ = plan_.slice + half_step;
    for (Half*& p : p_) p = arena.take<Half>(tokens * p_row_);
    for (Half*& rows : rows_) rows = arena.zeros<Half>(tokens * depth_);
    if (plan_.call.dx) {
      turned_ = arena.take<Half>(plan_.slice * turned_row());
      for (Half*& weight : weight_) weight = arena.take<Half>(plan_.panels * weight_panel());
    }
    if (plan_.call.dweight) columns_ = arena.take<Half>(plan_.panels * columns_panel());
  }

  // Of float32: a chunk of W or a panel of x; and the logits of a pair.
  long work() const {
    return std::max(whole_blocks(plan_.chunk) * depth_ / 2, features_ * W) + plan_.chunk * pair;
  }

  void pack_x(long p, T* work) const {
    for (long half = 0; half < 2; ++half) {
      LossProducts<V>::pack_x_panel(plan_, 2 * p + half, work);
      to_half_panel(work, features_, 1, x_ + (2 * p + half) * x_panel());
    }
  }

  // columns_[panel of features][row / 2][lane][row % 2], zeros beyond the last row.
  void pack_columns(long p) const {
    for (long n = p * pair; n < (p + 1) * pair; n += 2)
      for (long m = 0; m < plan_.panels; ++m)
        store_pairs(columns_ + m * columns_panel() + n * W, part_of_row(n, m), part_of_row(n + 1, m));
  }

  // rows_: as they are; weight_[panel][token / 2][lane][token % 2], zeros beyond the chunk.
  void pack_weight(long from, int turn, int thread) const {
    const long count = plan_.tokens_from(from), pairs = half_depth(count) / 2;
    const long first = 2 * share(pairs, thread, plan_.threads), last = 2 * share(pairs, thread + 1, plan_.threads);
    const T* weight = plan_.call.weight + from * features_;
    if (first < count)
      to_half(weight + first * features_, features_, nullptr, 0, std::min(last, count) - first, features_,
              rows_[turn] + first * depth_, depth_);
    if (!plan_.call.dx) return;
    for (long v = first; v < last; v += 2)
      for (long m = 0; m < plan_.panels; ++m) {
        const long left = features_ - m * W;
        const T* at = weight + v * features_ + m * W;
        const V one = v < count ? load_left<V>(at, left) : V{};
        const V two = v + 1 < count ? load_left<V>(at + features_, left) : V{};
        store_pairs(weight_[turn] + m * weight_panel() + v * W, one, two);
      }
  }

  // Forward: the thread's own copy of a chunk.
  void begin_chunk(long from, T* work) const {
    const long count = plan_.tokens_from(from);
    Half* const to = reinterpret_cast<Half*>(work);
    if (from == 0) std::fill_n(to, whole_blocks(plan_.chunk) * depth_, Half(0));
    to_half(plan_.call.weight + from * features_, features_, nullptr, 0, count, features_, to, depth_);
  }

  void logits(long, long count, long p, int turn, T* work, Block to) const {
    static const T none[pair] = {};
    const Half* weight = turn < 0 ? reinterpret_cast<const Half*>(work) : rows_[turn];
    half_multiply(weight, depth_, count, x_ + 2 * p * x_panel(), pair, x_panel(), 2, features_, to.at, to.row,
                  none);
  }

  Block block(long, int, T* work) const { return {work, pair}; }

  // p_[token][row] and turned_[row][token], of pair p of the slice.
  void keep(long p, long count, int turn, Block from) const {
    to_half(from.at, from.row, nullptr, 0, count, pair, p_[turn] + p * pair, p_row_);
    if (!plan_.call.dx) return;
    for (long half = 0; half < pair; half += W)
      to_half_columns(from.at + half, from.row, count, turned_ + (p * pair + half) * turned_row(), turned_row());
  }

  void add_dx(Span rows, long count, int turn, T* dx, long dx_row) const {
    half_multiply(turned_ + rows.first * turned_row(), turned_row(), rows.last - rows.first, weight_[turn], 32,
                  weight_panel(), int(plan_.panels), count, dx, dx_row, nullptr);
  }

  static constexpr int panels_at_once = 4;
  static constexpr long tokens_at_once = half_rows;
  void dweight(Span tokens, long begin, long rows, int turn, long panel, int panels, T* c, long c_row) const {
    static const T none[4 * W] = {};
    half_multiply(p_[turn] + tokens.first * p_row_, p_row_, tokens.last - tokens.first,
                  columns_ + panel * columns_panel() + begin * W, 32, columns_panel(), panels, rows, c, c_row,
                  begin ? nullptr : none);
  }

  // Of what the products see.
  T dbias(long token, long rows, int turn) const {
    V sum{};
    for (long n = 0; n < rows; n += W) sum += widened(p_[turn] + token * p_row_ + n);
    return total(sum);
  }

 private:
  static V widened(const Half* from) {
    uint16_t half[16];
    std::memcpy(half, from, sizeof half);
    uint32_t bits[16];
    for (int lane = 0; lane < 16; ++lane) bits[lane] = uint32_t(half[lane]) << 16;
    V v;
    std::memcpy(&v, bits, sizeof v);
    return v;
  }

  V part_of_row(long n, long panel) const {
    return n < plan_.rows ? load_left<V>(plan_.row(n) + panel * W, features_ - panel * W) : V{};
  }

  // As there, one vector more than needed.
  long x_panel() const { return (depth_ + 2) * W; }
  long weight_panel() const { return (half_depth(plan_.chunk) + 2) * W; }
  long columns_panel() const { return (plan_.pairs * pair + 2) * W; }
  long turned_row() const { return half_depth(plan_.chunk) + half_step; }

  const LossPlan<V>& plan_;
  const long features_, depth_;
  long p_row_ = 0;
  Half* x_;                  // [panel of rows][k / 2][lane][k % 2]
  Half* p_[2] = {};          // [token of the chunk][row of the slice], in turns
  Half* turned_ = nullptr;   // [row of the slice][token of the chunk]
  Half* rows_[2] = {};       // [token of the chunk][feature], in turns
  Half* weight_[2] = {};     // [panel of features][token / 2][lane][token % 2], in turns
  Half* columns_ = nullptr;  // [panel of features][row / 2][lane][row % 2]
};

}  // namespace RECURRA_NAMESPACE
