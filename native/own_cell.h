// What the compiled file of a cell that did not come with the package offers.
#pragma once

namespace recurra {

struct OwnCell {
  const char* layout;      // of what text it was compiled, for which instruction set
  const void* single;      // Plan<F32>
  const void* twice;       // Plan<F64>
};

}  // namespace recurra

// Ends the source of a cell whose plan is in the namespace `own`.
#define RECURRA_OWN_CELL(layout)                                             \
  extern "C" __attribute__((visibility("default"))) const recurra::OwnCell   \
      recurra_own_cell = {layout, &RECURRA_NAMESPACE::own::plan<RECURRA_NAMESPACE::F32>, \
                          &RECURRA_NAMESPACE::own::plan<RECURRA_NAMESPACE::F64>};
