"""How large kernels may be: the fixed tables of native/, whose `sizes.h` is written from here.

Products, segments, kept values and vectors of parameters have no limit but memory.
"""

#: Of a cell that has kernels, by the name in C++: at most how many, and what they are.
LIMITS = {
    "max_gates": (64, "gates"),
    "max_states": (16, "states"),
    "max_parameters": (64, "parameters"),
    "max_rows": (8, "sums over rows at once"),
}

#: Threads of a call, at most.
THREADS = 256

#: Units of the arrays that backward reads are padded to a multiple of this.
PAD = 16


def padded(units: int) -> int:
    """Return how many units stand in such an array for `units`."""
    return -(-units // PAD) * PAD


def header() -> str:
    """Return native/sizes.h."""
    rows = "".join(f"constexpr int {name} = {most};  // {what}\n" for name, (most, what) in _rows())
    return (
        "// Generated from src/recurra/cells/limits.py. Do not edit.\n#pragma once\n\n"
        f"namespace recurra {{\n\n{rows}\n}}  // namespace recurra\n"
    )


def _rows() -> list[tuple[str, tuple[int, str]]]:
    return [*LIMITS.items(), ("most_parts", (THREADS, "threads of a call"))]
