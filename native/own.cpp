#include "own.h"

#include <dlfcn.h>

#include <deque>
#include <mutex>
#include <stdexcept>

#include "own_cell.h"

namespace recurra {
namespace {

struct Both {
  Kernels<float> single;
  Kernels<double> twice;
};

// Elements of a deque stay where they are. The lock is for calls without Python's.
struct Cells {
  std::mutex mutex;
  std::deque<Both> all;
};

Cells& cells() {
  static Cells mine;
  return mine;
}

const Both* find(int number) {
  const std::lock_guard<std::mutex> locked(cells().mutex);
  const size_t place = size_t(number - first_own);
  return place < cells().all.size() ? &cells().all[place] : nullptr;
}

}  // namespace

std::string own_layout(const Isa& isa) {
  return std::string(own_text_hash) + " " + isa.name + " " + std::to_string(isa.bytes);
}

int add_own(const std::string& path, const Isa& isa) {
  void* file = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!file) {
    const char* reason = dlerror();
    throw std::runtime_error(reason ? reason : "the system cannot load it");
  }
  const auto* cell = static_cast<const OwnCell*>(dlsym(file, "recurra_own_cell"));
  if (!cell || own_layout(isa) != cell->layout) {
    dlclose(file);
    throw std::runtime_error("it is no cell, or one of another version or instruction set");
  }
  const std::lock_guard<std::mutex> locked(cells().mutex);
  cells().all.push_back({isa.adopt(cell->single), isa.adopt64(cell->twice)});
  return first_own + int(cells().all.size()) - 1;
}

template <>
const Kernels<float>* own<float>(int number) {
  const Both* both = find(number);
  return both ? &both->single : nullptr;
}

template <>
const Kernels<double>* own<double>(int number) {
  const Both* both = find(number);
  return both ? &both->twice : nullptr;
}

}  // namespace recurra
