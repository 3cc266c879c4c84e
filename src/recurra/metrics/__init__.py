"""The figures tasks are judged by, over plain values. Needs no torch."""
