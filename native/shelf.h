// Working memory for calls that may run at the same time: each takes a piece, and puts it back.
#pragma once
#include <memory>
#include <mutex>
#include <vector>

namespace recurra {

template <class T>
class Shelf {
 public:
  // A piece for as long as this lives.
  class Lease {
   public:
    Lease(Shelf& shelf, std::unique_ptr<T> piece) : shelf_(shelf), piece_(std::move(piece)) {}
    Lease(const Lease&) = delete;
    ~Lease() { shelf_.give(std::move(piece_)); }
    T& operator*() const { return *piece_; }
    T* operator->() const { return piece_.get(); }

   private:
    Shelf& shelf_;
    std::unique_ptr<T> piece_;
  };

  // A piece that is free, else what `make` makes. The lock is held for a move of two pointers.
  template <class Make>
  Lease take(Make make) {
    std::unique_ptr<T> piece;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      if (!free_.empty()) {
        piece = std::move(free_.back());
        free_.pop_back();
      }
    }
    if (!piece) piece = make();
    return Lease(*this, std::move(piece));
  }

 private:
  void give(std::unique_ptr<T> piece) {
    std::lock_guard<std::mutex> lock(mutex_);
    free_.push_back(std::move(piece));
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<T>> free_;
};

}  // namespace recurra
