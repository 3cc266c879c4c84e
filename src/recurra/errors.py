"""What can go wrong, told in one line: where, what was expected, what was received, what to do."""


class RecurraError(Exception):
    """Base of every error this package raises on purpose."""


class InputError(RecurraError, ValueError):
    """Something the user gave (an argument, a file, a text) cannot be used as it is."""


class RecurraWarning(UserWarning):
    """Something works, but not as well as it could."""


class FormatError(RecurraError):
    """A file of ours is damaged, foreign, or from a newer version."""
