// The instruction sets that were compiled in, best first.
#pragma once
#include "kernels.h"

namespace recurra {

// The best that this processor runs, or the one named; null where it does not run or is unknown.
const Isa* choose_isa(const char* name);

// All that this processor runs, best first; ends with null.
const Isa* const* runnable_isas();

}  // namespace recurra
