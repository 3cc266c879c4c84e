#include "place.h"

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace recurra {

#if defined(__linux__)

namespace {

int this_thread() {
  static thread_local const int known = int(syscall(SYS_gettid));
  return known;
}

// A thread that has ended may have left its number to one of another process.
bool ours(int thread) { return syscall(SYS_tgkill, getpid(), thread, 0) == 0; }

bool may_run(int thread, cpu_set_t& where) { return sched_getaffinity(thread, sizeof where, &where) == 0; }

}  // namespace

Caller Caller::here() { return {this_thread(), sched_getcpu()}; }

void Place::avoid(const Caller& caller) {
  const int processor = caller.processor;
  if (processor < 0 || processor >= CPU_SETSIZE || moving_.exchange(true, std::memory_order_acquire)) return;
  const int thread = thread_.load(std::memory_order_relaxed);
  cpu_set_t now, callers;
  if (ours(thread) && may_run(thread, now) && may_run(caller.thread, callers)) {
    if (of_ != thread || !CPU_EQUAL(&now, &latest_)) first_ = now;  // not moved, or bound by somebody since
    of_ = thread;
    CPU_AND(&latest_, &first_, &callers);
    CPU_CLR(processor, &latest_);
    if (!CPU_ISSET(processor, &first_) || !CPU_COUNT(&latest_) || sched_setaffinity(thread, sizeof latest_, &latest_))
      of_ = 0;
  }
  moving_.store(false, std::memory_order_release);
}

void Place::arrive(const Caller& caller) {
  const int thread = this_thread();
  if (thread_.load(std::memory_order_relaxed) != thread) thread_.store(thread, std::memory_order_relaxed);
  if (caller.processor >= 0 && sched_getcpu() == caller.processor) avoid(caller);
}

void Place::clear() {
  const int thread = thread_.load(std::memory_order_relaxed);
  if (thread && thread != this_thread()) avoid(Caller::here());
}

#else

Caller Caller::here() { return {0, -1}; }
void Place::arrive(const Caller&) {}
void Place::clear() {}

#endif

}  // namespace recurra
