"""Rivals of transcribers: a Transformer."""
