// Cells that were compiled apart from this library: loaded from files, numbered, never unloaded.
#pragma once
#include <string>

#include "kernels.h"

namespace recurra {

// The headers such a cell is compiled with, in one text, and its SHA-256.
extern const char* const own_text;
extern const char* const own_text_hash;

// What a file must say of itself to be loaded: that text, the instruction set, its vector's bytes.
std::string own_layout(const Isa& isa);

// Loads a file and returns the number of its cell. Throws std::runtime_error with the reason.
int add_own(const std::string& path, const Isa& isa);

// Numbers of these cells begin here; those of an instruction set's own tables are below.
constexpr int first_own = 1 << 16;

template <class T>
const Kernels<T>* own(int number);

}  // namespace recurra
