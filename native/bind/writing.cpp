// Text written token by token: layers, output layer and choice in one loop, without Python between.
#include <memory>

#include "../chooser.h"
#include "../pool.h"
#include "packed_weights.h"

namespace recurra {

namespace {

using Row = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Numbers = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using State = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

void exponentials(const double* from, double* to, long n) { chosen->function64("exp", from, to, n); }

template <class T>
T* owned(nb::list& to, const std::vector<size_t>& shape) {
  size_t count = 1;
  for (const size_t size : shape) count *= size;
  T* values = new T[count ? count : 1];
  nb::capsule owner(values, [](void* mine) noexcept { delete[] static_cast<T*>(mine); });
  to.append(nb::ndarray<nb::numpy, T>(values, shape.size(), shape.data(), owner));
  return values;
}

class Choosing {
 public:
  Choosing(long symbols, bool greedy, double temperature, long top_k, std::vector<long> banned)
      : symbols_(symbols), chooser_(symbols, greedy, temperature, top_k, std::move(banned), exponentials) {}

  // A token, or -1, and its log probability.
  std::tuple<long, double> choose(Row logits, double uniform) {
    if (long(logits.shape(0)) != symbols_) throw std::invalid_argument("logits of another vocabulary");
    double log_probability = 0;
    const long id = chooser_.choose(logits.data(), uniform, &log_probability);
    return {id, log_probability};
  }

  Chooser& chooser() { return chooser_; }
  long symbols() const { return symbols_; }

 private:
  const long symbols_;
  Chooser chooser_;
};

class Writing {
 public:
  Writing(std::vector<const PackedWeights<float>*> layers, const std::vector<double>& rates, bool residual,
          State weight, Row bias, int threads)
      : layers_(std::move(layers)), rates_(rates), residual_(residual), threads_(threads),
        symbols_(long(weight.shape(0))), isa_(chosen) {
    const auto fits = [](bool good) {
      if (!good) throw std::invalid_argument("layers and output layer do not fit together");
    };
    fits(!layers_.empty() && layers_[0]->symbols() == symbols_ && long(bias.shape(0)) == symbols_);
    for (size_t k = 0; k < layers_.size(); ++k) {
      fits(k == 0 || layers_[k]->shape().inputs == layers_[k - 1]->shape().recurrent());
      fits(!residual || k == 0 || layers_[k]->shape().recurrent() == layers_[k]->shape().inputs);
    }
    fits(long(weight.shape(1)) == layers_.back()->shape().recurrent());
    head_ = isa_->pack_head(weight.data(), bias.data(), symbols_, long(weight.shape(1)), memory_);
    logits_ = memory_.take<float>(symbols_ + 16);
  }

  // The logits of rows of features, each by itself.
  nb::ndarray<nb::numpy, float, nb::ndim<2>> logits(State x) {
    if (long(x.shape(1)) != layers_.back()->shape().recurrent())
      throw std::invalid_argument("features of another shape than the output layer's");
    const size_t rows = x.shape(0), tokens = size_t(symbols_), shape[] = {rows, tokens};
    auto* values = new float[rows * tokens + 1];
    nb::capsule owner(values, [](void* mine) noexcept { delete[] static_cast<float*>(mine); });
    for (size_t b = 0; b < rows; ++b) {
      isa_->head(head_, x.data() + b * x.shape(1), logits_, 0, 1);
      std::memcpy(values + b * tokens, logits_, tokens * sizeof(float));
    }
    return nb::ndarray<nb::numpy, float, nb::ndim<2>>(values, 2, shape, owner);
  }

  // Reads a token from a state (per layer its states, (1, R) or (1, H)), chooses the next, reads that,
  // and so on, for as many as there are numbers in `uniforms`. Returns the tokens, their log
  // probabilities, and by layer and state what it was when each was chosen, (tokens, R or H).
  // Stops early, with fewer tokens, where nothing can be chosen.
  nb::tuple write(long token, const std::vector<std::vector<State>>& state, Choosing& choosing, Numbers uniforms) {
    const size_t count = uniforms.shape(0);
    if (token < 0 || token >= symbols_ || choosing.symbols() != symbols_ || state.size() != layers_.size())
      throw std::invalid_argument("a token or a state of another model");
    nb::list found, history;
    auto* ids = owned<int64_t>(found, {count});
    auto* log_probabilities = owned<double>(found, {count});
    std::vector<std::vector<float*>> states(layers_.size());
    for (size_t k = 0; k < layers_.size(); ++k) {
      const Shape& shape = layers_[k]->shape();
      nb::list of_layer;
      if (state[k].empty() || state[k].size() > size_t(most_states))
        throw std::invalid_argument("a state of another model");
      for (size_t s = 0; s < state[k].size(); ++s) {
        const size_t width = size_t(s == 0 ? shape.recurrent() : shape.hidden);
        if (state[k][s].shape(0) != 1 || state[k][s].shape(1) != width)
          throw std::invalid_argument("a state of another model");
        states[k].push_back(owned<float>(of_layer, {count, width}));
      }
      history.append(of_layer);
    }
    size_t done = 0;
    {
      nb::gil_scoped_release release;
      std::vector<int64_t> read(count + 1, token);
      const auto choose = [&](size_t n) {
        read[n + 1] = choosing.chooser().choose(logits_, uniforms.data()[n], log_probabilities + n);
        if (read[n + 1] < 0) return false;
        ids[n] = read[n + 1];
        done = n + 1;
        return true;
      };
      run(count, read.data(), state, states, choose);
    }
    return nb::make_tuple(done, found[0], found[1], history);
  }

