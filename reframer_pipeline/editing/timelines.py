"""What timelines of OpenTimelineIO are made of: ranges in frames, files by their names, texts of one line.

What belongs here: what the timeline of scenes and that of a reframed video have in common. What does not: either of them
(`exports.timeline`, `reframe.timeline`).

Time is in frames of one rate. Clips point at a file by its name, which is all that is known of where it lies; editing programs ask for it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

if TYPE_CHECKING:
    import opentimelineio as otio

METADATA: Final = "reframer"
LONGEST_TITLE: Final = 80  # characters
# what is no character of a line, and what XML 1.0 has no way to say (https://www.w3.org/TR/xml/#charsets)
_UNPRINTABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]+")


def span(begin: float, end: float, rate: float) -> otio.opentime.TimeRange:
    """From one second to another. It has a frame at least: where time stands still, as in damaged files, nobody reads a range of none."""
    import opentimelineio as otio

    first, last = round(begin * rate), round(end * rate)
    return otio.opentime.TimeRange(otio.opentime.RationalTime(first, rate), otio.opentime.RationalTime(max(last - first, 1), rate))


def media(filename: str, available: otio.opentime.TimeRange) -> otio.schema.ExternalReference:
    """A file, by what is after the last slash of its name."""
    import opentimelineio as otio

    name = line(re.split(r"[/\\]", filename)[-1])
    made = otio.schema.ExternalReference(quote(name), available)
    made.name = name
    return made


def line(text: str) -> str:
    """Text as one line that any format can hold. A line break in an edit list would begin another event."""
    return " ".join(_UNPRINTABLE.sub(" ", text).split())


def title(text: str) -> str:
    """Such a line, short enough to be read on a clip."""
    whole = line(text)
    return whole if len(whole) <= LONGEST_TITLE else f"{whole[: LONGEST_TITLE - 1].rstrip()}…"
