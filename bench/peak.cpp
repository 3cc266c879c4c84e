// How many multiply-adds of float32 the processors do: BITS-wide vectors, COUNT independent sums.
// Usage: peak THREADS; prints GFLOP/s, the best of 40 short runs.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>
#ifdef __linux__
#include <sched.h>
#endif

typedef float V __attribute__((vector_size(BITS / 8)));
using Clock = std::chrono::steady_clock;

// A processor starts two a cycle and finishes one after about four: from eight sums on none waits.
static V burn(long rounds, V a, V b) {
    V sums[COUNT];
    for (int k = 0; k < COUNT; ++k) sums[k] = a + float(k);
    for (long n = 0; n < rounds; ++n) {
#pragma GCC unroll 32
        for (int k = 0; k < COUNT; ++k) sums[k] = sums[k] * a + b;
    }
    V all = sums[0];
    for (int k = 1; k < COUNT; ++k) all += sums[k];
    return all;
}

static void pin(int number) {
#ifdef __linux__
    cpu_set_t allowed, one;
    if (sched_getaffinity(0, sizeof allowed, &allowed)) return;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (!CPU_ISSET(cpu, &allowed) || number-- > 0) continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        sched_setaffinity(0, sizeof one, &one);
        return;
    }
#else
    (void)number;
#endif
}

static volatile float sink;

static double run(int threads, long rounds) {
    std::atomic<int> waiting{threads};
    std::vector<Clock::time_point> begin(threads), end(threads);
    auto work = [&](int number) {
        pin(number);
        V a = V{} + 0.5f, b = V{} + 0.25f;
        waiting.fetch_sub(1);
        while (waiting.load() > 0) {}
        begin[number] = Clock::now();
        V all = burn(rounds, a, b);
        end[number] = Clock::now();
        sink = all[0];
    };
    std::vector<std::thread> others;
    for (int t = 0; t < threads; ++t) others.emplace_back(work, t);
    for (auto& thread : others) thread.join();
    auto first = *std::min_element(begin.begin(), begin.end());
    auto last = *std::max_element(end.begin(), end.end());
    double seconds = std::chrono::duration<double>(last - first).count();
    return 2.0 * rounds * COUNT * (BITS / 32) * threads / seconds / 1e9;
}

int main(int, char** arguments) {
    int threads = std::atoi(arguments[1]);
    std::vector<double> rates;
    for (int n = 0; n < 40; ++n) rates.push_back(run(threads, 2000000));
    std::sort(rates.begin(), rates.end());
    std::printf("%.1f %.1f\n", rates.back(), rates[rates.size() / 2]);
}
