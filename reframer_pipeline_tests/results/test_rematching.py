"""What a correction lands on when something else has changed since: what it spoke of, or nothing."""

from __future__ import annotations

from typing import Any

import pytest

from reframer_pipeline.corrections import log
from reframer_pipeline.corrections.events import Delete, Reclass, Regrade, Rename, Split
from reframer_pipeline.corrections.log import Author
from reframer_pipeline.failures import ResultsChanged, ResultsGone
from reframer_pipeline.reading.tables import ELEMENTS, TRACKS, published_set
from reframer_pipeline.results import correcting
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.users import people
from reframer_pipeline_tests.corrections.walkers import (
    BROKEN,
    CUP,
    STAYS,
    Again,
    Thing,
    Walkers,
    computed,
    correct,
    place,
    recompute,
    seen,
    undo,
)

MUG, PART = Rename(track_id="obj_003", label="red mug"), Split(track_id="obj_003", frame=52)


def labels(storage: Storage, video_id: str) -> dict[str, str]:
    return {row["track_id"]: row["label"] for row in seen(storage, video_id, TRACKS)}


def applied(storage: Storage, video_id: str) -> list[bool | None]:
    return [row["applied"] for row in log.list_(storage.db, video_id)]


class Short(Walkers):
    things = (BROKEN, STAYS, CUP, Thing("product", "vase", 0.6, (0, 10), (18, 2, 24, 9)))


class Long(Walkers):
    things = (BROKEN, STAYS, CUP, Thing("product", "bottle", 0.9, (0, 100), (18, 2, 24, 9)))


def test_a_short_track_that_was_deleted_takes_no_long_one_with_it(storage: Storage) -> None:
    video_id = computed(storage, kind=Short)
    correct(storage, video_id, Delete(track_id="obj_004"))
    recompute(storage, video_id, kind=Long, conf=0.4)
    assert [row["sightings"] for row in seen(storage, video_id, TRACKS) if row["label"] == "bottle"] == [20]
    assert [row["applied"] for row in log.list_(storage.db, video_id)] == [False]
    recompute(storage, video_id, kind=Short, conf=0.3, vid_stride=3)
    assert [row["applied"] for row in log.list_(storage.db, video_id)] == [True]


def test_a_run_that_commits_meanwhile_leaves_no_correction_on_another_thing(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    video_id, real, once = computed(storage), correcting.make, list[int]()

    def slow(*args: Any) -> Any:
        made = real(*args)
        if not once:
            once.append(1)
            recompute(storage, video_id, kind=Again, conf=0.4)
        return made

    monkeypatch.setattr(correcting, "make", slow)
    with pytest.raises(ResultsChanged):
        correct(storage, video_id, MUG)
    assert "red mug" not in labels(storage, video_id).values() and log.list_(storage.db, video_id) == []


def test_ids_are_those_of_the_set_that_a_request_names(storage: Storage) -> None:
    video_id, by = computed(storage), Author(people.add(storage.db, people.LOCAL_USER))
    first = published_set(storage.db, video_id)
    correct(storage, video_id, Split(track_id="obj_002", frame=52))  # somebody else's obj_006
    correcting.correct(place(storage, video_id), [PART, Rename(track_id="obj_006", label="red mug")], by, first)
    assert {name: label for name, label in labels(storage, video_id).items() if name > "obj_005"} == {
        "obj_006": "person",
        "obj_007": "red mug",
    }
    recompute(storage, video_id, kind=Again, conf=0.4)
    with pytest.raises(ResultsChanged):
        correcting.correct(place(storage, video_id), [Delete(track_id="obj_002")], by, first)
    with pytest.raises(ResultsGone):
        correcting.correct(place(storage, video_id), [MUG], by, "00000000-0000-4000-8000-000000000000")


@pytest.mark.parametrize("part", ["obj_003", "obj_006"])
def test_a_part_that_was_deleted_does_not_take_the_whole_with_it_when_its_split_is_undone(storage: Storage, part: str) -> None:
    video_id = computed(storage)
    correct(storage, video_id, PART)
    correct(storage, video_id, Delete(track_id=part))
    undo(storage, video_id, 1)
    assert labels(storage, video_id)["obj_003"] == "cup" and applied(storage, video_id) == [None, False]


def test_the_id_of_a_part_is_no_other_part_when_an_earlier_split_is_undone(storage: Storage) -> None:
    video_id = computed(storage)
    correct(storage, video_id, Split(track_id="obj_002", frame=52))
    correct(storage, video_id, PART)
    correct(storage, video_id, Delete(track_id="obj_006"))
    correct(storage, video_id, Rename(track_id="obj_007", label="red mug"))
    undo(storage, video_id, 1)
    assert applied(storage, video_id) == [None, True, False, True] and labels(storage, video_id)["obj_007"] == "red mug"


def test_what_was_said_of_a_track_stays_when_its_class_is_corrected_or_that_is_undone(storage: Storage) -> None:
    video_id = computed(storage)
    (cup,) = (row for row in seen(storage, video_id, ELEMENTS) if row["track_ids"] == ["obj_003"])
    hard = Regrade(scene_number=cup["scene_number"], element_number=cup["element_number"], difficulty="hard")
    correct(storage, video_id, hard)
    correct(storage, video_id, Reclass.model_validate({"track_id": "obj_003", "class": "person"}))
    correct(storage, video_id, MUG)
    assert applied(storage, video_id) == [True, True, True]
    recompute(storage, video_id, kind=Again, conf=0.4, vid_stride=3)
    assert applied(storage, video_id) == [True, True, True]
    recompute(storage, video_id)
    undo(storage, video_id, 2)
    assert applied(storage, video_id) == [True, None, True] and labels(storage, video_id)["obj_003"] == "red mug"
    (cup,) = (row for row in seen(storage, video_id, ELEMENTS) if row["track_ids"] == ["obj_003"])
    assert cup["difficulty"] == "hard"


def test_it_is_said_which_corrections_lose_their_match(storage: Storage) -> None:
    video_id = computed(storage)
    assert correct(storage, video_id, PART, Rename(track_id="obj_006", label="jug"))[0]["no_longer_match"] == []
    assert undo(storage, video_id, 1) == [2]
    (cup,) = (row for row in seen(storage, video_id, ELEMENTS) if row["track_ids"] == ["obj_003"])
    correct(storage, video_id, Regrade(scene_number=cup["scene_number"], element_number=cup["element_number"], difficulty="hard"))
    assert correct(storage, video_id, Delete(track_id="obj_003"))[0]["no_longer_match"] == [3]
