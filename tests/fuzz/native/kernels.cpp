// What the binding calls, by libFuzzer under the address and undefined-behaviour sanitizers: every array
// is a block of its own of exactly the size that the call says, so that one element too far is found.
// The sizes, options and layouts of a call are read from the input; what must hold besides: results do
// not depend on the number of threads.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "cells_of_fuzz.h"
#include "input.h"
#include "isa.h"
#include "pool.h"

namespace {

using namespace recurra;

template <class T>
void layer(Input& in, const Isa& isa) {
  const int index = int(in.byte() % fuzz_cell_count);
  const FuzzCell& cell = fuzz_cells[index];
  const Kernels<T>* kernels = table<T>(isa, index);
  Numbers numbers{in.byte() + 1u, in.byte() % 4 == 0};
  Call<T> call;
  Shape& s = call.shape;
  s.steps = in.upto(12);
  s.batch = in.upto(70);
  s.inputs = 1 + in.upto(80);
  s.hidden = 1 + in.upto(90);
  s.projection = cell.projects ? 1 + in.upto(40) : 0;
  call.threads = 1 + int(in.byte() % 3);
  call.reverse = in.maybe();
  call.half = in.byte() % 4 == 0 && sizeof(T) == 4 && isa.half();
  const bool lookup = !cell.normed && in.byte() % 4 == 0;
  const long V = lookup ? 1 + in.upto(40) : 0, R = s.recurrent();
  call.symbols = V;

  const Laid from(lookup ? 1 : s.steps, lookup ? V : s.batch, s.inputs, in);
  const Block<T> x = block<T>(from.count, numbers);
  call.x = x.get();
  call.x_step = lookup ? 0 : from.step;
  call.x_row = from.row;
  Block<int64_t> tokens;
  if (lookup) {
    tokens.reset(new int64_t[size_t(s.steps * s.batch)]);
    for (long n = 0; n < s.steps * s.batch; ++n) tokens[size_t(n)] = in.byte() % V;
    call.tokens = tokens.get();
  }
  std::vector<Block<T>> kept;
  std::vector<long> sizes;
  const auto fresh = [&](long count) {
    kept.push_back(block<T>(count, numbers));
    return kept.back().get();
  };
  for (int p = 0; p < cell.parameters; ++p) {
    sizes.push_back(fuzz_size(cell, p, s.inputs, s.hidden, s.projection, R));
    const bool bias = cell.shape[p].bias;
    call.parameter[p] = bias && in.byte() % 8 == 0 ? nullptr : fresh(sizes.back());
  }
  const auto width = [&](int state) { return state == 0 ? R : s.hidden; };
  for (int n = 0; n < cell.states; ++n)
    if (in.maybe()) call.initial[n] = fresh(s.batch * width(n));
  Block<unsigned char> valid;
  if (in.byte() % 3 == 0) {
    valid.reset(new unsigned char[size_t(s.steps * s.batch)]);
    for (long n = 0; n < s.steps * s.batch; ++n) valid[size_t(n)] = in.byte() % 3 != 0;
    call.valid = valid.get();
  }
  if (in.byte() % 4 == 0) call.recurrent_mask = fresh(s.batch * R);
  Call<T> saving;
  saving.shape = s;
  saving.valid = call.valid;
  if (in.byte() % 4 == 0) {
    for (int n = 0; n < cell.states; ++n) {
      if (in.maybe()) {
        call.keep[n] = fresh(s.steps * s.batch * width(n));
      } else {
        call.keep_rate[n] = T(in.byte()) / 255;
      }
      saving.keep_rate[n] = call.keep[n] || call.keep_rate[n] != 0 ? 1 : 0;
    }
  }
  const Laid to(s.steps, s.batch, R, in);
  const Block<T> y = block<T>(to.count, numbers);
  call.y = y.get();
  call.y_step = to.step;
  call.y_row = to.row;
  for (int n = 0; n < cell.states; ++n)
    if (in.maybe()) call.last[n] = fresh(s.batch * width(n));
  const bool training = in.maybe();
  if (training) call.saved = fresh(kernels->saved_size(kernels->program, saving));

  Arena memory, weights;
  const void* packed = in.maybe() ? kernels->pack(kernels->program, call, weights) : nullptr;
  kernels->forward(kernels->program, packed, call, memory);
  memory.reset();
  if (!numbers.odd) {
    const std::vector<T> once(y.get(), y.get() + to.count);
    Call<T> again = call;
    again.threads = 4 - call.threads;
    kernels->forward(kernels->program, nullptr, again, memory);
    memory.reset();
    expect(once.empty() || std::memcmp(once.data(), y.get(), once.size() * sizeof(T)) == 0,
           "outputs that depend on threads or on packing");
  }
  if (!training) return;

  const Laid given(s.steps, s.batch, R, in);
  if (in.byte() % 8) {
    call.dy = fresh(given.count);
    call.dy_step = given.step;
    call.dy_row = given.row;
  }
  const Laid back(lookup ? 1 : s.steps, lookup ? V : s.batch, s.inputs, in);
  if (in.maybe() && !(lookup && !(s.steps && s.batch))) {
    call.dx = fresh(back.count);
    call.dx_step = lookup ? 0 : back.step;
    call.dx_row = back.row;
  }
  for (int n = 0; n < cell.states; ++n) {
    if (in.maybe()) call.dlast[n] = fresh(s.batch * width(n));
    if (in.maybe()) call.dinitial[n] = fresh(s.batch * width(n));
    if (in.byte() % 4 == 0) call.dstate[n] = fresh(s.steps * s.batch * padded(width(n)));
  }
  for (int p = 0; p < cell.parameters; ++p)
    if (in.maybe()) call.dparameter[p] = fresh(sizes[size_t(p)]);
  call.fresh = in.maybe();
  kernels->backward(kernels->program, call, memory);
}

// Streams, step by step, with their states read and written in between.
template <class T>
void stream(Input& in, const Isa& isa) {
  const int index = int(in.byte() % fuzz_cell_count);
  const FuzzCell& cell = fuzz_cells[index];
  const Kernels<T>* kernels = table<T>(isa, index);
  Numbers numbers{in.byte() + 1u, in.byte() % 4 == 0};
  Call<T> call;
  Shape& s = call.shape;
  s.steps = 1;
  s.batch = 1 + in.upto(20);
  s.inputs = 1 + in.upto(60);
  s.hidden = 1 + in.upto(90);
  s.projection = cell.projects ? 1 + in.upto(40) : 0;
  call.each = true;
  const long R = s.recurrent();
  std::vector<Block<T>> kept;
  for (int p = 0; p < cell.parameters; ++p) {
    kept.push_back(block<T>(fuzz_size(cell, p, s.inputs, s.hidden, s.projection, R), numbers));
    call.parameter[p] = kept.back().get();
  }
  const Block<T> x = block<T>(s.batch * s.inputs, numbers), y = block<T>(s.batch * R, numbers);
  call.x = x.get();
  call.x_row = s.inputs;
  call.y = y.get();
  call.y_row = R;
  Arena memory, weights;
  const void* packed = kernels->pack(kernels->program, call, weights);
  void* steps = kernels->begin(kernels->program, packed, call, memory, 1);
  long n = 1;
  for (int state = 0; state < cell.states; ++state) {
    const Block<T> start = block<T>(s.batch * (state ? s.hidden : R), numbers);
    kernels->write_state(steps, state, n, start.get());
  }
  for (long count = in.upto(6); count-- > 0; n = 3 - n) {
    for (int piece = 0; piece < kernels->pieces(steps); ++piece) kernels->step(steps, n, piece, 0);
    const int state = int(in.byte()) % cell.states;
    const Block<T> held = block<T>(s.batch * (state ? s.hidden : R), numbers);
    kernels->read_state(steps, state, 3 - n, held.get());
    if (in.maybe()) kernels->write_state(steps, state, 3 - n, held.get());
  }
}

template <class T>
void loss(Input& in, const Isa& isa) {
  LossKernels<T> kernels;
  if constexpr (sizeof(T) == 4) {
    kernels = isa.loss;
  } else {
    kernels = isa.loss64;
  }
  Numbers numbers{in.byte() + 1u, in.byte() % 4 == 0};
  LossCall<T> call;
  call.rows = in.upto(90);
  call.features = 1 + in.upto(90);
  call.tokens = 1 + in.upto(300);
  call.threads = 1 + int(in.byte() % 3);
  call.half = in.byte() % 4 == 0 && sizeof(T) == 4 && isa.half();
  call.x_row = call.features + (in.maybe() ? 5 : 0);
  const long N = call.rows, H = call.features, V = call.tokens;
  const Block<T> x = block<T>(N ? (N - 1) * call.x_row + H : 0, numbers), weight = block<T>(V * H, numbers);
  const Block<T> bias = block<T>(V, numbers);
  Block<int64_t> target(new int64_t[size_t(N)]);
  Block<unsigned char> counted(new unsigned char[size_t(N)]);
  for (long n = 0; n < N; ++n) {
    counted[size_t(n)] = in.byte() % 3 != 0;
    target[size_t(n)] = counted[size_t(n)] ? int64_t(in.byte()) % V : -100;
  }
  const bool all = in.maybe();
  for (long n = 0; all && n < N; ++n) target[size_t(n)] = n % V;
  call.x = x.get();
  call.weight = weight.get();
  call.bias = in.maybe() ? bias.get() : nullptr;
  call.target = target.get();
  call.counted = all ? nullptr : counted.get();
  const Block<T> losses = block<T>(N, numbers), spread = block<T>(2 * N, numbers);
  call.loss = losses.get();
  call.spread = spread.get();
  Arena memory;
  kernels.forward(call, memory);
  memory.reset();
  const Block<T> dloss = block<T>(N, numbers), dx = block<T>(N * H, numbers), dweight = block<T>(V * H, numbers);
  const Block<T> dbias = block<T>(V, numbers);
  call.dloss = dloss.get();
  call.dx = in.maybe() ? dx.get() : nullptr;
  call.dweight = in.maybe() ? dweight.get() : nullptr;
  call.dbias = in.maybe() ? dbias.get() : nullptr;
  kernels.backward(call, memory);
}

template <class T>
void update(Input& in, const Isa& isa) {
  UpdateKernels<T> kernels;
  if constexpr (sizeof(T) == 4) {
    kernels = isa.update;
  } else {
    kernels = isa.update64;
  }
  Numbers numbers{in.byte() + 1u, in.byte() % 4 == 0};
  std::vector<Updated<T>> all(size_t(in.upto(6)));
  std::vector<Block<T>> kept;
  std::vector<Block<float>> steps;
  for (Updated<T>& one : all) {
    one.size = in.upto(3000);
    for (T** place : {&one.weight, &one.mean, &one.square}) {
      kept.push_back(block<T>(one.size, numbers));
      *place = kept.back().get();
    }
    kept.push_back(block<T>(one.size, numbers));
    one.gradient = kept.back().get();
    steps.push_back(block<float>(1, numbers));
    steps.back()[0] = float(in.byte());
    one.step = steps.back().get();
    one.decay = in.byte() / 255.0;
  }
  UpdateCall<T> call;
  call.parameter = all.data();
  call.count = long(all.size());
  call.threads = 1 + int(in.byte() % 3);
  call.lr = in.byte() / 255.0;
  call.beta1 = in.byte() / 256.0;
  call.beta2 = in.byte() / 256.0;
  call.epsilon = 1e-8;
  call.decoupled = in.maybe();
  Arena memory;
  kernels.squares(call, memory);
  kernels.step(call);
}

template <class T>
void products(Input& in, const Isa& isa) {
  Numbers numbers{in.byte() + 1u, in.byte() % 4 == 0};
  Matrices<T> m;
  m.count = in.upto(5);
  m.rows = in.upto(40);
  m.depth = in.upto(80);
  m.columns = in.upto(80);
  m.a_row = m.depth + (in.maybe() ? 2 : 0);
  m.a_step = in.maybe() ? 0 : m.rows * m.a_row;
  const bool turned = in.maybe();  // b's columns lie side by side, or its rows
  m.b_row = turned ? 1 : m.columns + (in.maybe() ? 3 : 0);
  m.b_column = turned ? m.depth + (in.maybe() ? 3 : 0) : 1;
  m.b_step = in.maybe() ? 0 : (turned ? m.columns * m.b_column : m.depth * m.b_row);
  m.c_row = m.columns;
  m.c_step = m.rows * m.columns;
  if (!m.count || !m.rows || !m.depth || !m.columns) return;  // native/product.py answers those itself
  const long last = m.count - 1;
  const Block<T> a = block<T>(last * m.a_step + (m.rows - 1) * m.a_row + m.depth, numbers);
  const Block<T> b = block<T>(last * m.b_step + (m.depth - 1) * m.b_row + (m.columns - 1) * m.b_column + 1, numbers);
  const Block<T> c = block<T>(m.count * m.c_step, numbers);
  m.a = a.get();
  m.b = b.get();
  m.c = c.get();
  const long half = m.count / 2;
  if constexpr (sizeof(T) == 4) {
    isa.products(m, 0, half);
    isa.products(m, half, m.count);
  } else {
    isa.products64(m, 0, half);
    isa.products64(m, half, m.count);
  }
}

template <class T>
void function(Input& in, const Isa& isa) {
  static const char* const names[] = {"exp", "tanh", "sigmoid", "relu", "softsign", "softplus", "hard_sigmoid", "none", ""};
  const char* name = names[in.byte() % (sizeof names / sizeof *names)];
  Numbers numbers{in.byte() + 1u, in.maybe()};
  const long n = in.upto(300);
  const Block<T> from = block<T>(n, numbers), to = block<T>(n, numbers);
  for (long k = 0; k < n && k < 16; ++k) {
    uint64_t bits = 0;
    for (int b = 0; b < 8; ++b) bits = bits << 8 | in.byte();
    std::memcpy(&from[size_t(k)], &bits, sizeof(T));  // any number there is
  }
  if constexpr (sizeof(T) == 4) {
    isa.function(name, from.get(), to.get(), n);
  } else {
    isa.function64(name, from.get(), to.get(), n);
  }
}

// The output layer of one stream.
void head(Input& in, const Isa& isa) {
  Numbers numbers{in.byte() + 1u, in.byte() % 4 == 0};
  const long tokens = 1 + in.upto(300), features = 1 + in.upto(90);
  const int threads = 1 + int(in.byte() % 3);
  const Block<float> weight = block<float>(tokens * features, numbers), bias = block<float>(tokens, numbers);
  Arena memory;
  void* packed = isa.pack_head(weight.get(), in.maybe() ? bias.get() : nullptr, tokens, features, memory);
  const Block<float> x = block<float>(features, numbers), logits = block<float>(padded(tokens), numbers);
  for (int thread = 0; thread < threads; ++thread) isa.head(packed, x.get(), logits.get(), thread, threads);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input in(data, size);
  const Isa* const* isas = runnable_isas();
  int count = 0;
  while (isas[count]) ++count;
  const Isa& isa = *isas[in.byte() % unsigned(count)];
  const char* only = std::getenv("FUZZ_ENTRY");
  const unsigned chosen = in.byte();
  const unsigned entry = only ? unsigned(std::atoi(only)) : chosen % 13;
  switch (entry) {
    case 0: layer<float>(in, isa); break;
    case 1: layer<double>(in, isa); break;
    case 2: stream<float>(in, isa); break;
    case 3: stream<double>(in, isa); break;
    case 4: loss<float>(in, isa); break;
    case 5: loss<double>(in, isa); break;
    case 6: update<float>(in, isa); break;
    case 7: update<double>(in, isa); break;
    case 8: products<float>(in, isa); break;
    case 9: products<double>(in, isa); break;
    case 10: function<float>(in, isa); break;
    case 11: function<double>(in, isa); break;
    default: head(in, isa); break;
  }
  return 0;
}
