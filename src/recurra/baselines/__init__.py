"""The rivals of recurrent models, behind the same protocol."""
