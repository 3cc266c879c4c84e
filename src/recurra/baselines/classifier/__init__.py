"""Rivals of classifiers: bags of words, a Transformer."""
