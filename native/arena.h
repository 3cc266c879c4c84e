// Working memory of a call: taken piece by piece, given back all at once, kept for the next call.
#pragma once
#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "memory.h"
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace recurra {

class Arena {
 public:
  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // `count` elements at a multiple of 64 bytes, not initialised. Valid until `reset`.
  template <class T>
  T* take(long count) {
    if (count > most / long(sizeof(T))) throw std::bad_alloc();
    const size_t bytes = (size_t(count > 0 ? count : 1) * sizeof(T) + 63) / 64 * 64 + 64;
    if (blocks_.empty() || used_ + bytes > blocks_.back().size) add(bytes);
    std::byte* at = blocks_.back().data.get() + used_;
    used_ += bytes;
    taken_ += bytes;
    unpoison(at, bytes - 64);
    return reinterpret_cast<T*>(at);
  }

  template <class T>
  T* zeros(long count) {
    T* at = take<T>(count);
    std::memset(static_cast<void*>(at), 0, size_t(count) * sizeof(T));
    return at;
  }

  // Ends all pieces. Where they needed several blocks, the next call finds one of the whole size;
  // where calls have become much smaller, what they do not need goes back to the system. Where there is
  // no memory for one block, the next call asks for what it needs.
  void reset() noexcept {
    const size_t held = blocks_.empty() ? 0 : blocks_.back().size;
    smaller_ = taken_ < held / 4 ? smaller_ + 1 : 0;
    if (blocks_.size() > 1 || smaller_ > 100) {
      const size_t size = taken_;
      blocks_.clear();
      try {
        add(size);
      } catch (const std::bad_alloc&) {
      }
      smaller_ = 0;
    }
    used_ = taken_ = 0;
    if (!blocks_.empty()) poison(blocks_.back().data.get(), blocks_.back().size);
  }

 private:
  static constexpr long most = 1L << 46;  // bytes: more than any machine has

  // Under the address sanitizer only pieces may be touched, not the gaps between them.
#if defined(__SANITIZE_ADDRESS__)
  static void poison(std::byte* at, size_t size) { __asan_poison_memory_region(at, size); }
  static void unpoison(std::byte* at, size_t size) { __asan_unpoison_memory_region(at, size); }
#else
  static void poison(std::byte*, size_t) {}
  static void unpoison(std::byte*, size_t) {}
#endif

  struct Free {
    size_t size;
    void operator()(std::byte* at) const {
      unpoison(at, size);
      Memory::instance().give(at);
    }
  };
  struct Block {
    std::unique_ptr<std::byte[], Free> data;
    size_t size;
  };

  void add(size_t least) {
    const size_t size = least > 65536 ? least : 65536;
    blocks_.reserve(blocks_.size() + 1);
    auto* at = static_cast<std::byte*>(Memory::instance().take(size));
    blocks_.push_back({std::unique_ptr<std::byte[], Free>(at, Free{size}), size});
    poison(at, size);
    used_ = 0;
  }

  std::vector<Block> blocks_;
  size_t used_ = 0, taken_ = 0;
  int smaller_ = 0;
};

}  // namespace recurra
