// Threads that wait for work, and the barrier at which they meet within it.
#pragma once
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace recurra {

// Short waits spin, since a step takes microseconds; long ones give the processor away.
template <class Condition>
inline void spin_until(Condition done) {
  for (int n = 0; !done(); ++n) {
    if (n < 2000) {
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
    } else {
      std::this_thread::yield();
    }
  }
}

class Barrier {
 public:
  explicit Barrier(int threads) : threads_(threads) {}

  void wait() {
    if (threads_ == 1) return;
    const unsigned turn = turn_.load(std::memory_order_acquire);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == threads_) {
      arrived_.store(0, std::memory_order_relaxed);
      turn_.store(turn + 1, std::memory_order_release);
    } else {
      spin_until([&] { return turn_.load(std::memory_order_acquire) != turn; });
    }
  }

 private:
  const int threads_;
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<unsigned> turn_{0};
};

// The entries of an OpenMP library (GNU's; LLVM's and Intel's have them too).
struct OpenMP {
  void (*parallel)(void (*)(void*), void*, unsigned threads, unsigned flags) = nullptr;
  int (*thread)() = nullptr;
  int (*threads)() = nullptr;
  int (*nested)() = nullptr;
};

// Threads kept for the next call. A `Team` has them for the time of one call.
//
// Where another library of the process has threads of its own, ours would share the processors with
// them: OpenMP's spin for milliseconds after their work is done. `share` makes teams of its threads.
class Pool {
 public:
  static Pool& instance();

  // Uses the threads of the OpenMP library that the library at `path`, which is loaded, depends on.
  // Returns whether there is one. Threads of our own remain for what OpenMP refuses.
  bool share(const char* path);

 private:
  friend class Team;
  void grow(int workers);
  void work(int thread, unsigned seen);

  std::mutex owner_, sleep_;
  std::condition_variable wake_;
  std::vector<std::thread> workers_;
  std::atomic<unsigned> ticket_{0};
  std::atomic<int> running_{0}, asleep_{0};
  std::atomic<const OpenMP*> openmp_{nullptr};
  void (*task_)(void*, int) = nullptr;
  void* body_ = nullptr;
  int threads_ = 0;
};

// The threads of one call: as many as asked for, or the caller alone where another call has them.
// Results do not depend on it.
class Team {
 public:
  explicit Team(int threads) : pool_(Pool::instance()), owner_(pool_.owner_, std::defer_lock) {
    if (threads > 1 && owner_.try_lock()) threads_ = threads;
  }

  int threads() const { return threads_; }

  // body(thread) on every thread, thread 0 being the caller; returns when all are done.
  template <class Body>
  void run(Body&& body) {
    if (threads_ == 1) return body(0);
    run([](void* at, int thread) { (*static_cast<std::remove_reference_t<Body>*>(at))(thread); },
        const_cast<void*>(static_cast<const void*>(&body)));
  }

 private:
  void run(void (*task)(void*, int), void* body);

  Pool& pool_;
  std::unique_lock<std::mutex> owner_;
  int threads_ = 1;
};

}  // namespace recurra
