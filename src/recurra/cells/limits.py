"""How large kernels may be: the fixed tables of native/, whose `sizes.h` is written from here."""

#: Of a cell that has kernels, by the name in C++: at most how many, and what they are.
LIMITS = {
    "max_gates": (8, "gates"),
    "max_states": (6, "states"),
    "max_parameters": (24, "parameters"),
    "max_vectors": (40, "vectors of parameters"),
    "max_products": (4, "recurrent products"),
    "max_biases": (40, "biases"),
    "max_kept": (32, "values kept a step"),
    "max_segments": (6, "segments"),
    "max_rows": (3, "sums over rows at once"),
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
