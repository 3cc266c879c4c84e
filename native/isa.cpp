#include "isa.h"

#include <cstring>

#define RECURRA_ISA(name)      \
  namespace recurra_##name {   \
  extern const recurra::Isa isa; \
  }
RECURRA_ISAS
#undef RECURRA_ISA

namespace recurra {

const Isa* const* runnable_isas() {
  static const Isa* found[8] = {};
  static const bool filled = [] {
    int n = 0;
#define RECURRA_ISA(name) \
  if (recurra_##name::isa.runs()) found[n++] = &recurra_##name::isa;
    RECURRA_ISAS
#undef RECURRA_ISA
    return true;
  }();
  (void)filled;
  return found;
}

const Isa* choose_isa(const char* name) {
  for (const Isa* const* isa = runnable_isas(); *isa; ++isa)
    if (!name || std::strcmp((*isa)->name, name) == 0) return *isa;
  return nullptr;
}

}  // namespace recurra
