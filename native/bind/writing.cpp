// Text written token by token, without Python between.
#include <memory>

#include "../streams.h"
#include "../writer.h"
#include "matrix.h"

namespace recurra {

namespace {

using namespace nb::literals;

using Numbers = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Sequences = nb::ndarray<const float, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
using ManyTokens = nb::ndarray<const int64_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Mask = nb::ndarray<const bool, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using State = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using States = std::vector<std::vector<State>>;  // by layer

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

// Threads may share it: each call has a chooser, which is mostly working memory, for itself.
class Choosing {
 public:
  Choosing(long symbols, bool greedy, double temperature, long top_k, std::vector<long> banned)
      : symbols_(symbols), pattern_(symbols, greedy, temperature, top_k, std::move(banned), exponentials) {}

  // A token, or -1, and its log probability.
  std::tuple<long, double> choose(Row logits, double uniform) {
    if (long(logits.shape(0)) != symbols_) throw std::invalid_argument("logits of another vocabulary");
    double log_probability = 0;
    const long id = chooser()->choose(logits.data(), uniform, &log_probability);
    return {id, log_probability};
  }

  Shelf<Chooser>::Lease chooser() {
    return shelf_.take([this] { return std::make_unique<Chooser>(pattern_); });
  }
  long symbols() const { return symbols_; }

 private:
  const long symbols_;
  const Chooser pattern_;
  Shelf<Chooser> shelf_;
};

// The layers of a model and its output layer, or none.
std::vector<PackedLayer> checked(const std::vector<const PackedWeights<float>*>& layers, bool residual,
                                 const Matrix* head) {
  const auto fits = [](bool good) {
    if (!good) throw std::invalid_argument("layers and output layer do not fit together");
  };
  fits(!layers.empty() && (!head || !layers[0]->symbols() || layers[0]->symbols() == head->columns()));
  std::vector<PackedLayer> found;
  for (size_t k = 0; k < layers.size(); ++k) {
    fits(k == 0 || layers[k]->shape().inputs == layers[k - 1]->shape().recurrent());
    fits(!residual || k == 0 || layers[k]->shape().recurrent() == layers[k]->shape().inputs);
    found.push_back({layers[k]->kernels(), layers[k]->get(), layers[k]->shape(), layers[k]->half()});
  }
  fits(!head || head->depth() == layers.back()->shape().recurrent());
  return found;
}

// Where the states of `batch` streams are, and places for those after `count` steps, (count * batch, R or H).
struct Moved {
  Stack::Given given;
  Stack::Taken taken;
  nb::list history;

  Moved(const std::vector<Shape>& shapes, const States& state, size_t batch, size_t count) {
    if (state.size() != shapes.size()) throw std::invalid_argument("a state of another model");
    for (size_t k = 0; k < shapes.size(); ++k) {
      nb::list of_layer;
      if (state[k].empty() || state[k].size() > size_t(most_states))
        throw std::invalid_argument("a state of another model");
      given.emplace_back();
      taken.emplace_back();
      for (size_t s = 0; s < state[k].size(); ++s) {
        const size_t width = size_t(s == 0 ? shapes[k].recurrent() : shapes[k].hidden);
        if (state[k][s].shape(0) != batch || state[k][s].shape(1) != width)
          throw std::invalid_argument("a state of another model, or of another number of streams");
        given[k].push_back(state[k][s].data());
        taken[k].push_back(owned<float>(of_layer, {count * batch, width}));
      }
      history.append(of_layer);
    }
  }
};

std::vector<Shape> shapes_of(const std::vector<const PackedWeights<float>*>& layers) {
  std::vector<Shape> found;
  for (const auto* layer : layers) found.push_back(layer->shape());
  return found;
}

// See recurra/native/streams.py.
class Moving {
 public:
  Moving(std::vector<const PackedWeights<float>*> layers, const std::vector<double>& rates, bool residual,
         const Matrix* head, int threads)
      : streams_(checked(layers, residual, head), rates, residual, head ? head->output() : Output(),
                 layers[0]->symbols(), threads),
        shapes_(shapes_of(layers)),
        symbols_(layers[0]->symbols()),
        width_(size_t(head ? head->columns() : shapes_.back().recurrent())) {}

  nb::tuple step(Rows<float> x, const States& state) const {
    if (long(x.shape(1)) != shapes_[0].inputs) throw std::invalid_argument("inputs of another shape than the weights");
    return step_of({nullptr, x.data()}, x.shape(0), state);
  }

  nb::tuple step_tokens(Tokens tokens, const States& state) const {
    check(tokens.data(), tokens.shape(0));
    return step_of({tokens.data(), nullptr}, tokens.shape(0), state);
  }

  nb::tuple read(Sequences x, const States& state, nb::handle valid) const {
    if (long(x.shape(2)) != shapes_[0].inputs) throw std::invalid_argument("inputs of another shape than the weights");
    return read_of({nullptr, x.data()}, x.shape(0), x.shape(1), state, valid);
  }

