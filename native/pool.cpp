#include "pool.h"

#include <pthread.h>

#include <new>

namespace recurra {

namespace {
Pool* pool = nullptr;

// A forked child has none of the threads: it starts with a pool of its own, and leaks the old one.
void forget() { pool = new Pool; }
}  // namespace

Pool& Pool::instance() {
  static std::once_flag once;
  std::call_once(once, [] {
    pool = new Pool;  // never deleted: workers may outlive static destructors
    pthread_atfork(nullptr, nullptr, forget);
  });
  return *pool;
}

void Pool::grow(int workers) {
  while (int(workers_.size()) < workers) {
    const int thread = int(workers_.size()) + 1;
    const unsigned seen = ticket_.load(std::memory_order_acquire);
    workers_.emplace_back([this, thread, seen] { work(thread, seen); });
  }
}

void Pool::work(int thread, unsigned seen) {
  for (;;) {
    for (int n = 0; n < 4000 && ticket_.load(std::memory_order_acquire) == seen; ++n) {
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
    }
    if (ticket_.load(std::memory_order_acquire) == seen) {
      std::unique_lock<std::mutex> lock(sleep_);
      wake_.wait(lock, [&] { return ticket_.load(std::memory_order_acquire) != seen; });
    }
    ++seen;
    if (thread < threads_) task_(body_, thread, threads_);
    running_.fetch_sub(1, std::memory_order_acq_rel);
  }
}

}  // namespace recurra
