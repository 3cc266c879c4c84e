// Many threads write with one model and step streams of it, for the thread sanitizer: tools/thread_sanitizer_writing.py.
//
// Every text has to be the one that a thread alone writes. Says "the same" and returns 0, or the first
// that differs and 1; data races are the sanitizer's to report.
#include <cstdio>
#include <random>
#include <thread>

#include "streams.h"
#include "writer.h"

using namespace recurra;

namespace {

constexpr long symbols = 61, inputs = 24, hidden = 48, tokens = 40, batch = 64;

std::mt19937 generator(7);

std::vector<float> drawn(long count) {
  std::uniform_real_distribution<float> uniform(-0.3f, 0.3f);
  std::vector<float> found(static_cast<size_t>(count));
  for (float& value : found) value = uniform(generator);
  return found;
}

void exponentials(const double* from, double* to, long n) { choose_isa(nullptr)->function64("exp", from, to, n); }

struct Model {
  const Isa* isa = choose_isa(nullptr);
  const Kernels<float>* kernels = isa->single(0);
  Arena memory;
  std::vector<std::vector<float>> kept;  // parameters, as the kernels know them by address
  std::vector<Shape> shapes;
  std::vector<std::unique_ptr<Writer>> writers;
  std::unique_ptr<Streams> streams;
  int states = 0;

  PackedLayer layer(long width, bool first) {
    Call<float> call;
    call.shape = {0, 1, width, hidden, 0};
    call.threads = 1;
    // As many gates as any cell has, and all parameters that one can: what is not read does no harm.
    for (const long size : {8 * hidden * width, 8 * hidden * hidden}) kept.push_back(drawn(size));
    for (int n = 2; n < most_parameters; ++n) kept.push_back(drawn(8 * hidden));
    for (int n = 0; n < most_parameters; ++n) call.parameter[n] = kept[kept.size() - most_parameters + size_t(n)].data();
    if (first) {
      kept.push_back(drawn(symbols * width));
      call.x = kept.back().data();
      call.x_row = width;
      call.symbols = symbols;
    }
    return {kernels, kernels->pack(kernels->program, call, memory), call.shape, false};
  }

  explicit Model(int threads) {
    kept.reserve(1000);
    std::vector<PackedLayer> layers = {layer(inputs, true), layer(hidden, false)};
    kept.push_back(drawn(symbols * hidden));
    kept.push_back(drawn(symbols));
    void* head = isa->pack_head(kept[kept.size() - 2].data(), kept.back().data(), symbols, hidden, memory);
    const Output output{isa, head, symbols, hidden};
    streams = std::make_unique<Streams>(layers, std::vector<double>{}, true, output, symbols, threads);
    writers.push_back(std::make_unique<Writer>(layers, std::vector<double>{}, true, output, threads));
  }

  std::vector<int64_t> write(long seed) {
    Chooser chooser(symbols, false, 1.0, symbols, {}, exponentials);
    std::vector<float> zeros(hidden, 0.0f);
    std::vector<float> history(2 * most_states * tokens * hidden);
    Writer::Given given(2);
    Writer::Taken taken(2);
    for (size_t k = 0; k < 2; ++k)
      for (size_t s = 0; s < size_t(most_states); ++s) {
        given[k].push_back(zeros.data());
        taken[k].push_back(history.data() + (k * most_states + s) * tokens * hidden);
      }
    std::vector<double> uniforms(tokens), found(tokens);
    std::mt19937_64 random(static_cast<unsigned long>(seed));
    for (double& u : uniforms) u = std::uniform_real_distribution<double>(0, 1)(random);
    std::vector<int64_t> ids(tokens, -1);
    writers[0]->write(seed % symbols, given, taken, chooser, uniforms.data(), tokens, ids.data(), found.data());
    return ids;
  }

  // The logits of a step of many streams, and the outputs of some steps more.
  std::vector<float> step(long seed) {
    std::vector<float> zeros(batch * hidden, 0.0f), after(4 * most_states * batch * hidden);
    std::vector<float> found(batch * symbols + 3 * batch * hidden);
    Stack::Given given(2), then(2);
    Stack::Taken taken(2), last(2);
    for (size_t k = 0; k < 2; ++k)
      for (size_t s = 0; s < size_t(most_states); ++s) {
        float* const at = after.data() + (k * most_states + s) * 2 * batch * hidden;
        given[k].push_back(zeros.data());
        taken[k].push_back(at);
        then[k].push_back(at);
        last[k].push_back(at + batch * hidden);
      }
    std::vector<int64_t> read(3 * batch);
    for (size_t n = 0; n < read.size(); ++n) read[n] = (seed + 7 * int64_t(n)) % symbols;
    Arena work;
    streams->step(batch, {read.data(), nullptr}, given, taken, found.data(), work);
    work.reset();
    streams->read(3, batch, {read.data(), nullptr}, nullptr, then, last, found.data() + batch * symbols, work);
    return found;
  }
};

}  // namespace

int main() {
  for (const int each : {1, 3}) {  // threads of a writer, beside those that call it
    Model model(each);
    std::vector<std::vector<int64_t>> expected;
    std::vector<std::vector<float>> stepped;
    for (long seed = 0; seed < 8; ++seed) expected.push_back(model.write(seed));
    for (long seed = 0; seed < 8; ++seed) stepped.push_back(model.step(seed));
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (int n = 0; n < 4; ++n)
      threads.emplace_back([&, n] {
        for (long turn = 0; turn < 24; ++turn) {
          const long seed = (turn + 3 * n) % 8;
          if (model.write(seed) != expected[size_t(seed)]) ++wrong;
          if (model.step(seed) != stepped[size_t(seed)]) ++wrong;
        }
      });
    for (std::thread& thread : threads) thread.join();
    if (wrong) {
      std::printf("%d texts differ, with %d threads each\n", wrong.load(), each);
      return 1;
    }
  }
  std::printf("the same\n");
  return 0;
}
