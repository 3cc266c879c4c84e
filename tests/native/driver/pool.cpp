// A driver of the pool of threads, for the thread sanitizer (`make sanitize-threads`): what the kernels do with
// it, in small, and what goes wrong around it.
#include "pool.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <thread>
#include <vector>

namespace {

using recurra::Team;

void expect(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "pool: %s\n", what);
  std::exit(1);
}

// A recurrence in the kernels' manner: each part owns some units, and a step of one reads what the step
// before left in all. Plain memory: a race would be one of the pool's.
std::vector<long> steps(int threads, int groups, int count, unsigned manner = 0) {
  constexpr int units = 48;
  Team team(threads, manner);
  const int parts = team.threads();
  if (groups > parts) groups = 1;
  std::vector<long> state[2] = {std::vector<long>(units), std::vector<long>(units)};
  std::vector<int> at(static_cast<size_t>(parts));
  for (int n = 0; n < units; ++n) state[0][size_t(n)] = n;
  team.hold([&] {
    team.once([&](int part) {
      for (int n = units * part / parts; n < units * (part + 1) / parts; ++n) ++state[0][size_t(n)];
    });
    team.pieces(groups, [&](int part) {
      const int step = at[size_t(part)]++;
      int group = 0;
      while (part >= parts * (group + 1) / groups) ++group;
      const int first = units * (parts * group / groups) / parts, last = units * (parts * (group + 1) / groups) / parts;
      const std::vector<long>& from = state[step & 1];
      for (int n = units * part / parts; n < units * (part + 1) / parts; ++n) {
        long sum = from[size_t(n)];
        if (groups == 1)
          for (int k = first; k < last; ++k) sum = (sum * 31 + from[size_t(k)]) % 1000003;
        state[~step & 1][size_t(n)] = sum + step;
      }
      return step + 1 < count;
    });
  });
  return state[count & 1];
}

void same_for_any_threads() {
  const auto alone = steps(1, 1, 50);
  for (int round = 0; round < 40; ++round)
    for (const int threads : {2, 3, 8, 2})
      expect(steps(threads, 1, 50, round & 1 ? Team::brief : 0u) == alone, "another result in a group");
  const auto apart = steps(1, 1, 50).size();
  expect(apart == 48, "units");
  const auto halves = steps(2, 2, 50);
  for (int round = 0; round < 40; ++round) expect(steps(4, 2, 50) == steps(4, 4, 50), "another result in groups");
  expect(halves == steps(8, 8, 50), "another result in parts by themselves");
}

void many_callers() {
  const auto alone = steps(1, 1, 30);
  std::vector<std::thread> callers;
  for (int n = 0; n < 4; ++n)
    callers.emplace_back([&] {
      for (int round = 0; round < 30; ++round) expect(steps(3, 1, 30) == alone, "another result among callers");
    });
  for (auto& caller : callers) caller.join();
}

void nested() {
  const auto alone = steps(1, 1, 10);
  Team team(3);
  team.once([&](int) { expect(steps(2, 1, 10) == alone, "another result in a nested call"); });
}

void exceptions() {
  for (int thrower = 0; thrower < 3; ++thrower)
    for (int groups = 1; groups <= 3; groups += 2) {
      bool thrown = false;
      std::vector<int> at(3);
      try {
        Team team(3);
        team.pieces(groups, [&](int part) {
          if (part == thrower && at[size_t(part)] == 5) throw std::runtime_error("part");
          return ++at[size_t(part)] < 20;
        });
      } catch (const std::runtime_error&) {
        thrown = true;
      }
      expect(thrown, "what a part throws is lost");
      expect(steps(3, 1, 20) == steps(1, 1, 20), "another result after an exception");
    }
}

