// Large memory, kept for the next call: on a virtual machine the first touch of 100 MB costs as much
// as a third of a training step.
#pragma once
#include <cstddef>
#include <mutex>
#include <vector>

namespace recurra {

// Bytes of a core's second-level cache; where the system does not tell, what most have.
long second_level_cache();

class Memory {
 public:
  static Memory& instance();

  // At least `bytes` at a multiple of 64, not initialised. Throws std::bad_alloc.
  void* take(size_t bytes);
  void give(void* at);

  // Bytes taken and not given back, and bytes kept for later.
  size_t used() const { return used_; }
  size_t kept() const { return kept_; }

 private:
  struct Block {
    std::byte* at;
    size_t size;
  };

  // What stays mapped without a use; beyond it the block that waited longest goes.
  static constexpr size_t most_kept = size_t(512) << 20;

  void drop(size_t most);  // unused blocks, down to so many bytes

  std::mutex mutex_;
  std::vector<Block> taken_, free_;
  size_t used_ = 0, kept_ = 0;
};

}  // namespace recurra
