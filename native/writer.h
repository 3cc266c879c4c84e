// Text written token by token: layers, output layer and choice in one loop.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "chooser.h"
#include "isa.h"
#include "pool.h"
#include "shelf.h"

namespace recurra {

// A layer whose weights are packed. They stay where they are as long as what writes with them.
struct WritingLayer {
  const Kernels<float>* kernels;
  const void* packed;
  Shape shape;
  bool half;
};

// Threads may share a writer: what a call works in is its own.
class Writer {
 public:
  using Given = std::vector<std::vector<const float*>>;  // by layer its states
  using Taken = std::vector<std::vector<float*>>;        // of each its values after every token

  // `head`: what `pack_head` of `isa` returned, for `symbols` tokens. `rates`: by state the share of the
  // old one that stays, or none.
  Writer(std::vector<WritingLayer> layers, const std::vector<double>& rates, bool residual, const Isa* isa,
         const void* head, long symbols, int threads)
      : layers_(std::move(layers)), rates_(rates), residual_(residual), isa_(isa), head_(head), symbols_(symbols) {
    // Others are not woken where no part of a step is worth meeting them.
    bool shared = symbols_ * layers_.back().shape.recurrent() >= many;
    for (const WritingLayer& layer : layers_) shared = shared || shares(layer.shape);
    threads_ = shared ? threads : 1;
  }

  // Reads a token from a state, chooses the next by the next of `count` uniforms, reads that, and so on.
  // Writes the tokens and their log probabilities, and each state as it was when each was chosen. Returns
  // how many: fewer where a step left nothing to choose.
  size_t write(long token, const Given& given, const Taken& states, Chooser& chooser, const double* uniforms,
               size_t count, int64_t* ids, double* log_probabilities) {
    std::vector<int64_t> read(count + 1, token);
    const auto work = shelf_.take([] { return std::make_unique<Arena>(); });
    const Ending ending{*work};
    float* const logits = work->take<float>(symbols_ + 16);
    size_t done = 0;
    run(count, read.data(), given, states, *work, logits, [&](size_t n) {
      read[n + 1] = chooser.choose(logits, uniforms[n], log_probabilities + n);
      if (read[n + 1] < 0) return false;
      ids[n] = read[n + 1];
      done = n + 1;
      return true;
    });
    return done;
  }

 private:
  struct Ending {  // ends the pieces whatever happens
    Arena& work;
    ~Ending() { work.reset(); }
  };

  struct Layer {
    const Kernels<float>* kernels;
    void* steps;      // what `begin` returned
    int threads;      // how many go through it
    const float* x;   // inputs of all steps, where they are no tokens
    const float* y;   // outputs of all steps: the cell's state
    float* sum;       // y + x, where that is what goes on; else null
    long outputs;

    const float* out() const { return sum ? sum : y; }
    void add(long n) const {
      for (long u = n * outputs; u < (n + 1) * outputs; ++u) sum[u] = y[u] + x[u];
    }
  };

  struct Piece {
    const Layer* layer;  // null: the output layer
    int number;          // of the layer's pieces, or -1: the sum with its input
  };

  // `count` steps of all layers and the output layer; `choose(n)` finds the token that step n + 1 reads,
  // or that there is none. The threads stay for all of it: waking them takes as long as a step does.
  template <class Choose>
  void run(size_t count, const int64_t* read, const Given& given, const Taken& states, Arena& work, float* logits,
           Choose choose) const {
    const long turn = turn_.fetch_add(long(count));
    Team team(threads_, Team::brief);
    const int threads = team.threads();
    std::vector<Layer> layers;
    for (size_t k = 0; k < layers_.size(); ++k)
      layers.push_back(
          begin(k, count, read, k ? layers.back().out() : nullptr, given[k], states[k], turn, work, threads));
    const long features = layers.back().outputs;
    const int choosing = symbols_ * features >= many ? threads : 1;
    // What a token takes, one after the other; threads meet after each.
    std::vector<Piece> pieces;
    for (const Layer& layer : layers) {
      for (int piece = 0; piece < layer.kernels->pieces(layer.steps); ++piece) pieces.push_back({&layer, piece});
      if (layer.sum) pieces.push_back({&layer, -1});
    }
    if (choosing > 1) pieces.push_back({nullptr, 0});
    bool go = true;
    const auto advance = [&](size_t n, size_t k, int thread) {
      if (k == pieces.size()) {
        if (thread) return;
        if (choosing == 1) isa_->head(head_, layers.back().out() + long(n) * features, logits, 0, 1);
        go = choose(n);
      } else if (const auto [layer, piece] = pieces[k]; !layer) {
        isa_->head(head_, layers.back().out() + long(n) * features, logits, thread, choosing);
      } else if (piece < 0) {
        if (thread == 0) layer->add(long(n));
      } else if (thread < layer->threads) {
        layer->kernels->step(layer->steps, long(n), piece, thread);
      }
    };
    struct alignas(64) At {
      size_t token = 0, piece = 0;
    };
    std::vector<At> places(static_cast<size_t>(threads));  // where each thread is
    if (count)
      team.pieces(1, [&](int thread) {
        At& mine = places[size_t(thread)];
        if (!go) return false;
        do advance(mine.token, mine.piece, thread);
        while (++mine.piece <= pieces.size() && threads == 1);
        if (mine.piece <= pieces.size()) return true;
        mine.piece = 0;
        return ++mine.token < count;
      });
  }

  Layer begin(size_t k, size_t count, const int64_t* read, const float* x, const std::vector<const float*>& given,
              const std::vector<float*>& states, long turn, Arena& work, int threads) const {
    const WritingLayer& layer = layers_[k];
    const Shape& shape = layer.shape;
    Call<float> call;
    call.shape = shape;
    call.shape.steps = long(count);
    call.shape.batch = 1;
    call.half = layer.half;
    call.each = true;
    call.turn = turn;
    if (k == 0) {
      call.tokens = read;
      call.symbols = symbols_;
    } else {
      call.x = x;
      call.x_row = call.x_step = shape.inputs;
    }
    for (size_t s = 0; s < states.size(); ++s) {
      call.initial[s] = given[s];
      call.last[s] = states[s];
      if (s < rates_.size()) call.keep_rate[s] = float(rates_[s]);
    }
    const long outputs = shape.recurrent();
    float* y = work.take<float>(long(count) * outputs + 16);
    call.y = y;
    call.y_row = call.y_step = outputs;
    const int mine = shares(shape) ? threads : 1;
    void* steps = layer.kernels->begin(layer.kernels->program, layer.packed, call, work, mine);
    float* sum = residual_ && k ? work.take<float>(long(count) * outputs) : nullptr;
    return {layer.kernels, steps, mine, x, y, sum, outputs};
  }

  static bool shares(const Shape& shape) { return shape.hidden * shape.hidden >= many; }

  // Weights from which on a second thread is worth meeting it.
  static constexpr long many = 1 << 16;

  const std::vector<WritingLayer> layers_;
  const std::vector<double> rates_;
  const bool residual_;
  const Isa* const isa_;
  const void* const head_;
  const long symbols_;
  int threads_ = 1;
  mutable std::atomic<long> turn_{0};  // of the steps
  Shelf<Arena> shelf_;
};

}  // namespace recurra