void ended_by_watch() {
  recurra::Watch::ask([] { throw std::runtime_error("asked"); });
  for (const int threads : {1, 3}) {
    bool thrown = false;
    try {
      Team team(threads);
      team.pieces(1, [](int) {
        usleep(2000);
        return true;  // for ever
      });
    } catch (const std::runtime_error&) {
      thrown = true;
    }
    expect(thrown, "a call goes on for ever");
    Team whole(threads, Team::whole);
    std::vector<int> at(static_cast<size_t>(threads));
    whole.pieces(1, [&](int part) {
      usleep(2000);
      return ++at[size_t(part)] < 50;
    });
  }
  recurra::Watch::ask(nullptr);
}

void forked() {
#if !defined(__SANITIZE_THREAD__)  // which does not follow a fork of many threads
  const auto alone = steps(1, 1, 30);
  for (int round = 0; round < 3; ++round) {
    const pid_t child = fork();
    if (child == 0) {
      std::thread other([&] { expect(steps(3, 1, 30) == alone, "another result in a thread of a child"); });
      expect(steps(3, 1, 30) == alone, "another result in a child");
      other.join();
      std::_Exit(0);
    }
    int status = 0;
    expect(waitpid(child, &status, 0) == child && status == 0, "a child failed");
    expect(steps(3, 1, 30) == alone, "another result after a fork");
  }
#endif
}

void asleep() {
  for (int round = 0; round < 20; ++round) {
    usleep(1000);  // workers sleep by then
    expect(steps(3, 1, 5) == steps(1, 1, 5), "another result after sleep");
  }
}

// A thread that is bound, or that somebody binds, stays where it is.
void places() {
#if defined(__linux__)
  cpu_set_t all, one;
  expect(sched_getaffinity(0, sizeof all, &all) == 0, "no affinity");
  if (CPU_COUNT(&all) < 2) return;
  int first = 0;
  while (!CPU_ISSET(first, &all)) ++first;
  CPU_ZERO(&one);
  CPU_SET(first, &one);
  const auto bind = [](const cpu_set_t& to) { expect(sched_setaffinity(0, sizeof to, &to) == 0, "not bound"); };
  const auto may = [](const cpu_set_t& where) {
    cpu_set_t now;
    return sched_getaffinity(0, sizeof now, &now) == 0 && CPU_EQUAL(&now, &where);
  };
  const int caller = recurra::Caller::here().thread;
  std::thread([&] {
    recurra::Place place;
    bind(one);
    place.arrive({caller, first});
    expect(may(one), "a bound thread was moved");
    bind(all);
    const int here = sched_getcpu();
    place.arrive({caller, here});
    expect(sched_getcpu() != here, "a thread stayed on the processor of another");
    cpu_set_t without = all;
    CPU_CLR(here, &without);
    expect(may(without), "a thread may run elsewhere than it should");
    const int there = sched_getcpu();
    place.arrive({caller, there});
    without = all;
    CPU_CLR(there, &without);
    expect(may(without), "a thread forgot where it may run");
    bind(all);
  }).join();
  std::thread([&] {  // a caller that is bound
    recurra::Place place;
    bind(one);
    const recurra::Caller bound = recurra::Caller::here();
    std::thread([&] {
      place.arrive(bound);
      expect(may(one), "a thread was moved where its caller may not run");
    }).join();
  }).join();
  std::thread([&] {
    recurra::Place place;
    std::atomic<int> turn{0};
    std::thread late([&] {
      place.arrive({0, -1});
      turn = 1;
      while (turn != 2) usleep(100);
      expect(!may(all), "an absent thread was not moved");
    });
    while (turn != 1) usleep(100);
    place.clear();
    turn = 2;
    late.join();
    expect(may(all), "the calling thread was moved");
  }).join();
#endif
}

}  // namespace

int main(int, char** arguments) {
  if (arguments[1]) recurra::limit_cores(std::atoi(arguments[1]));
  same_for_any_threads();
  many_callers();
  nested();
  exceptions();
  ended_by_watch();
  asleep();
  places();
  forked();
  std::puts("pool: good");
  return 0;  // with workers that look for work, or sleep
}
