// Layers one above the other, a step of all of them at a time, by threads that stay from layer to layer.
#pragma once
#include <cstdint>
#include <cstring>
#include <vector>

#include "isa.h"
#include "pool.h"

namespace recurra {

// A layer whose weights are packed. They stay where they are as long as what runs with them.
struct PackedLayer {
  const Kernels<float>* kernels;
  const void* packed;
  Shape shape;
  bool half;
};

// An output layer: what `pack_head` of `isa` returned, for `columns` tokens.
struct Output {
  const Isa* isa = nullptr;
  const void* packed = nullptr;
  long columns = 0, depth = 0;

  long panels() const { return (columns + isa->head_columns - 1) / isa->head_columns; }

  // Of x (rows, depth) the rows [first_row, last_row) by the panels [first, last), to their places in
  // (rows, columns): blocks of rows that stay in the cache while the weights go by.
  void part(const float* x, long first_row, long last_row, long first, long last, float* to) const {
    constexpr long block = 128, widest = 16;
    const long W = isa->head_columns, all = columns / W, whole = last < all ? last : all;
    float ragged[block * widest];
    for (long r = first_row; r < last_row; r += block) {
      const long rows = last_row - r < block ? last_row - r : block;
      const float* from = x + r * depth;
      if (whole > first) isa->head_rows(packed, from, depth, rows, to + r * columns + first * W, columns, first, whole);
      if (last <= all) continue;
      const long left = columns - all * W;
      isa->head_rows(packed, from, depth, rows, ragged, W, all, all + 1);
      for (long n = 0; n < rows; ++n)
        std::memcpy(to + (r + n) * columns + all * W, ragged + n * W, size_t(left) * sizeof(float));
    }
  }

  // What one of `threads` threads does of all rows: rows of its own where there are many, for then all threads
  // read the weights, which are few; else columns.
  void share(const float* x, long rows, float* to, int thread, int threads) const {
    const auto part_of = [&](long count, long n) { return count * n / threads; };
    if (rows >= 32 * threads) {
      part(x, part_of(rows, thread), part_of(rows, thread + 1), 0, panels(), to);
    } else {
      part(x, 0, rows, part_of(panels(), thread), part_of(panels(), thread + 1), to);
    }
  }
};

// Threads may share a stack: what a call works in is its own.
class Stack {
 public:
  using Given = std::vector<std::vector<const float*>>;  // by layer its states
  using Taken = std::vector<std::vector<float*>>;        // of each its values after every step

  // What the first layer reads of all steps: tokens (count, B), where its weights have a table, or x
  // (count, B, I).
  struct Input {
    const int64_t* tokens = nullptr;
    const float* x = nullptr;
  };

  struct Layer {
    const Kernels<float>* kernels;
    void* steps;      // what `begin` returned
    int threads;      // how many go through it
    const float* x;   // inputs of all steps, where they are no tokens
    const float* y;   // outputs of all steps: the cell's state
    float* sum;       // y + x, where that is what goes on; else null
    long outputs;     // of a step, all streams

    const float* out() const { return sum ? sum : y; }
    void add(long n, int thread) const {
      const long first = outputs * thread / threads, last = outputs * (thread + 1) / threads;
      for (long u = n * outputs + first; u < n * outputs + last; ++u) sum[u] = y[u] + x[u];
    }
  };

  // One of the things that a step takes, one after the other; threads meet after each.
  struct Piece {
    const Layer* layer;
    int number;          // of the layer's pieces, or -1: the sum with its input

    void run(long n, int thread) const {
      if (thread >= layer->threads) return;
      if (number >= 0) return layer->kernels->step(layer->steps, n, number, thread);
      layer->add(n, thread);
    }
  };

  // A call: `layers` stay where they are.
  struct Call {
    std::vector<Layer> layers;
    std::vector<Piece> pieces;
    const float* out(long n) const { return layers.back().out() + n * layers.back().outputs; }
  };

  // `rates`: by state the share of the old one that stays, or none. `residual`: a layer above the first adds
  // its input to its output.
  Stack(std::vector<PackedLayer> layers, const std::vector<double>& rates, bool residual, long symbols)
      : layers_(std::move(layers)), rates_(rates), residual_(residual), symbols_(symbols) {}

  const std::vector<PackedLayer>& layers() const { return layers_; }
  bool residual() const { return residual_; }
  long features() const { return layers_.back().shape.recurrent(); }

  // The arguments of `count` steps of layer k, but for the place of its outputs, (count, B, R).
  recurra::Call<float> call(size_t k, long count, long batch, const Input& input, const std::vector<const float*>& given,
                            const std::vector<float*>& states) const {
    const PackedLayer& layer = layers_[k];
    recurra::Call<float> call;
    call.shape = layer.shape;
    call.shape.steps = count;
    call.shape.batch = batch;
    call.half = layer.half;
    if (input.tokens) {
      call.tokens = input.tokens;
      call.symbols = symbols_;
    } else {
      call.x = input.x;
      call.x_row = layer.shape.inputs;
      call.x_step = batch * layer.shape.inputs;
    }
    for (size_t s = 0; s < states.size(); ++s) {
      call.initial[s] = given[s];
      call.last[s] = states[s];
      if (s < rates_.size()) call.keep_rate[s] = float(rates_[s]);
    }
    call.y_row = layer.shape.recurrent();
    call.y_step = batch * call.y_row;
    return call;
  }

  // `count` steps of `batch` streams by `threads` threads, of which a layer with less to do than `least`
  // multiplications a stream and state has one. `turn`: steps before, of whoever steps this stack.
  Call begin(long count, long batch, const Input& input, const Given& given, const Taken& states, long turn, Arena& work,
             int threads, long least) const {
    Call call;
    call.layers.reserve(layers_.size());
    for (size_t k = 0; k < layers_.size(); ++k) {
      const Input here = k ? Input{nullptr, call.layers.back().out()} : input;
      call.layers.push_back(begin(k, count, batch, here, given[k], states[k], turn, work, threads, least));
    }
    for (const Layer& layer : call.layers) {
      for (int piece = 0; piece < layer.kernels->pieces(layer.steps); ++piece) call.pieces.push_back({&layer, piece});
      if (layer.sum) call.pieces.push_back({&layer, -1});
    }
    return call;
  }

 private:
  Layer begin(size_t k, long count, long batch, const Input& input, const std::vector<const float*>& given,
              const std::vector<float*>& states, long turn, Arena& work, int threads, long least) const {
    const PackedLayer& layer = layers_[k];
    const Shape& shape = layer.shape;
    auto call = this->call(k, count, batch, input, given, states);
    call.each = true;
    // No core finds the weights of a layer in its cache after those of the others: each reads its part of them.
    call.by_units = true;
    call.turn = turn;
    const long outputs = batch * shape.recurrent();
    float* y = call.y = work.take<float>(count * outputs + 16);
    const int mine = batch * shape.hidden * shape.hidden >= least ? threads : 1;
    void* steps = layer.kernels->begin(layer.kernels->program, layer.packed, call, work, mine);
    float* sum = residual_ && k ? work.take<float>(count * outputs) : nullptr;
    return {layer.kernels, steps, mine, input.x, y, sum, outputs};
  }

  const std::vector<PackedLayer> layers_;
  const std::vector<double> rates_;
  const bool residual_;
  const long symbols_;
};

}  // namespace recurra
