// A matrix of weights that stays, in panels: the output layer of one stream, and products of many rows.
#pragma once
#include "rows.h"

namespace RECURRA_NAMESPACE {

// weight (tokens, features) and bias (tokens, or null) in panels, in the arena.
inline void* pack_head(const float* weight, const float* bias, long tokens, long features, Arena& arena) {
  const int gate = 0;
  Panels<F32>& p = *new (arena.take<Panels<F32>>(1)) Panels<F32>(take_panels<F32>(arena, tokens, features, 1, false));
  pack_rows<F32>(p, weight, tokens, &gate, 0, p.count);
  if (bias) std::memcpy(p.start, bias, size_t(tokens) * sizeof(float));
  return &p;
}

// logits (padded tokens) = weight x + bias: the part of a thread.
inline void head(const void* packed, const float* x, float* logits, int thread, int threads) {
  const Panels<F32>& p = *static_cast<const Panels<F32>*>(packed);
  in_blocks(share(p.count, thread, threads), share(p.count, thread + 1, threads), panels_at_once(1, 1),
            [&](long n, int count) {
              multiply<F32>(p, n, count, Argument<F32>{x, 0}, 1, logits + n * lanes<F32>, 0,
                            p.start + n * lanes<F32>);
            });
}

// c (rows, padded tokens), `c_row` apart = x (rows, features), `x_row` apart, times the weights, plus
// bias; of the panels [first, last), whose first column is at c. A row's bits are those of `head`.
inline void head_rows(const void* packed, const float* x, long x_row, long rows, float* c, long c_row,
                      long first, long last) {
  const Panels<F32>& p = *static_cast<const Panels<F32>*>(packed);
  in_blocks(first, last, panels_at_once(1, rows), [&](long n, int count) {
    multiply<F32>(p, n, count, Argument<F32>{x, x_row}, rows, c + (n - first) * lanes<F32>, c_row,
                  p.start + n * lanes<F32>);
  });
}

// Columns of a panel.
constexpr long head_columns = lanes<F32>;

}  // namespace RECURRA_NAMESPACE
