"""Identifiers of inspections and edits: sortable by time, and never going back.

They are ULIDs: 48 bits of milliseconds since 1970 and 80 random ones, in Crockford's base 32.
"""

import re
import secrets
import threading
import time

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LENGTH = 26
_RANDOM_BITS = 80
_STEP_BITS = 64  # so that two processes that go on from the same identifier do not meet
_ID = re.compile(f"[0-7][{_DIGITS}]{{{_LENGTH - 1}}}")


class Ids:
    """Makes identifiers, each greater than all before, from any number of threads.

    While the clock stands still or runs behind, they count on from the last one.

    >>> ids = Ids(after="7ZZZ0000000000000000000000")
    >>> first, second = ids.next(), ids.next()
    >>> len(first), "7ZZZ" < first < second
    (26, True)
    """

    def __init__(self, after: str = "") -> None:
        """Begin after an identifier; "" where there is none yet."""
        self._lock = threading.Lock()
        self._last = _number(after)

    def next(self) -> str:
        """A new identifier, 26 characters."""
        with self._lock:
            now = time.time_ns() // 1_000_000
            if now > self._last >> _RANDOM_BITS:
                self._last = now << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
            else:
                self._last += 1 + secrets.randbits(_STEP_BITS)
            return _text(self._last)


def is_id(text: str) -> bool:
    """Whether a text from outside has the form of an identifier.

    >>> is_id("01KB1C7Y2H3V5W6X7Y8Z9A0B1C"), is_id("../../etc/passwd")
    (True, False)
    """
    return _ID.fullmatch(text) is not None


def _number(text: str) -> int:
    number = 0
    for character in text:
        number = number * len(_DIGITS) + _DIGITS.index(character)
    return number


def _text(number: int) -> str:
    digits = []
    for _ in range(_LENGTH):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
