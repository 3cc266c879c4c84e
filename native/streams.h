// Many streams of one model that move on together: a step of all layers and the output layer in one call, or
// many steps of the layers.
#pragma once
#include <atomic>

#include "stack.h"

namespace recurra {

// Threads may share it.
class Streams {
 public:
  // `head`: without columns the steps end with the outputs of the last layer. `symbols`: of the first
  // layer's table, if it has one. `threads`: how many there may be where there is enough to do.
  Streams(std::vector<PackedLayer> layers, const std::vector<double>& rates, bool residual, const Output& head,
          long symbols, int threads)
      : stack_(std::move(layers), rates, residual, symbols), head_(head), threads_(threads) {}

  // One step of `batch` streams from given states to `states`; writes logits (batch, V), or the outputs
  // (batch, R) where there is no output layer. A stream's bits do not depend on the others.
  void step(long batch, const Stack::Input& input, const Stack::Given& given, const Stack::Taken& states, float* to,
            Arena& work) const {
    const long turn = turn_.fetch_add(1);
    const double expected = threads_ > 1 ? work_of(batch, input) : 0;
    Team team(expected < waking ? 1 : threads_, expected < long_enough ? Team::brief : 0, expected);
    const int threads = team.threads();
    const auto call = stack_.begin(1, batch, input, given, states, turn, work, threads, 0);
    const auto last = [&](int thread) {
      if (head_.columns) {
        head_.share(call.out(0), batch, to, thread, threads);
      } else if (thread == 0) {
        std::memcpy(to, call.out(0), size_t(batch * stack_.features()) * sizeof(float));
      }
    };
    std::vector<size_t> places(size_t(threads) * line);  // where each thread is, a line apart
    team.pieces(1, [&](int thread) {
      size_t& piece = places[size_t(thread) * line];
      do piece < call.pieces.size() ? call.pieces[piece].run(0, thread) : last(thread);
      while (++piece <= call.pieces.size() && threads == 1);
      return piece <= call.pieces.size();
    });
  }

  // `steps` steps at once, of which those count that `valid` (steps, batch; null: all) has: writes the outputs
  // (steps, batch, R) of the last layer, with the bits that steps one by one have, and the last states.
  void read(long steps, long batch, const Stack::Input& input, const unsigned char* valid, const Stack::Given& given,
            const Stack::Taken& states, float* to, Arena& work) const {
    Stack::Input from = input;
    for (size_t k = 0; k < stack_.layers().size(); ++k) {
      const PackedLayer& layer = stack_.layers()[k];
      const long size = steps * batch * layer.shape.recurrent();
      Call<float> call = stack_.call(k, steps, batch, from, given[k], states[k]);
      call.threads = -threads_;
      call.valid = valid;
      call.y = k + 1 < stack_.layers().size() ? work.take<float>(size + 16) : to;
      layer.kernels->forward(layer.kernels->program, layer.packed, call, work);
      for (long u = 0; stack_.residual() && k && u < size; ++u) call.y[u] += from.x[u];
      from = {nullptr, call.y};
    }
  }

 private:
  // Microseconds that one thread takes, about: for few streams as long as it takes to read the weights, where its
  // second-level cache does not hold them from one step to the next.
  double work_of(long batch, const Stack::Input& input) const {
    const double one = products_of(1, input), weights = one / near;
    const double reading = weights * sizeof(float) > double(second_level_cache()) ? weights * far : 0;
    const double all = products_of(batch, input);
    return (all > reading ? all : reading) + double(batch * head_.columns * head_.depth) * 15e-6;
  }

  double products_of(long batch, const Stack::Input& input) const {
    Call<float> call;
    double all = 0;
    bool first = true;
    for (const PackedLayer& layer : stack_.layers()) {
      call.shape = layer.shape;
      call.shape.steps = 1;
      call.shape.batch = batch;
      call.tokens = first ? input.tokens : nullptr;
      all += layer.kernels->work(layer.kernels->program, call);
      first = false;
    }
    return all;
  }

  // What a weight takes one thread for one stream, as `Kernels::work` has it; and from a cache further off,
  // at 40 GB/s (measured on Ice Lake: 30).
  static constexpr double near = 24e-6, far = 100e-6;

  // From so many microseconds on others are worth waking; and waiting for one that was woken late is no sign
  // that the system keeps it from running, for it may have begun to compute just then.
  static constexpr double waking = 60, long_enough = 400;
  static constexpr size_t line = 128 / sizeof(size_t);

  const Stack stack_;
  const Output head_;
  const int threads_;
  mutable std::atomic<long> turn_{0};  // of the steps
};

}  // namespace recurra
