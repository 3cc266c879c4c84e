#include "pool.h"

#include <dlfcn.h>
#include <pthread.h>

#include <new>

namespace recurra {

namespace {
Pool* pool = nullptr;

// A forked child has none of the threads, neither ours nor OpenMP's: it starts with a pool of its
// own, and leaks the old one.
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

bool Pool::share(const char* path) {
  void* library = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);  // never given back: nor does it go
  if (!library) return false;
  static OpenMP found;
  const auto find = [&](auto& entry, const char* name) {
    entry = reinterpret_cast<std::remove_reference_t<decltype(entry)>>(dlsym(library, name));
    return entry != nullptr;
  };
  const bool whole = find(found.parallel, "GOMP_parallel") && find(found.nested, "omp_in_parallel") &&
                     find(found.thread, "omp_get_thread_num") &&
                     find(found.threads, "omp_get_num_threads");
  openmp_.store(whole ? &found : nullptr, std::memory_order_release);
  return whole;
}

namespace {

struct Region {
  const OpenMP& openmp;
  void (*task)(void*, int);
  void* body;
  int threads;
  bool done;

  static void run(void* at) {
    Region& region = *static_cast<Region*>(at);
    // All or none: the threads of a call wait for one another.
    if (region.openmp.threads() != region.threads) return;
    const int thread = region.openmp.thread();
    region.task(region.body, thread);
    if (thread == 0) region.done = true;
  }
};

}  // namespace

void Team::run(void (*task)(void*, int), void* body) {
  const OpenMP* openmp = pool_.openmp_.load(std::memory_order_acquire);
  if (openmp && !openmp->nested()) {
    Region region{*openmp, task, body, threads_, false};
    openmp->parallel(Region::run, &region, unsigned(threads_), 0);
    if (region.done) return;
  }
  pool_.grow(threads_ - 1);
  pool_.task_ = task;
  pool_.body_ = body;
  pool_.threads_ = threads_;
  pool_.running_.store(int(pool_.workers_.size()), std::memory_order_relaxed);
  pool_.ticket_.fetch_add(1, std::memory_order_seq_cst);
  // Either a worker that lies down sees the ticket, or its number is seen here.
  if (pool_.asleep_.load(std::memory_order_seq_cst)) {
    { std::lock_guard<std::mutex> lock(pool_.sleep_); }
    pool_.wake_.notify_all();
  }
  task(body, 0);
  spin_until([&] { return pool_.running_.load(std::memory_order_acquire) == 0; });
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
      asleep_.fetch_add(1, std::memory_order_seq_cst);
      {
        std::unique_lock<std::mutex> lock(sleep_);
        wake_.wait(lock, [&] { return ticket_.load(std::memory_order_seq_cst) != seen; });
      }
      asleep_.fetch_sub(1, std::memory_order_relaxed);
    }
    ++seen;
    if (thread < threads_) task_(body_, thread);
    running_.fetch_sub(1, std::memory_order_acq_rel);
  }
}

}  // namespace recurra
