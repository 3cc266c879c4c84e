// One token from the logits of a step, as recurra/generate/sampling.py describes it; in float64.
#pragma once
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

namespace recurra {

class Chooser {
 public:
  // exp(from[0..n)) to `to`.
  using Exp = void (*)(const double* from, double* to, long n);

  // top_k: 1 to `symbols`. Tokens in `banned` are never chosen. `greedy`: the most probable one.
  Chooser(long symbols, bool greedy, double temperature, long top_k, std::vector<long> banned, Exp exp)
      : greedy_(greedy), temperature_(temperature), top_k_(top_k), banned_(std::move(banned)), exp_(exp),
        z_(size_t(symbols)), weights_(size_t(symbols)), ids_(size_t(symbols)) {}

  // The token at `uniform`, in [0, 1), of logits (symbols); its log probability by the logits as given.
  // -1 where they are not finite, or leave nothing to choose.
  long choose(const float* logits, double uniform, double* log_probability) {
    const long V = long(z_.size());
    for (long v = 0; v < V; ++v) z_[size_t(v)] = logits[v];
    long best = largest();
    const double log_total = log_sum_exp(z_[size_t(best)]);
    if (!std::isfinite(log_total)) return -1;
    for (const long id : banned_) z_[size_t(id)] = -std::numeric_limits<double>::infinity();
    if (!std::isfinite(z_[size_t(best)])) best = largest();  // it is one of those
    if (!std::isfinite(z_[size_t(best)])) return -1;
    const long id = greedy_ ? best : draw(z_[size_t(best)], uniform);
    *log_probability = double(logits[id]) - log_total;
    return id;
  }

 private:
  // The first of the largest.
  long largest() const { return std::max_element(z_.begin(), z_.end()) - z_.begin(); }

  double log_sum_exp(double peak) {
    for (size_t v = 0; v < z_.size(); ++v) weights_[v] = z_[v] - peak;
    exp_(weights_.data(), weights_.data(), long(z_.size()));
    double total = 0;
    for (const double weight : weights_) total += weight;
    return peak + std::log(total);  // NaN where a logit is
  }

  long draw(double peak, double uniform) {
    const long kept = keep_largest();
    for (long n = 0; n < kept; ++n) weights_[size_t(n)] = (z_[size_t(ids_[size_t(n)])] - peak) / temperature_;
    exp_(weights_.data(), weights_.data(), kept);
    double mass = 0;
    for (long n = 0; n < kept; ++n) weights_[size_t(n)] = mass += weights_[size_t(n)];
    // uniform <= 1 - 2^-53: the product is below the whole mass after rounding too.
    const auto end = weights_.begin() + kept;
    return ids_[size_t(std::upper_bound(weights_.begin(), end, uniform * mass) - weights_.begin())];
  }

  // The k largest in ascending order of ids, ties to the lowest; how many there are.
  long keep_largest() {
    const long V = long(z_.size());
    long kept = 0;
    if (top_k_ >= V) {
      for (; kept < V; ++kept) ids_[size_t(kept)] = kept;
      return kept;
    }
    const double least = threshold();
    long above = 0;
    for (const double z : z_) above += z > least;
    long ties = top_k_ - above;
    for (long v = 0; v < V; ++v)
      if (z_[size_t(v)] > least || (z_[size_t(v)] == least && ties-- > 0)) ids_[size_t(kept++)] = v;
    return kept;
  }

  // The k-th largest. A heap of the largest so far: nearly all of a large vocabulary never enters it.
  double threshold() {
    std::copy(z_.begin(), z_.begin() + top_k_, weights_.begin());
    const auto end = weights_.begin() + top_k_;
    std::make_heap(weights_.begin(), end, std::greater<>());
    for (size_t v = size_t(top_k_); v < z_.size(); ++v) {
      if (z_[v] <= weights_.front()) continue;
      std::pop_heap(weights_.begin(), end, std::greater<>());
      *(end - 1) = z_[v];
      std::push_heap(weights_.begin(), end, std::greater<>());
    }
    return weights_.front();
  }

  const bool greedy_;
  const double temperature_;
  const long top_k_;
  const std::vector<long> banned_;
  const Exp exp_;
  std::vector<double> z_, weights_;
  std::vector<long> ids_;
};

}  // namespace recurra
