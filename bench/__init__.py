"""Measurements against other ways to do the same: `make bench`.

A part has a function that returns its rows, dictionaries that become bench/results.json and tables
of docs/benchmarks.md:

- of layers (`bench.layers.compared`): `what`, `cell`, `size`, `unit`, `values` and `ratios` by name;
- any other: `what`, `unit`, and figures by name, of which `ratio` is what `bench.targets` looks at.
"""
