"""Measurements against other ways to do the same: `make bench`.

A part has a function that returns its rows, dictionaries that become bench/results.json and tables
of docs/benchmarks.md:

- of layers: `what`, `cell`, `size`, and what `bench.layers.compared` returns;
- any other: `what`, `unit`, and figures by name, of which `bench.targets` looks at `ratio`.
"""
