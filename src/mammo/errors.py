"""The one exception that this package raises on purpose."""


class MammoError(Exception):
    """Something the user can mend: the message says what is wrong, why, and what to do."""
