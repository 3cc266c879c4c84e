// Generated from src/recurra/cells/limits.py. Do not edit.
#pragma once

namespace recurra {

constexpr int max_gates = 8;  // gates
constexpr int max_states = 6;  // states
constexpr int max_parameters = 24;  // parameters
constexpr int max_vectors = 40;  // vectors of parameters
constexpr int max_products = 4;  // recurrent products
constexpr int max_biases = 40;  // biases
constexpr int max_kept = 32;  // values kept a step
constexpr int max_segments = 6;  // segments
constexpr int max_rows = 3;  // sums over rows at once
constexpr int most_parts = 256;  // threads of a call

}  // namespace recurra
