// Streams that move on together, a step at a time: their states, and the weights packed.
#pragma once
#include <mutex>

#include "../pool.h"
#include "packed_weights.h"

namespace recurra {

template <class T>
class Stepper {
 public:
  Stepper(int index, const std::vector<long>& shape, int threads, const Addresses& parameters,
          const std::vector<long>& widths, bool half)
      : weights_(index, shape, threads, parameters, half, {0, 0, 0}), widths_(widths), threads_(threads) {
    check_sizes(shape);
    if (widths.empty() || widths.size() > size_t(most_states))
      throw std::length_error("a cell has one to four states");
    call_.shape = {1, shape.at(1), shape.at(2), shape.at(3), shape.at(4)};
    call_.half = half;
    call_.each = true;
    const size_t outputs[] = {size_t(call_.shape.batch), size_t(widths[0])};
    auto* y = new T[outputs[0] * outputs[1] + 1]();
    nb::capsule owner(y, [](void* mine) noexcept { delete[] static_cast<T*>(mine); });
    y_ = nb::cast(nb::ndarray<nb::numpy, T, nb::ndim<2>>(y, 2, outputs, owner));
    x_.resize(size_t(call_.shape.batch * call_.shape.inputs) + 1);
    call_.x = x_.data();
    call_.x_row = call_.shape.inputs;
    call_.y = y;
    call_.y_row = widths[0];
    brief_ = call_.shape.batch * call_.shape.hidden * (call_.shape.inputs + call_.shape.recurrent()) < brief;
    begin(1);
    for (size_t s = 0; s < widths.size(); ++s) put(s, std::vector<T>(size_t(call_.shape.batch * widths[s])));
    for (const long width : widths) start_.emplace_back(size_t(width));
  }

  // One step at a time: a stream has one order of steps, so threads that share it take turns from without.
  class Turn {
   public:
    explicit Turn(std::mutex& mutex) : lock_(mutex, std::try_to_lock) {
      if (!lock_.owns_lock())
        throw std::runtime_error("another thread is at a step of these streams: make a stepper for each thread");
    }

   private:
    const std::unique_lock<std::mutex> lock_;
  };

  // The outputs (B, R): always the same array, written over by the next step.
  nb::object step(Rows<T> x) {
    const Turn turn(mutex_);
    return advance(x);
  }

  // The same, before which the streams where `reset` (B) is set begin anew.
  nb::object step_anew(Rows<T> x, nb::handle reset) {
    if (reset.is_none()) return step(x);
    const size_t batch = size_t(call_.shape.batch);
    Flags rows;
    if (!nb::try_cast<Flags>(reset, rows, false) || rows.shape(0) != batch) {
      const std::string shape = "(" + std::to_string(batch) + ",)";
      throw std::invalid_argument("expected resets as an array of booleans of shape " + shape);
    }
    const auto anew = [&](size_t b) { return rows.data()[long(b) * rows.stride(0)]; };
    const Turn turn(mutex_);
    bool some = false;
    for (size_t b = 0; b < batch; ++b) some = some || anew(b);
    for (size_t s = 0; some && s < widths_.size(); ++s) {
      const size_t width = size_t(widths_[s]);
      std::vector<T> state(batch * width);
      kernels()->read_state(steps_, int(s), n_, state.data());
      for (size_t b = 0; b < batch; ++b)
        if (anew(b)) std::memcpy(state.data() + b * width, start_[s].data(), width * sizeof(T));
      put(s, state);
    }
    return advance(x);
  }

  // What streams begin with, (R) or (H); they begin with it now.
  void begin_with(int s, Address from) {
    const Turn turn(mutex_);
    std::vector<T>& row = start_[size_t(checked(s))];
    std::memcpy(row.data(), pointer<T>(from), row.size() * sizeof(T));
    std::vector<T> state;
    for (long b = 0; b < call_.shape.batch; ++b) state.insert(state.end(), row.begin(), row.end());
    put(size_t(s), state);
  }

  void read(int s, Address to) const {
    const Turn turn(mutex_);
    kernels()->read_state(steps_, checked(s), n_, pointer<T>(to));
  }
  void write(int s, Address from) {
    const Turn turn(mutex_);
    kernels()->write_state(steps_, checked(s), n_, pointer<T>(from));
  }

 private:
  using Flags = nb::ndarray<const bool, nb::ndim<1>, nb::device::cpu>;

  nb::object advance(const Rows<T>& x) {
    if (long(x.shape(0)) != call_.shape.batch || long(x.shape(1)) != call_.shape.inputs)
      throw std::invalid_argument("inputs of another shape than the stepper was made for");
    std::memcpy(x_.data(), x.data(), x.shape(0) * x.shape(1) * sizeof(T));
    if (brief_) {
      run();
    } else {
      nb::gil_scoped_release release;
      run();
    }
    n_ = 3 - n_;
    return y_;
  }

  // Weights below which giving the interpreter to others costs more than they would gain.
  static constexpr long brief = 1 << 14;

  void run() {
    Team team(threads_, Team::brief | Team::whole);
    if (team.threads() != begun_) begin_again(team.threads());
    const int pieces = kernels()->pieces(steps_);
    if (begun_ == 1) {
      for (int piece = 0; piece < pieces; ++piece) kernels()->step(steps_, n_, piece, 0);
      return;
    }
    team.hold([&] {
      for (int piece = 0; piece < pieces; ++piece)
        team.once([&](int thread) { kernels()->step(steps_, n_, piece, thread); });
    });
  }

  void put(size_t s, const std::vector<T>& state) { kernels()->write_state(steps_, int(s), n_, state.data()); }

  const Kernels<T>* kernels() const { return weights_.kernels(); }

  int checked(int s) const {
    if (s < 0 || size_t(s) >= widths_.size()) throw std::out_of_range("no such state");
    return s;
  }

  void begin(int threads) {
    steps_ = kernels()->begin(kernels()->program, weights_.get(), call_, memory_, threads);
    begun_ = threads;
  }

  // For another number of threads: there are fewer while somebody else has them.
  void begin_again(int threads) {
    std::vector<std::vector<T>> states;
    for (size_t s = 0; s < widths_.size(); ++s) {
      states.emplace_back(size_t(call_.shape.batch * widths_[s]));
      kernels()->read_state(steps_, int(s), n_, states.back().data());
    }
    memory_.reset();
    begin(threads);
    for (size_t s = 0; s < widths_.size(); ++s) put(s, states[s]);
  }

  PackedWeights<T> weights_;
  const std::vector<long> widths_;
  const int threads_;
  Arena memory_;
  Call<T> call_;
  std::vector<T> x_;
  std::vector<std::vector<T>> start_;  // by state
  nb::object y_;
  void* steps_ = nullptr;
  int begun_ = 0;  // for how many threads
  long n_ = 1;
  bool brief_ = false;
  mutable std::mutex mutex_;
};

}  // namespace recurra
