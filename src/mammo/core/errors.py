"""The one exception that this package raises on purpose."""


class MammoError(Exception):
    """Something the user can correct: the message says what is wrong, why, and what to do."""


def short_reason(error: Exception, length: int = 300) -> str:
    """One line of another library's error, to be quoted in a MammoError."""
    return " ".join(str(error).split())[:length] or type(error).__name__