  nb::tuple read_tokens(ManyTokens tokens, const States& state, nb::handle valid) const {
    check(tokens.data(), tokens.shape(0) * tokens.shape(1));
    return read_of({tokens.data(), nullptr}, tokens.shape(0), tokens.shape(1), state, valid);
  }

 private:
  void check(const int64_t* tokens, size_t count) const {
    for (size_t n = 0; n < count; ++n)
      if (tokens[n] < 0 || tokens[n] >= symbols_)
        throw std::out_of_range("expected tokens below " + std::to_string(symbols_) + ", received " +
                                std::to_string(tokens[n]));
  }

  nb::tuple read_of(const Stack::Input& input, size_t steps, size_t batch, const States& state,
                 nb::handle valid) const {
    Mask mask;
    if (!valid.is_none()) {
      mask = nb::cast<Mask>(valid);
      if (mask.shape(0) != steps || mask.shape(1) != batch) throw std::invalid_argument("a mask of another shape");
    }
    nb::list found;
    const Moved moved(shapes_, state, batch, 1);
    float* const to = owned<float>(found, {steps, batch, size_t(shapes_.back().recurrent())});
    const auto* const marks = valid.is_none() ? nullptr : reinterpret_cast<const unsigned char*>(mask.data());
    {
      nb::gil_scoped_release release;
      const Releasing done;
      streams_.read(long(steps), long(batch), input, marks, moved.given, moved.taken, to, arena());
    }
    return nb::make_tuple(found[0], moved.history);
  }

  nb::tuple step_of(const Stack::Input& input, size_t batch, const States& state) const {
    nb::list found;
    const Moved moved(shapes_, state, batch, 1);
    float* const to = owned<float>(found, {batch, width_});
    {
      nb::gil_scoped_release release;
      const Releasing done;
      if (batch) streams_.step(long(batch), input, moved.given, moved.taken, to, arena());
    }
    return nb::make_tuple(found[0], moved.history);
  }

  const Streams streams_;
  const std::vector<Shape> shapes_;
  const long symbols_;
  const size_t width_;
};

class Writing {
 public:
  Writing(std::vector<const PackedWeights<float>*> layers, const std::vector<double>& rates, bool residual,
          const Matrix* head, int threads)
      : symbols_(head->columns()),
        writer_(checked(layers, residual, head), rates, residual, head->output(), threads),
        shapes_(shapes_of(layers)) {
    if (layers[0]->symbols() != symbols_) throw std::invalid_argument("a first layer without a table");
  }

  // See `Writer::write`: per layer its states, (1, R) or (1, H). Returns how many tokens, the tokens, their
  // log probabilities, and by layer and state what it was when each was chosen, (tokens, R or H).
  nb::tuple write(long token, const States& state, Choosing& choosing, Numbers uniforms) {
    const size_t count = uniforms.shape(0);
    if (token < 0 || token >= symbols_ || choosing.symbols() != symbols_)
      throw std::invalid_argument("a token or a choice of another model");
    nb::list found;
    auto* ids = owned<int64_t>(found, {count});
    auto* log_probabilities = owned<double>(found, {count});
    const Moved moved(shapes_, state, 1, count);
    size_t done = 0;
    {
      nb::gil_scoped_release release;
      const auto chooser = choosing.chooser();
      done = writer_.write(token, moved.given, moved.taken, *chooser, uniforms.data(), count, ids, log_probabilities);
    }
    return nb::make_tuple(done, found[0], found[1], moved.history);
  }

 private:
  const long symbols_;
  Writer writer_;
  const std::vector<Shape> shapes_;
};

}  // namespace

void bind_writing(nb::module_& m) {
  nb::class_<Choosing>(m, "Choosing")
      .def(nb::init<long, bool, double, long, std::vector<long>>())
      .def("choose", &Choosing::choose);
  nb::class_<Writing>(m, "Writing")
      .def(nb::init<std::vector<const PackedWeights<float>*>, const std::vector<double>&, bool, const Matrix*, int>(),
           nb::keep_alive<1, 2>(), nb::keep_alive<1, 5>())
      .def("write", &Writing::write);
  nb::class_<Moving>(m, "Streams")
      .def(nb::init<std::vector<const PackedWeights<float>*>, const std::vector<double>&, bool, const Matrix*, int>(),
           "layers"_a, "keep"_a, "residual"_a, "head"_a.none(), "threads"_a, nb::keep_alive<1, 2>(),
           nb::keep_alive<1, 5>())
      .def("step", &Moving::step)
      .def("step_tokens", &Moving::step_tokens)
      .def("read", &Moving::read,
           "x"_a, "state"_a, "valid"_a.none() = nb::none())
      .def("read_tokens", &Moving::read_tokens, "tokens"_a, "state"_a, "valid"_a.none() = nb::none());
}

}  // namespace recurra
