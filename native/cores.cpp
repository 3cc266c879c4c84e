#include "cores.h"

#include <atomic>
#include <chrono>
#include <thread>
#if defined(__linux__)
#include <sched.h>
#endif

namespace recurra {

namespace {

std::atomic<int> limit{0};

int bound_to() {
#if defined(__linux__)
  cpu_set_t set[16];  // of 16 times 1024 processors
  CPU_ZERO_S(sizeof set, set);
  if (sched_getaffinity(0, sizeof set, set) == 0)
    if (const int count = CPU_COUNT_S(sizeof set, set)) return count;
#endif
  const unsigned count = std::thread::hardware_concurrency();
  return count ? int(count) : 1;
}

}  // namespace

int cores() {
  using Clock = std::chrono::steady_clock;
  static std::atomic<int> known{0};
  static std::atomic<Clock::rep> until{0};
  const Clock::rep now = Clock::now().time_since_epoch().count();
  int count = known.load(std::memory_order_relaxed);
  if (!count || now > until.load(std::memory_order_relaxed)) {
    count = bound_to();
    known.store(count, std::memory_order_relaxed);
    until.store(now + Clock::duration(std::chrono::milliseconds(20)).count(), std::memory_order_relaxed);
  }
  const int most = limit.load(std::memory_order_relaxed);
  return most && most < count ? most : count;
}

void limit_cores(int most) { limit.store(most, std::memory_order_relaxed); }

}  // namespace recurra
