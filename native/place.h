// Where a thread of the pool runs: not on the processor of the thread that waits for it.
//
// Linux may wake a thread on the processor of the one that wakes it, though another is idle, and leaves it there
// for milliseconds: the two then take turns, and a call on two threads takes as long as on one.
#pragma once

#include <atomic>
#if defined(__linux__)
#include <sched.h>
#endif

namespace recurra {

// The thread that others are to work for.
struct Caller {
  int thread;
  int processor;  // that it runs on; -1: unknown

  static Caller here();
};

class Place {
 public:
  // By the thread whose place this is: it has come, and moves if it is on the caller's processor.
  void arrive(const Caller& caller);

  // By the caller: moves the thread, which has not come, off the caller's processor.
  void clear();

 private:
#if defined(__linux__)
  // Lets the thread run on all processors but the caller's that both might run on at first, if there are any.
  void avoid(const Caller& caller);

  std::atomic<int> thread_{0};
  std::atomic<bool> moving_{false};
  // Where thread `of_` might run at first, and where it may since it was moved.
  int of_ = 0;
  cpu_set_t first_, latest_;
#endif
};

}  // namespace recurra
