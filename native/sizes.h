// Generated from src/recurra/cells/limits.py. Do not edit.
#pragma once

namespace recurra {

constexpr int max_gates = 64;  // gates
constexpr int max_states = 16;  // states
constexpr int max_parameters = 64;  // parameters
constexpr int max_rows = 8;  // sums over rows at once
constexpr int most_parts = 256;  // threads of a call

}  // namespace recurra
