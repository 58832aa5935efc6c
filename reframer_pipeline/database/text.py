"""Text that Postgres and JSON can hold.

What belongs here: cleaning text that models and file names bring. JSONB refuses NUL, lone surrogates and NaN, and a `text` column
refuses NUL; one such character must not cost a whole result. What does not: shortening, translating, judging.
"""

from __future__ import annotations

import json
import math
import re

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def clean_text(text: str) -> str:
    """The text with NUL and lone surrogates replaced by U+FFFD."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def clean_json(value: object) -> object:
    """A JSON value with its texts and keys cleaned, and NaN and infinities as null."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list):
        return [clean_json(item) for item in value]
    if isinstance(value, dict):
        return {clean_text(str(key)): clean_json(item) for key, item in value.items()}
    return value


def clean_json_text(text: str) -> str:
    """A JSON document, cleaned and written compactly.

    Raises:
        ValueError: It is no JSON document.
    """
    return json.dumps(clean_json(json.loads(text)), ensure_ascii=False, separators=(", ", ": "), allow_nan=False)
