"""Measurements against other ways to do the same: `make bench`."""
