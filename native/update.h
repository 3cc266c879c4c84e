// A step of Adam or AdamW over all parameters at once, and the norm of their gradients.
//
// The step reads a gradient once and does not write it: the factor that clips it, and the bias
// corrections, are applied on the way. Blocks of fixed size make sums the same for any threads.
#pragma once
#include <cmath>
#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

#include "functions.h"
#include "packed.h"
#include "pool.h"
#include "update_call.h"

namespace RECURRA_NAMESPACE {

using recurra::Team;
using recurra::UpdateCall;
using recurra::UpdateKernels;
using recurra::Updated;

// The compiler does not find the instruction by itself: std::sqrt may have to set errno.
template <class V>
inline V square_root(V v) {
#if defined(__AVX512F__)
  if constexpr (std::is_same_v<V, F32>) return (V)_mm512_sqrt_ps((__m512)v);
#elif defined(__AVX2__)
  if constexpr (std::is_same_v<V, F32>) return (V)_mm256_sqrt_ps((__m256)v);
#endif
  for (int lane = 0; lane < lanes<V>; ++lane) v[lane] = std::sqrt(v[lane]);
  return v;
}

template <class V>
class Update {
 public:
  using T = Scalar<V>;
  static constexpr long W = lanes<V>, block = 4096;

  explicit Update(const UpdateCall<T>& call) : call_(call) {
    for (long n = 0; n < call.count; ++n) blocks_ += blocks_of(call.parameter[n]);
  }

  long blocks() const { return blocks_; }

  // The next of the thread's blocks, which are far from each other's; false: they were the last. Squares,
  // summed, go to sums[block]: in double precision, where the square of any float is a number.
  bool squares(int thread, int threads, double* sums) {
    return some(thread, threads, [&](const Updated<T>& p, long from, long count, long number) {
      double part[8] = {};
      const T* g = p.gradient + from;
      long k = 0;
      for (; k + 8 <= count; k += 8)
        for (int lane = 0; lane < 8; ++lane) part[lane] += double(g[k + lane]) * double(g[k + lane]);
      for (int lane = 0; k < count; ++k, ++lane) part[lane] += double(g[k]) * double(g[k]);
      sums[number] = ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
    });
  }

  bool step(int thread, int threads) {
    return some(thread, threads, [&](const Updated<T>& p, long from, long count, long) { step(call_, p, from, count); });
  }

 private:
  // Kingma & Ba 2015, algorithm 1; decoupled decay as in Loshchilov & Hutter 2019, algorithm 2.
  // Compiled once, since the compiler may choose which of two products it joins to their sum.
  [[gnu::noinline]] static void step(const UpdateCall<T>& c, const Updated<T>& p, long from, long count) {
    const double steps = double(*p.step) + 1;
    const T rate = T(c.lr / (1 - std::pow(c.beta1, steps)));
    const T root = T(1 / std::sqrt(1 - std::pow(c.beta2, steps))), epsilon = T(c.epsilon);
    const T shrink = c.decoupled ? T(1 - c.lr * p.decay) : 1, pull = c.decoupled ? 0 : T(p.decay);
    const T factor = T(c.factor), take1 = T(1 - c.beta1), take2 = T(1 - c.beta2);
    T* const w = p.weight + from;
    T* const mean = p.mean + from;
    T* const square = p.square + from;
    const T* const g = p.gradient + from;
    for (long k = 0; k < count; k += W) {
      const long left = count - k;
      V value = load_left<V>(w + k, left), m = load_left<V>(mean + k, left);
      V s = load_left<V>(square + k, left);
      const V gradient = load_left<V>(g + k, left) * factor + value * pull;
      m += (gradient - m) * take1;
      s += (gradient * gradient - s) * take2;
      value = value * shrink - m * rate / (square_root<V>(s) * root + epsilon);
      store_left(mean + k, m, left);
      store_left(square + k, s, left);
      store_left(w + k, value, left);
    }
  }

  static long blocks_of(const Updated<T>& p) { return (p.size + block - 1) / block; }
  static void store_left(T* to, V v, long left) {
    if (left >= W) {
      store<V>(to, v);
    } else {
      store_part<V>(to, v, left);
    }
  }

  // Calls body(parameter, first element, elements, number) for the next of the thread's blocks.
  template <class Body>
  bool some(int thread, int threads, Body body) {
    const long end = share(blocks_, thread + 1, threads), first = share(blocks_, thread, threads) + done_[thread];
    const long last = first + piece < end ? first + piece : end;
    done_[thread] += piece;
    long begin = 0;
    for (long n = 0; n < call_.count; ++n) {
      const Updated<T>& p = call_.parameter[n];
      const long behind = begin + blocks_of(p);
      for (long b = first > begin ? first : begin; b < last && b < behind; ++b) {
        const long from = (b - begin) * block;
        body(p, from, p.size - from < block ? p.size - from : block, b);
      }
      begin = behind;
    }
    return last < end;
  }

  static constexpr long piece = 64;  // blocks

  const UpdateCall<T>& call_;
  long blocks_ = 0;
  long done_[recurra::most_parts] = {};  // blocks of each thread
};

template <class V>
constexpr UpdateKernels<Scalar<V>> update_kernels() {
  using Call = UpdateCall<Scalar<V>>;
  return {[](const Call& call, Arena& arena) {
            Update<V> update(call);
            double* sums = arena.take<double>(update.blocks());
            Team team(call.threads);
            const int threads = team.threads();
            team.pieces(threads, [&](int thread) { return update.squares(thread, threads, sums); });
            double sum = 0;
            for (long n = 0; n < update.blocks(); ++n) sum += sums[n];
            return sum;
          },
          [](const Call& call) {
            Update<V> update(call);
            Team team(call.threads, Team::whole);
            const int threads = team.threads();
            team.pieces(threads, [&](int thread) { return update.step(thread, threads); });
            for (long n = 0; n < call.count; ++n) ++*call.parameter[n].step;
          }};
}

}  // namespace RECURRA_NAMESPACE
