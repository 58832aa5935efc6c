"""Text as XML 1.0 takes it.

What belongs here: escaping. What does not: any document.
"""

from __future__ import annotations

import re
from typing import Final
from xml.sax.saxutils import escape, quoteattr

# What XML 1.0 has no way to say, escaped or not (https://www.w3.org/TR/xml/#charsets)
_IMPOSSIBLE: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def plain(text: str) -> str:
    """The text with U+FFFD for each character that XML cannot hold."""
    return _IMPOSSIBLE.sub("\ufffd", text)


def content(text: str) -> str:
    """As the content of an element."""
    return escape(plain(text))


def attribute(text: str) -> str:
    """As the value of an attribute, quotes included."""
    return quoteattr(plain(text))
