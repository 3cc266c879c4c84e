"""Rivals of translators: a Transformer."""
