#include "memory.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <new>

namespace recurra {

namespace {

constexpr size_t page = size_t(2) << 20;  // of huge pages, where the system has them

size_t rounded(size_t bytes) {
  // Steps of an eighth, so that calls of about the same size find each other's blocks.
  size_t step = 4096;
  while (step * 16 < bytes) step *= 2;
  return (bytes + step - 1) / step * step;
}

long ask_second_level_cache() {
#if defined(_SC_LEVEL2_CACHE_SIZE)
  const long size = sysconf(_SC_LEVEL2_CACHE_SIZE);
  if (size > 0) return size;
#endif
  return 1 << 20;
}

// Null where there is no room.
std::byte* map(size_t size) {
  const size_t align = size >= page ? page : 4096;
  void* at = mmap(nullptr, size + align, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return nullptr;
  auto* first = static_cast<std::byte*>(at);
  std::byte* start = first + (align - size_t(first) % align) % align;
  if (start > first) munmap(first, size_t(start - first));
  if (const size_t rest = align - size_t(start - first)) munmap(start + size, rest);
#if defined(MADV_HUGEPAGE)
  if (size >= page) madvise(start, size, MADV_HUGEPAGE);
#endif
  return start;
}

}  // namespace

long second_level_cache() {
  static const long size = ask_second_level_cache();
  return size;
}

Memory& Memory::instance() {
  static Memory* memory = [] {
    auto* made = new Memory;  // never deleted: arrays may outlive static destructors
    // A child must not find the lock held by a thread that it does not have.
    pthread_atfork([] { instance().mutex_.lock(); }, [] { instance().mutex_.unlock(); },
                   [] { instance().mutex_.unlock(); });
    return made;
  }();
  return *memory;
}

void Memory::drop(size_t most) {
  while (kept_ > most) {
    munmap(free_.front().at, free_.front().size);
    kept_ -= free_.front().size;
    free_.erase(free_.begin());
  }
}

void* Memory::take(size_t bytes) {
  const size_t size = rounded(bytes ? bytes : 1);
  const std::lock_guard<std::mutex> lock(mutex_);
  size_t best = free_.size();
  for (size_t n = 0; n < free_.size(); ++n)
    if (free_[n].size >= size && free_[n].size <= size + size / 2 &&
        (best == free_.size() || free_[n].size < free_[best].size))
      best = n;
  Block block{nullptr, size};
  taken_.reserve(taken_.size() + 1);
  free_.reserve(taken_.size() + free_.size() + 1);
  if (best < free_.size()) {
    block = free_[best];
    free_.erase(free_.begin() + long(best));
    kept_ -= block.size;
  } else {
    block.at = map(size);
    if (!block.at) {
      drop(0);  // what is only kept may be in the way
      block.at = map(size);
    }
    if (!block.at) throw std::bad_alloc();
  }
  taken_.push_back(block);
  used_ += block.size;
  return block.at;
}

void Memory::give(void* at) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (size_t n = taken_.size(); n-- > 0;) {
    if (taken_[n].at != at) continue;
    const Block block = taken_[n];
    taken_.erase(taken_.begin() + long(n));
    used_ -= block.size;
    free_.push_back(block);
    kept_ += block.size;
    break;
  }
  drop(most_kept);
}

}  // namespace recurra
