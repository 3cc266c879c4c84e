#include "pool.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <chrono>
#include <new>
#include <thread>

namespace recurra {

namespace {

constexpr int64_t microsecond = 1000, millisecond = 1000 * microsecond;

Pool* pool = nullptr;

int64_t now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
}

// How many pauses take a time: one takes from 2 to 50 ns, by processor.
struct Pauses {
  double each = 50;  // ns

  Pauses() {
    constexpr int many = 64;
    for (int n = 0; n < 8; ++n) {
      const int64_t begin = now();
      for (int k = 0; k < many; ++k) pause();
      const double found = double(now() - begin) / many;
      if (found > 0 && found < each) each = found;
    }
  }
  int in(int64_t nanoseconds) const { return 1 + int(double(nanoseconds) / each); }
};

const Pauses& pauses() {
  static const Pauses measured;
  return measured;
}

// How long a thread leaves a piece to the thread whose part it is: one that runs claims it at once.
constexpr int64_t patience = 2500;
// How long threads wait for a piece that is being computed before they let others have the processor.
constexpr int64_t wait = 50 * microsecond;
// How long threads without a call look for the next one before they sleep.
constexpr int64_t idle = 100 * microsecond;
// How long a thread may take to come.
constexpr int64_t waking = 30 * microsecond;
// A wait that only a thread explains that does not run: pieces of brief calls are much shorter.
constexpr int64_t stall = 150 * microsecond;
constexpr int64_t least_pause = 20 * millisecond, most_pause = 2000 * millisecond, between_tries = 128;

}  // namespace

void Watch::look() {
  const int64_t time = now();
  if (!looked_) asked_ = looked_ = time;
  const int64_t taken = time - looked_;
  if (taken < millisecond && pieces_ < 256) pieces_ *= 2;
  if (taken > 5 * millisecond) pieces_ = pieces_ / 4 + 1;
  left_ = pieces_;
  looked_ = time;
  if (time - asked_ < 50 * millisecond) return;
  asked_ = time;
  if (const auto ask = ask_.load(std::memory_order_relaxed)) ask();
}

Pool::Pool() {
  pauses();
  for (Part& part : parts_) part.done.value.store(1, std::memory_order_relaxed);  // nothing to claim
}

// A forked child has none of the threads, neither ours nor OpenMP's, and what they held is held for
// ever: it starts with a new pool, in the same place, since there may be no memory for another.
void Pool::forget() { new (pool) Pool; }

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
  if (!library) {
    openmp_.store(nullptr, std::memory_order_release);
    return false;
  }
  static OpenMP found;
  const auto find = [&](auto& entry, const char* name) {
    entry = reinterpret_cast<std::remove_reference_t<decltype(entry)>>(dlsym(library, name));
    return entry != nullptr;
  };
  const bool whole = find(found.parallel, "GOMP_parallel") && find(found.nested, "omp_in_parallel") &&
                     find(found.thread, "omp_get_thread_num");
  openmp_.store(whole ? &found : nullptr, std::memory_order_release);
  return whole;
}

bool Pool::crowded(double work) const {
  const int64_t calm = calm_.load(std::memory_order_relaxed);
  return calm && now() < calm && double(stall_.load(std::memory_order_relaxed)) > 0.5 * microsecond * work;
}

void Pool::stalled(int64_t length) {
  const int64_t time = now(), calm = calm_.load(std::memory_order_relaxed);
  if (time < calm) {
    if (length > stall_.load(std::memory_order_relaxed)) stall_.store(length, std::memory_order_relaxed);
    return;
  }
  // To try again costs such a stall: at most a share of the time between two tries.
  const int64_t cap = between_tries * length < most_pause ? between_tries * length : most_pause;
  const bool again = calm && time - calm < least_pause + pause_;
  pause_ = again ? (2 * pause_ < cap ? 2 * pause_ : cap) : least_pause;
  stall_.store(length, std::memory_order_relaxed);
  calm_.store(time + pause_, std::memory_order_relaxed);
}

// Once in a call, where others have computed a part for longer than it takes to wake its thread.
void Pool::separate() {
  if (!held_ || now() - held_ < waking) return;
  held_ = 0;
  Place* const there = there_.load(std::memory_order_relaxed);
  for (int n = 1; n < count_.load(std::memory_order_relaxed); ++n)
    if (parts_[n].absent.load(std::memory_order_relaxed)) there[n].clear();
}