 private:
  struct Layer {
    const Kernels<float>* kernels;
    void* steps;      // what `begin` returned
    int threads;      // how many go through it
    const float* x;   // inputs of all steps, where they are no tokens
    const float* y;   // outputs of all steps: the cell's state
    float* sum;       // y + x, where that is what goes on; else null
    long outputs;

    const float* out() const { return sum ? sum : y; }
    void add(long n) const {
      for (long u = n * outputs; u < (n + 1) * outputs; ++u) sum[u] = y[u] + x[u];
    }
  };

  struct Piece {
    const Layer* layer;  // null: the output layer
    int number;          // of the layer's pieces, or -1: the sum with its input
  };

  // `count` steps of all layers and the output layer; `choose(n)` finds the token that step n + 1 reads,
  // or that there is none. The threads stay for all of it: waking them takes as long as a step does.
  template <class Choose>
  void run(size_t count, const int64_t* read, const std::vector<std::vector<State>>& given,
           const std::vector<std::vector<float*>>& states, Choose choose) {
    struct Resetting {
      Arena& arena;
      ~Resetting() { arena.reset(); }
    } const resetting{work_};
    const long features = layers_.back()->shape().recurrent();
    bool shared = symbols_ * features >= many;
    for (const auto* layer : layers_) shared = shared || shares(layer->shape());
    Team team(shared ? threads_ : 1, Team::brief);
    const int threads = team.threads();
    std::vector<Layer> layers;
    for (size_t k = 0; k < layers_.size(); ++k)
      layers.push_back(begin(k, count, read, k ? layers.back().out() : nullptr, given[k], states[k], threads));
    const int choosing = symbols_ * features >= many ? threads : 1;
    // What a token takes, one after the other; threads meet after each.
    std::vector<Piece> pieces;
    for (const Layer& layer : layers) {
      for (int piece = 0; piece < layer.kernels->pieces(layer.steps); ++piece) pieces.push_back({&layer, piece});
      if (layer.sum) pieces.push_back({&layer, -1});
    }
    if (choosing > 1) pieces.push_back({nullptr, 0});
    bool go = true;
    const auto advance = [&](size_t n, size_t k, int thread) {
      if (k == pieces.size()) {
        if (thread) return;
        if (choosing == 1) isa_->head(head_, layers.back().out() + long(n) * features, logits_, 0, 1);
        go = choose(n);
      } else if (const auto [layer, piece] = pieces[k]; !layer) {
        isa_->head(head_, layers.back().out() + long(n) * features, logits_, thread, choosing);
      } else if (piece < 0) {
        if (thread == 0) layer->add(long(n));
      } else if (thread < layer->threads) {
        layer->kernels->step(layer->steps, long(n), piece, thread);
      }
    };
    struct alignas(64) At {
      size_t token = 0, piece = 0;
    };
    std::vector<At> places(static_cast<size_t>(threads));  // where each thread is
    if (count)
      team.pieces(1, [&](int thread) {
        At& mine = places[size_t(thread)];
        if (!go) return false;
        do advance(mine.token, mine.piece, thread);
        while (++mine.piece <= pieces.size() && threads == 1);
        if (mine.piece <= pieces.size()) return true;
        mine.piece = 0;
        return ++mine.token < count;
      });
    turn_ += long(count);
  }

  Layer begin(size_t k, size_t count, const int64_t* read, const float* x, const std::vector<State>& given,
              const std::vector<float*>& states, int threads) {
    const PackedWeights<float>& weights = *layers_[k];
    const Shape& shape = weights.shape();
    Call<float> call;
    call.shape = shape;
    call.shape.steps = long(count);
    call.shape.batch = 1;
    call.half = weights.half();
    call.each = true;
    call.turn = turn_;
    if (k == 0) {
      call.tokens = read;
      call.symbols = symbols_;
    } else {
      call.x = x;
      call.x_row = call.x_step = shape.inputs;
    }
    for (size_t s = 0; s < states.size(); ++s) {
      call.initial[s] = given[s].data();
      call.last[s] = states[s];
      if (s < rates_.size()) call.keep_rate[s] = float(rates_[s]);
    }
    const long outputs = shape.recurrent();
    float* y = work_.take<float>(long(count) * outputs + 16);
    call.y = y;
    call.y_row = call.y_step = outputs;
    const int mine = shares(shape) ? threads : 1;
    void* steps = weights.kernels()->begin(weights.kernels()->program, weights.get(), call, work_, mine);
    float* sum = residual_ && k ? work_.take<float>(long(count) * outputs) : nullptr;
    return {weights.kernels(), steps, mine, x, y, sum, outputs};
  }

  static bool shares(const Shape& shape) { return shape.hidden * shape.hidden >= many; }

  // Weights from which on a second thread is worth meeting it.
  static constexpr long many = 1 << 16;

  const std::vector<const PackedWeights<float>*> layers_;
  const std::vector<double> rates_;
  const bool residual_;
  const int threads_;
  long turn_ = 0;  // of the steps
  const long symbols_;
  const Isa* const isa_;
  Arena memory_, work_;
  void* head_;
  float* logits_;
};

}  // namespace

void bind_writing(nb::module_& m) {
  nb::class_<Choosing>(m, "Choosing")
      .def(nb::init<long, bool, double, long, std::vector<long>>())
      .def("choose", &Choosing::choose);
  nb::class_<Writing>(m, "Writing")
      .def(nb::init<std::vector<const PackedWeights<float>*>, const std::vector<double>&, bool, State, Row, int>(),
           nb::keep_alive<1, 2>())
      .def("logits", &Writing::logits)
      .def("write", &Writing::write);
}

}  // namespace recurra
