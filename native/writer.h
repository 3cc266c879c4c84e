// Text written token by token: layers, output layer and choice in one loop.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "chooser.h"
#include "shelf.h"
#include "stack.h"

namespace recurra {

// Threads may share a writer: what a call works in is its own.
class Writer {
 public:
  using Given = Stack::Given;
  using Taken = Stack::Taken;

  // `threads`: how many there may be where there is enough to do.
  Writer(std::vector<PackedLayer> layers, const std::vector<double>& rates, bool residual, const Output& head,
         int threads)
      : stack_(std::move(layers), rates, residual, head.columns), head_(head), symbols_(head.columns) {
    // Others are not woken where no part of a step is worth meeting them.
    bool shared = symbols_ * stack_.features() >= many;
    for (const PackedLayer& layer : stack_.layers())
      shared = shared || layer.shape.hidden * layer.shape.hidden >= many;
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

  // `count` steps of all layers and the output layer; `choose(n)` finds the token that step n + 1 reads,
  // or that there is none. The threads stay for all of it: waking them takes as long as a step does.
  template <class Choose>
  void run(size_t count, const int64_t* read, const Given& given, const Taken& states, Arena& work, float* logits,
           Choose choose) const {
    const long turn = turn_.fetch_add(long(count));
    Team team(threads_, Team::brief);
    const int threads = team.threads();
    const auto call = stack_.begin(long(count), 1, {read, nullptr}, given, states, turn, work, threads, many);
    const int choosing = symbols_ * stack_.features() >= many ? threads : 1;
    // What a token takes, one after the other; threads meet after each.
    const size_t pieces = call.pieces.size() + (choosing > 1);
    bool go = true;
    const auto advance = [&](size_t n, size_t k, int thread) {
      if (k == pieces) {
        if (thread) return;
        if (choosing == 1) head_.isa->head(head_.packed, call.out(long(n)), logits, 0, 1);
        go = choose(n);
      } else if (k == call.pieces.size()) {
        head_.isa->head(head_.packed, call.out(long(n)), logits, thread, choosing);
      } else {
        call.pieces[k].run(long(n), thread);
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
        while (++mine.piece <= pieces && threads == 1);
        if (mine.piece <= pieces) return true;
        mine.piece = 0;
        return ++mine.token < count;
      });
  }

  // Weights from which on a second thread is worth meeting it.
  static constexpr long many = 1 << 16;

  const Stack stack_;
  const Output head_;
  const long symbols_;
  int threads_ = 1;
  mutable std::atomic<long> turn_{0};  // of the steps
  Shelf<Arena> shelf_;
};

}  // namespace recurra