bool Pool::ready(int part, uint64_t piece) const {
  if (parts_[part].done.value.load(std::memory_order_acquire) != 2 * piece) return false;
  const int count = count_.load(std::memory_order_relaxed), groups = groups_.load(std::memory_order_relaxed);
  for (int group = 0; groups < count && group < groups; ++group) {
    const int first = count * group / groups, last = count * (group + 1) / groups;
    if (part < first || part >= last) continue;
    for (int other = first; other < last; ++other)
      if (parts_[other].done.value.load(std::memory_order_acquire) < 2 * piece) return false;
  }
  return true;
}

bool Pool::take(int number) {
  Part& part = parts_[number];
  uint64_t piece = part.claim.value.load(std::memory_order_acquire);
  if (!ready(number, piece) ||
      !part.claim.value.compare_exchange_strong(piece, piece + 1, std::memory_order_acq_rel))
    return false;
  bool more = false;
  if (!failed_.load(std::memory_order_relaxed)) {
    try {
      more = task_.load(std::memory_order_relaxed)(body_.load(std::memory_order_relaxed), number);
    } catch (...) {
      fail(std::current_exception());
    }
  }
  part.done.value.store(2 * (piece + 1) + !more, std::memory_order_release);
  return true;
}

bool Pool::take_any(int home, bool patient) {
  const int count = count_.load(std::memory_order_relaxed);
  for (int n = 1; n < count; ++n) {
    const int other = (home + n) % count;
    if (patient && !parts_[other].absent.load(std::memory_order_relaxed)) continue;
    if (!take(other)) continue;
    parts_[other].absent.store(true, std::memory_order_relaxed);
    return true;
  }
  return false;
}

bool Pool::finished() const {
  const int count = count_.load(std::memory_order_relaxed);
  for (int n = 0; n < count; ++n)
    if (!(parts_[n].done.value.load(std::memory_order_acquire) & 1)) return false;
  return true;
}

void Pool::fail(std::exception_ptr error) {
  if (!failed_.exchange(true, std::memory_order_relaxed)) error_ = std::move(error);
}

bool Pool::take_own(int home) {
  if (!take(home)) return false;
  std::atomic<bool>& absent = parts_[home].absent;
  if (absent.load(std::memory_order_relaxed)) absent.store(false, std::memory_order_relaxed);
  return true;
}

// As long as threads are held.
void Pool::help(int home) {
  static const int patient = pauses().in(patience), waiting = pauses().in(wait);
  there_.load(std::memory_order_relaxed)[home].arrive(caller_.load(std::memory_order_relaxed));
  for (int spins = 0;;) {
    if (take_own(home) || take_any(home, spins < patient)) {
      spins = 0;
    } else if (!open()) {
      return;
    } else if (++spins < waiting) {
      pause();
    } else {
      std::this_thread::yield();
    }
  }
}

// Until all parts are done. Only the caller knows that from their words: to others they may be of a later
// call.
void Pool::lead(unsigned manner, int64_t limit) {
  static const int patient = pauses().in(patience), waiting = pauses().in(wait);
  Watch watch(manner & Team::whole);
  int64_t since = 0;
  for (int spins = 0;;) {
    const bool own = take_own(0);
    if (own || take_any(0, spins < patient)) {
      if (!own) separate();
      spins = 0;
      try {
        watch.piece();
      } catch (...) {
        fail(std::current_exception());
      }
    } else if (finished()) {
      return;
    } else if (++spins < waiting) {
      pause();
    } else {
      if (spins == waiting) since = now();
      if (const int64_t waited = now() - since + wait; manner & Team::brief && waited > limit) stalled(waited);
      std::this_thread::yield();
    }
  }
}

void Pool::run(int parts, int groups, unsigned manner, double work, Task task, void* body) {
  task_.store(task, std::memory_order_relaxed);
  body_.store(body, std::memory_order_relaxed);
  count_.store(parts, std::memory_order_relaxed);
  groups_.store(groups, std::memory_order_relaxed);
  failed_.store(false, std::memory_order_relaxed);
  error_ = nullptr;
  for (int n = 0; n < parts; ++n) parts_[n].done.value.store(2 * next_, std::memory_order_relaxed);
  for (int n = 0; n < parts; ++n) parts_[n].claim.value.store(next_, std::memory_order_release);
  const int64_t half = int64_t(0.5 * microsecond * work);  // longer than any of its pieces
  lead(manner, half > stall ? half : stall);
  for (int n = 0; n < parts; ++n) {
    const uint64_t last = parts_[n].claim.value.load(std::memory_order_relaxed);
    if (last >= next_) next_ = last + 1;
  }
  if (failed_.load(std::memory_order_relaxed)) std::rethrow_exception(std::move(error_));
}

