"""Tasks: one folder each; no task imports another."""
