"""Finding again what a correction speaks of: by where it was, and never by guessing."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pytest

from reframer_pipeline.corrections import evidence
from reframer_pipeline.corrections.applying import NOT_FOUND, correct_scenes, correct_tracks
from reframer_pipeline.corrections.events import Event, Merge, Regrade, Rename, Split, body, change_of
from reframer_pipeline.corrections.tracks import Track, Tracks
from reframer_pipeline.schemas import TRAJECTORY_FRAME


def track(
    name: str,
    frames: Iterable[int],
    x: float = 0,
    kind: str = "person",
    step: float = 1,
    size: float = 40,
    y: float = 0,
    seconds: float = 0.1,
) -> Track:
    """A box that moves to the right by `step` pixels a frame."""
    seen = [
        {
            "frame": n, "timestamp": n / 30, "x1": x + step * n, "y1": y, "x2": x + step * n + size, "y2": y + 40, "confidence": 0.9,
            "detection_id": f"{name}/{n}", "seconds": seconds,
        }
        for n in frames
    ]  # fmt: skip
    return Track(name, kind, kind, pa.array(seen, TRAJECTORY_FRAME), 0.9)


def tracks(*those: Track) -> Tracks:
    return Tracks({one.track_id: one for one in those}, 100)


MEANT = track("obj_001", range(0, 100, 5))


@pytest.mark.parametrize(
    ("others", "found"),
    [
        ([track("obj_007", range(0, 100, 5))], "obj_007"),
        ([track("obj_007", range(1, 100, 7))], "obj_007"),  # other frames: the box is told from its neighbours
        ([track("obj_007", range(0, 100, 5), x=10)], "obj_007"),  # a detector that draws boxes elsewhere
        ([track("obj_007", range(0, 100, 5), x=20)], None),  # by half a box: less than half of both is shared
        ([track("obj_007", range(0, 40, 5))], None),  # less than half of its time
        ([track("obj_007", range(0, 40, 5)), track("obj_008", range(40, 100, 5))], "obj_008"),  # the larger part
        ([track("obj_007", range(0, 100, 5), kind="product")], None),
        ([track("obj_007", range(0, 100, 5), x=4), track("obj_008", range(0, 100, 5), x=-4)], None),  # one as good as the other
        ([track("obj_007", range(0, 100, 5), x=2), track("obj_008", range(0, 100, 5), x=12)], "obj_007"),
        ([track("obj_007", range(0, 100, 5)), track("obj_008", range(0, 100, 5), x=1)], "obj_007"),  # the very boxes
        ([track("obj_007", range(200, 300, 5), x=-200)], None),
        ([track("obj_007", range(0, 120, 5))], "obj_007"),  # it is seen a little longer
        ([track("obj_007", range(0, 200, 5))], None),  # what was spoken of is half of it
        ([], None),
    ],
)
def test_it_is_the_track_that_was_there(others: list[Track], found: str | None) -> None:
    meant = evidence.find(others, evidence.of_track(MEANT))
    assert (meant.track_id if meant else None) == found


@pytest.mark.parametrize("every", [1, 3, 15])
def test_a_track_that_was_seen_once_is_found_at_other_frames(every: int) -> None:
    meant = evidence.find([track("obj_007", range(15, 20, every), seconds=every / 30)], evidence.of_track(track("a", [15], seconds=5 / 30)))
    assert meant is not None


def test_who_spoke_of_two_sightings_has_not_spoken_of_twenty() -> None:
    twenty, said = track("obj_007", range(0, 100, 5)), evidence.of_track(track("obj_001", [0, 5]))
    assert evidence.find([twenty], said) is None
    assert evidence.find([twenty], said, part=True) is twenty  # where it is to be split


def test_many_corrections_of_many_tracks_take_little() -> None:
    many = [track(f"obj_{n:03}", range(0, 100, 5), x=50 * (n % 25), y=50 * (n // 25), step=0) for n in range(1, 301)]
    events = [
        Event(str(n), Rename(track_id=one.track_id, label="mug"), {one.track_id: evidence.of_track(one)}) for n, one in enumerate(many)
    ]
    began = time.process_time()
    now, standing, _ = correct_tracks(tracks(*many), events)
    assert {one.label for one in now.by_id.values()} == {"mug"} and set(standing.values()) == {None}
    assert time.process_time() - began < 10


def test_evidence_is_small_however_long_the_track() -> None:
    said = evidence.of_track(track("obj_001", range(10_000)))
    assert len(said["boxes"]) == evidence.BOXES and said["boxes"][0][0] == 0 and said["boxes"][-1][0] == 9_999


def event(change: Any, *of: Track) -> Event:
    return Event(f"event {change.kind}", change, {one.track_id: evidence.of_track(one) for one in of})


def test_corrections_follow_one_another_and_each_stands_for_itself() -> None:
    rest, other = track("obj_002", range(110, 200, 5)), track("obj_003", range(0, 200, 5), x=300)
    events = [
        event(Merge(track_id="obj_001", other_id="obj_002"), MEANT, rest),
        event(Rename(track_id="obj_009", label="gone"), track("obj_009", range(0, 50), x=900)),
        event(Split(track_id="obj_003", frame=102), other),
    ]
    now, standing, _ = correct_tracks(tracks(MEANT, rest, other), events)
    assert list(standing.values()) == [None, NOT_FOUND, None]
    assert {name: len(one.frames) for name, one in now.by_id.items()} == {"obj_001": 38, "obj_003": 21, "obj_100": 19}
    assert now.by_id["obj_001"].numbers.tolist() == sorted(now.by_id["obj_001"].numbers.tolist())
    joined, standing, _ = correct_tracks(tracks(track("obj_001", range(0, 200, 5)), other), events[:1])  # the tracker has done it by itself
    assert standing["event merge"] is not None and len(joined.by_id) == 2


def test_an_element_is_found_by_its_tracks_or_by_its_words() -> None:
    def scenes(name: str) -> list[dict[str, Any]]:
        elements = [
            {"type": "person", "description": "a person", "difficulty": "easy", "tracks": [name]},
            {"type": "product", "description": "a spaceship", "difficulty": "easy", "tracks": []},
        ]
        return [{"scene_number": 1, "start_frame": 0, "end_frame": 100, "replaceable_elements": elements}]

    before, after = tracks(MEANT), tracks(track("obj_007", range(1, 100, 4)))
    (scene,) = scenes("obj_001")
    for place, element in enumerate(scene["replaceable_elements"]):
        said = Event("e", Regrade(scene_number=1, element_number=place + 1, difficulty="hard"), {
            "element": evidence.of_element(scene, element, before.by_id)
        })  # fmt: skip
        ((now,), standing) = correct_scenes(scenes("obj_007"), after, [said], correct_tracks(after, [said]).spoken)
        assert standing == {"e": None} and [one["difficulty"] for one in now["replaceable_elements"]].index("hard") == place
        apart = tracks(track("obj_008", range(90), x=500))
        found = correct_scenes(scenes("obj_008"), apart, [said], correct_tracks(apart, [said]).spoken)
        assert found[1] == {"e": None if place else NOT_FOUND}


@pytest.mark.parametrize("change", [Rename(track_id="obj_003", label=" a\n b "), Merge(track_id="obj_003", other_id="obj_1000")])
def test_a_change_is_the_same_after_the_database(change: Any) -> None:
    assert change_of(body(change)) == change and "\n" not in str(body(change))
