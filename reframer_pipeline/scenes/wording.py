"""Words for figures.

What belongs here: the vocabulary of the local describer, plain English and its plurals. What does not: which figures are spoken of
(`local`).
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from reframer_pipeline.scenes.describer import TrackFigures

NUMBERS: Final = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
IRREGULAR: Final = {"person": "people", "knife": "knives", "wine glass": "wine glasses", "mouse": "mice", "scissors": "pairs of scissors",
                    "skis": "pairs of skis"}  # fmt: skip
ORDINALS: Final = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
STILL, SLOW, QUICK = 0.03, 0.08, 0.25  # frame diagonals per second
SMALL, LARGE = 0.02, 0.15  # of the picture's area


def number(count: int) -> str:
    """A count in words, up to twelve."""
    return NUMBERS[count] if count < len(NUMBERS) else str(count)


def noun(track: TrackFigures) -> str:
    """What a track shows: the label when it says more than the class."""
    return track.label or track.object_class


def plural(word: str) -> str:
    """The plural of a noun, such as a detector's label."""
    if word in IRREGULAR:
        return IRREGULAR[word]
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"


def count(how_many: int, word: str) -> str:
    """Such as `one bottle`, `two people`."""
    return f"{number(how_many)} {word if how_many == 1 else plural(word)}"


def listing(items: list[str]) -> str:
    """Such as `a, b and c`."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def cast(tracks: list[TrackFigures]) -> str:
    """Who is there, people first: `two people, one bottle and one cup`."""
    kinds = Counter((track.object_class != "person", noun(track)) for track in tracks)
    in_order = sorted(kinds.items(), key=lambda item: (item[0][0], -item[1]))
    return listing([count(how_many, word) for (_, word), how_many in in_order])


def names(tracks: list[TrackFigures]) -> dict[str, str]:
    """What each track is called in its sentence: `The bottle`, or `The first person`, `The second person` where there are several."""
    totals, met = Counter(noun(track) for track in tracks), Counter[str]()
    said = {}
    for track in tracks:
        word = noun(track)
        place = met[word]
        met[word] += 1
        if totals[word] == 1:
            said[track.track_id] = f"The {word}"
        else:
            said[track.track_id] = f"The {ORDINALS[place]} {word}" if place < len(ORDINALS) else f"{word.capitalize()} {place + 1}"
    return said


def position(track: TrackFigures) -> str:
    """Such as `at the top left`, `in the centre`, `at the bottom`."""
    if track.horizontal == "centre":
        return "in the centre" if track.vertical == "middle" else f"at the {track.vertical}"
    return f"at the {track.horizontal}" if track.vertical == "middle" else f"at the {track.vertical} {track.horizontal}"


def size(track: TrackFigures) -> str:
    """How much of the picture it takes."""
    if track.area_share < SMALL:
        return "small"
    return "large" if track.area_share >= LARGE else "of middle size"


def movement(track: TrackFigures) -> str:
    """How it moves, and where to; a single sighting says nothing of motion."""
    if track.sightings < 2:
        return "is seen in a single sampled frame"
    if track.speed < STILL:
        return "stands still"
    pace = "moves slowly" if track.speed < SLOW else "moves" if track.speed < QUICK else "moves quickly"
    ways = {"left": " to the left", "right": " to the right", "up": " upwards", "down": " downwards"}
    return pace + (ways[track.heading] if track.heading else " about one place")


def presence(track: TrackFigures, scene_seconds: float) -> str:
    """For how long it is in view."""
    if track.scene_share >= 0.95:
        return "in view throughout"
    return f"in view for {seconds(track.visible_seconds)} of {seconds(scene_seconds)}"


def seconds(value: float) -> str:
    """A time as people say it."""
    if value >= 90:
        return f"{int(value // 60)} min {value % 60:.0f} s" if value < 3600 else f"{int(value // 3600)} h {value % 3600 / 60:.0f} min"
    return f"{value:.1f} s"
