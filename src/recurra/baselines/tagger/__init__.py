"""Rivals of taggers: a hidden Markov model, a linear CRF, a Transformer."""
