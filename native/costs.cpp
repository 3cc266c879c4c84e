#include "costs.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include "pool.h"

namespace recurra {

namespace {

using Clock = std::chrono::steady_clock;

double microseconds_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
}

// Additions one after the other: one takes about four cycles.
void chain(int additions) {
  double sum = 1;
  for (int n = 0; n < additions; ++n) {
    sum += 1e-9;
#if defined(__aarch64__)
    asm volatile("" : "+w"(sum));
#else
    asm volatile("" : "+x"(sum));
#endif
  }
}

constexpr double least_cycle = 0.15, least_waking = 40, longest = 400;  // ns, us, us
constexpr int additions = 40000, pieces = 64, tries = 3;

// The best of some tries: what a neighbour takes of one is no property of the machine, what he takes of all is.
bool measure(Costs& found) {
  Team team(2, Team::whole);
  if (team.threads() != 2) return false;
  found.meeting = found.waking = 1e9;
  found.gain = 1;
  double alone = 1e9;
  for (int k = 0; k < tries; ++k) {
    const auto begin = Clock::now();
    chain(additions);
    alone = std::min(alone, microseconds_since(begin));
  }
  const std::thread::id mine = std::this_thread::get_id();
  for (int k = 0; k < tries; ++k) {
    const auto begin = Clock::now();
    team.hold([&] {
      // Whoever makes a call does all of it where nobody else comes.
      std::atomic<bool> there{false};
      team.pieces(1, [&](int) {
        if (std::this_thread::get_id() != mine) there.store(true, std::memory_order_relaxed);
        return !there.load(std::memory_order_relaxed) && microseconds_since(begin) < longest;
      });
      if (!there.load(std::memory_order_relaxed)) return;
      found.waking = std::min(found.waking, microseconds_since(begin));
      int done[2 * 64] = {};
      auto start = Clock::now();
      team.pieces(1, [&](int part) { return ++done[64 * part] < pieces; });
      found.meeting = std::min(found.meeting, microseconds_since(start) / pieces);
      start = Clock::now();
      team.once([&](int) { chain(additions); });
      found.gain = std::max(found.gain, 2 * alone / microseconds_since(start));
    });
  }
  found.waking = std::min(found.waking, longest);
  found.meeting = std::min(found.meeting, longest);
  found.cycle = std::min(std::max(alone * 1000 / (4.0 * additions), least_cycle), 2.0);
  // After the first try threads look out for work for a while: those of a call may sleep.
  found.waking = std::max(found.waking, least_waking);
  found.measured = true;
  return true;
}

std::mutex mutex;
Costs known;
Clock::time_point when;

}  // namespace

Costs costs() {
  if (cores() < 2) return {};
  const std::unique_lock<std::mutex> lock(mutex, std::try_to_lock);
  if (!lock.owns_lock()) return {};  // somebody is at it
  const auto age = std::chrono::milliseconds(known.waking < longest ? 3000 : 300);  // nobody came: for how long?
  if (!known.measured || Clock::now() - when > age) {
    Costs found;
    if (measure(found)) known = found;
    when = Clock::now();
  }
  return known;
}

namespace {

constexpr double long_enough = 3000;

// Microseconds. A core reaches this share of what it could do: on Sapphire Rapids and on Ice Lake.
double work_of(const Step& step, double cycle) {
  return step.products * cycle * 1e-3 / (step.per_cycle * (step.single ? 0.43 : 0.7));
}

}  // namespace

bool too_small(const Step& step, double steps) { return work_of(step, least_cycle) * steps < least_waking; }

Choice choose(const Costs& costs, const Step& step, double steps, int most) {
  if (most < 2) return {1, false};
  const double work = work_of(step, costs.cycle);
  if (work * steps < costs.waking || costs.gain < 1.25) return {1, true, work * steps};
  const bool brief = work * steps < long_enough;
  if (step.by_rows) return {most, brief, work * steps};
  const double paid = work / (costs.meeting * step.meetings + 0.95e-3 * step.states);
  return {paid < 2 ? 1 : paid < most ? int(paid) : most, brief, work * steps};
}

}  // namespace recurra