void Pool::hold(int threads, unsigned manner, void (*body)(void*), void* at) {
  const int room = cores();
  if (threads > room) threads = room;
  if (threads == 1) return body(at);
  caller_.store(Caller::here(), std::memory_order_relaxed);
  held_ = now();
  const OpenMP* openmp = helping_openmp(threads, manner);
  there_.store(places_[openmp != nullptr], std::memory_order_relaxed);
  ticket_.fetch_add(1, std::memory_order_seq_cst);
  struct Closing {
    Pool& pool;
    ~Closing() { pool.close(); }
  };
  if (openmp) return help_by_openmp(*openmp, threads, body, at);
  const Closing closing{*this};
  grow(threads - 1);
  // Either a worker that lies down sees the ticket, or its number is seen here.
  if (asleep_.load(std::memory_order_seq_cst)) {
    { std::lock_guard<std::mutex> lock(sleep_); }
    wake_.notify_all();
  }
  body(at);
}

struct Pool::Region {
  Pool& pool;
  const OpenMP& openmp;
  void (*body)(void*);
  void* at;
  int64_t begun = 0, ended = 0;
  std::exception_ptr error;

  static void run(void* region) {
    Region& mine = *static_cast<Region*>(region);
    if (const int thread = mine.openmp.thread()) return mine.pool.help(thread);
    mine.begun = now();
    try {
      mine.body(mine.at);
    } catch (...) {
      mine.error = std::current_exception();
    }
    mine.pool.close();
    mine.ended = now();
  }
};

namespace {

// Whether the system has room for the stacks of so many threads: OpenMP ends the process where it cannot
// make one.
bool room_for(int threads) {
  static std::atomic<int> known{1};
  if (threads <= known.load(std::memory_order_relaxed)) return true;
  rlimit stack;
  size_t each = size_t(8) << 20;
  if (getrlimit(RLIMIT_STACK, &stack) == 0 && stack.rlim_cur != RLIM_INFINITY) each = size_t(stack.rlim_cur);
  const size_t size = size_t(threads) * (each + (size_t(1) << 16));
  void* at = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) return false;
  munmap(at, size);
  known.store(threads, std::memory_order_relaxed);
  return true;
}

}  // namespace

// Where threads were kept from running, long calls are better off with threads that need not come. Brief ones that
// have more than one thread at all would meet OpenMP's, which look for work for milliseconds, on their processors.
const OpenMP* Pool::helping_openmp(int threads, unsigned manner) const {
  const OpenMP* openmp = openmp_.load(std::memory_order_acquire);
  if (!openmp || openmp->nested() || (crowded() && !(manner & Team::brief))) return nullptr;
  return room_for(threads) ? openmp : nullptr;
}

void Pool::help_by_openmp(const OpenMP& openmp, int threads, void (*body)(void*), void* at) {
  Region region{*this, openmp, body, at, 0, 0, nullptr};
  const int64_t begin = now();
  openmp.parallel(Region::run, &region, unsigned(threads), 0);
  // From the time of the first call on, what it waits for is that all of its threads run.
  const int64_t waited = region.begun - begin + now() - region.ended;
  if (waited > stall) stalled(waited);
  if (region.error) std::rethrow_exception(std::move(region.error));
}

void Pool::grow(int workers) {
  while (workers_ < workers) {
    // Signals are for the threads of the program.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool made = true;
    try {
      std::thread([this, home = workers_ + 1] { work(home); }).detach();
    } catch (const std::exception&) {
      made = false;  // the system has no room for one: others compute its parts
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (!made) return;
    ++workers_;
  }
}

void Pool::work(int home) {
  static const int looks = pauses().in(idle);
  for (;;) {
    for (int n = 0; n < looks && !open(); ++n) pause();
    if (!open()) {
      asleep_.fetch_add(1, std::memory_order_seq_cst);
      {
        std::unique_lock<std::mutex> lock(sleep_);
        wake_.wait(lock, [&] { return ticket_.load(std::memory_order_seq_cst) & 1; });
      }
      asleep_.fetch_sub(1, std::memory_order_relaxed);
    }
    help(home);
  }
}

}  // namespace recurra
