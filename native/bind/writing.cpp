// Text written token by token, without Python between.
#include <memory>

#include "../writer.h"
#include "matrix.h"

namespace recurra {

namespace {

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

class Writing {
 public:
  Writing(std::vector<const PackedWeights<float>*> layers, const std::vector<double>& rates, bool residual,
          const Matrix* head, int threads)
      : symbols_(head->columns()),
        writer_(checked(layers, residual, *head), rates, residual, head->isa(), head->packed(), symbols_, threads) {
    for (const auto* layer : layers) shapes_.push_back(layer->shape());
  }

  // See `Writer::write`: per layer its states, (1, R) or (1, H). Returns how many tokens, the tokens, their
  // log probabilities, and by layer and state what it was when each was chosen, (tokens, R or H).
  nb::tuple write(long token, const std::vector<std::vector<State>>& state, Choosing& choosing, Numbers uniforms) {
    const size_t count = uniforms.shape(0);
    if (token < 0 || token >= symbols_ || choosing.symbols() != symbols_ || state.size() != shapes_.size())
      throw std::invalid_argument("a token or a state of another model");
    nb::list found, history;
    auto* ids = owned<int64_t>(found, {count});
    auto* log_probabilities = owned<double>(found, {count});
    Writer::Given given(shapes_.size());
    Writer::Taken states(shapes_.size());
    for (size_t k = 0; k < shapes_.size(); ++k) {
      nb::list of_layer;
      if (state[k].empty() || state[k].size() > size_t(most_states))
        throw std::invalid_argument("a state of another model");
      for (size_t s = 0; s < state[k].size(); ++s) {
        const size_t width = size_t(s == 0 ? shapes_[k].recurrent() : shapes_[k].hidden);
        if (state[k][s].shape(0) != 1 || state[k][s].shape(1) != width)
          throw std::invalid_argument("a state of another model");
        given[k].push_back(state[k][s].data());
        states[k].push_back(owned<float>(of_layer, {count, width}));
      }
      history.append(of_layer);
    }
    size_t done = 0;
    {
      nb::gil_scoped_release release;
      const auto chooser = choosing.chooser();
      done = writer_.write(token, given, states, *chooser, uniforms.data(), count, ids, log_probabilities);
    }
    return nb::make_tuple(done, found[0], found[1], history);
  }

 private:
  static std::vector<WritingLayer> checked(const std::vector<const PackedWeights<float>*>& layers, bool residual,
                                           const Matrix& head) {
    const auto fits = [](bool good) {
      if (!good) throw std::invalid_argument("layers and output layer do not fit together");
    };
    fits(!layers.empty() && layers[0]->symbols() == head.columns());
    std::vector<WritingLayer> found;
    for (size_t k = 0; k < layers.size(); ++k) {
      fits(k == 0 || layers[k]->shape().inputs == layers[k - 1]->shape().recurrent());
      fits(!residual || k == 0 || layers[k]->shape().recurrent() == layers[k]->shape().inputs);
      found.push_back({layers[k]->kernels(), layers[k]->get(), layers[k]->shape(), layers[k]->half()});
    }
    fits(head.depth() == layers.back()->shape().recurrent());
    return found;
  }
  const long symbols_;
  std::vector<Shape> shapes_;
  Writer writer_;
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
}

}  // namespace recurra
