"""Instruction sets to which a run can be restricted: by our own switch, and by the peers'.

A peer without a switch of its own would go on with wider vectors, and is left out.
"""

import os

#: Settings of the environment that keep us and the peers to an instruction set.
SWITCHES = {
    "v3": {
        "RECURRA_ISA": "v3",
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
    }
}
#: Bits of its widest vectors, and what a reader calls it.
BITS = {"v3": 256}
NAMES = {"v3": "AVX2"}
#: The libraries that have such a switch.
SWITCHED = ("recurra", "torch")
#: What is measured where nothing is named.
PARTS = ("peak", "grid", "step")


def restrict(isa: str) -> None:
    """Restrict this process, before it imports a library, and those that it starts."""
    os.environ.update(SWITCHES[isa])


def part(name: str, isa: str) -> str:
    """Return the name of a part in the results: that of a restricted run has its set's name."""
    return f"{name} {isa}" if isa else name
