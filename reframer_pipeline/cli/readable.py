"""Texts from elsewhere on a terminal: a file name or a message may hold codes that move the cursor or turn the writing round.

What belongs here: the replacement, for everything that people see. What does not: JSON, whose escapes keep such codes harmless.
"""

from __future__ import annotations

import re
from typing import Final

_SPACES: Final = re.compile("[\t\n\u2028\u2029]")
# C0 and C1 (escape sequences begin there), marks of writing direction, and bytes that were no UTF-8, which no terminal takes
_CODES: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def readable(text: str) -> str:
    """The text on one line, with blanks for its breaks and U+FFFD for its control codes."""
    return _CODES.sub("\N{REPLACEMENT CHARACTER}", _SPACES.sub(" ", text))
