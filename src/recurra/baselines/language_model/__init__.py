"""Rivals of language models: n-grams, mixtures, a Transformer."""
