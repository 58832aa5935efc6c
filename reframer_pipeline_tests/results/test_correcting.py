"""Corrections: readers see the corrected whole, whatever is computed again, and every face sees the same."""

from __future__ import annotations

import pytest

from reframer_pipeline.corrections import log
from reframer_pipeline.corrections.events import Change, Delete, Merge, Reclass, Regrade, Rename, Split
from reframer_pipeline.failures import (
    CorrectionRefused,
    NotPublished,
    RowsArchived,
    TracksOverlap,
    UnknownCorrection,
    UnknownElement,
    UnknownTrack,
)
from reframer_pipeline.reading.tables import ELEMENTS, SIGHTINGS, TRACKS, published_set
from reframer_pipeline.results.storage import Storage
from reframer_pipeline_tests.corrections.walkers import Again, Less, OnAStand, computed, correct, everything, recompute, seen, undo


def tracks(storage: Storage, video_id: str) -> dict[str, tuple[str, str, int]]:
    return {row["track_id"]: (row["class"], row["label"], row["sightings"]) for row in seen(storage, video_id, TRACKS)}


def test_a_renamed_track_has_its_name_everywhere(storage: Storage) -> None:
    video_id = computed(storage)
    before = everything(storage, video_id)
    (event,) = correct(storage, video_id, Rename(track_id="obj_003", label="red mug"))
    assert (event["number"], event["says"], event["applied"], event["email"]) == (1, "obj_003 is red mug", True, "local@localhost")
    after = everything(storage, video_id)
    assert [row["label"] for row in after["tracks"] if row["by_hand"]] == ["red mug"]
    assert {row["label"] for row in after["sightings"] if row["track_id"] == "obj_003"} == {"red mug"}
    cups = [row for row in before["elements"] if row["label"] == "cup"]
    assert [row["label"] for row in after["elements"] if row["by_hand"]] == ["red mug"] * len(cups) != []
    assert "red mug" in after["scenes"][0]["description"] and "cup" not in after["scenes"][0]["description"]
    rest = [{**row, "result_id": None} for row in after["tracks"] if not row["by_hand"]]
    assert rest == [{**row, "result_id": None} for row in before["tracks"] if row["track_id"] != "obj_003"]
    assert after["masks"] == [{**row, "result_id": after["masks"][0]["result_id"]} for row in before["masks"]]


def test_a_correction_makes_another_set_and_undoing_it_gives_the_old_one(storage: Storage) -> None:
    video_id = computed(storage)
    old, before = published_set(storage.db, video_id), everything(storage, video_id)
    correct(storage, video_id, Merge(track_id="obj_001", other_id="obj_005"))
    new = published_set(storage.db, video_id)
    assert new != old and tracks(storage, video_id)["obj_001"][2] == 18 and "obj_005" not in tracks(storage, video_id)
    assert seen(storage, video_id, TRACKS)[0]["by_hand"] == ["merged"]
    undo(storage, video_id, 1)
    assert published_set(storage.db, video_id) == old and everything(storage, video_id) == before
    with pytest.raises(UnknownCorrection):
        undo(storage, video_id, 1)
    (row,) = log.list_(storage.db, video_id)
    assert row["undone_at"] is not None and row["applied"] is None


def test_a_deleted_track_takes_its_sightings_masks_and_elements_with_it(storage: Storage) -> None:
    video_id = computed(storage)
    before = everything(storage, video_id)
    gone = {row["detection_id"] for row in before["sightings"] if row["track_id"] == "obj_004"}
    correct(storage, video_id, Delete(track_id="obj_004"))
    after = everything(storage, video_id)
    for name in ("sightings", "masks"):
        assert [row["detection_id"] for row in after[name]] == [r["detection_id"] for r in before[name] if r["detection_id"] not in gone]
    assert len(gone) == 8 and not any("obj_004" in row["track_ids"] for row in after["elements"])
    with pytest.raises(UnknownTrack, match="deleted by hand"):
        correct(storage, video_id, Rename(track_id="obj_004", label="x"))


def test_a_split_track_is_two_with_figures_of_their_own(storage: Storage) -> None:
    video_id = computed(storage)
    correct(storage, video_id, Split(track_id="obj_002", frame=52))
    found = {row["track_id"]: row for row in seen(storage, video_id, TRACKS)}
    assert (found["obj_002"]["start_frame"], found["obj_002"]["end_frame"]) == (0, 51)
    assert (found["obj_006"]["start_frame"], found["obj_006"]["end_frame"]) == (55, 96)
    assert found["obj_006"]["by_hand"] == found["obj_002"]["by_hand"] == ["split"] and found["obj_006"]["area_share"] > 0
    whose = {
        row["frame_number"]: row["track_id"] for row in seen(storage, video_id, SIGHTINGS) if row["track_id"] in ("obj_002", "obj_006")
    }
    assert whose[50] == "obj_002" and whose[55] == "obj_006"


def test_what_is_seen_behind_corrected_tracks_is_measured_anew_without_a_picture(storage: Storage) -> None:
    """One column of pixels is covered all the time: of 19 that it passes, then of 15 and of 14. The frame store here holds none."""
    video_id = computed(storage, kind=OnAStand)
    before = {row["track_id"]: row["plate_never_seen"] for row in seen(storage, video_id, TRACKS)}
    assert before["obj_002"] == pytest.approx(1 / 19, abs=1e-4)
    correct(storage, video_id, Split(track_id="obj_002", frame=52))
    after = {row["track_id"]: row["plate_never_seen"] for row in seen(storage, video_id, TRACKS)}
    assert after == {**before, "obj_002": pytest.approx(1 / 15, abs=1e-4), "obj_006": pytest.approx(1 / 14, abs=1e-4)}
    (element,) = [row for row in seen(storage, video_id, ELEMENTS) if row["track_ids"] == ["obj_006"]]
    assert element["plate_never_seen"] == after["obj_006"] and element["plate_frames"][0] == 0
    correct(storage, video_id, Delete(track_id="obj_006"))  # nobody stands there any more
    assert {row["track_id"]: row["plate_never_seen"] for row in seen(storage, video_id, TRACKS)} == {**before, "obj_002": 0.0}


def test_where_the_camera_was_not_looked_at_nothing_is_said_of_corrected_tracks_either(storage: Storage) -> None:
    video_id = computed(storage)
    correct(storage, video_id, Split(track_id="obj_002", frame=52))
    assert {(row["plate_never_seen"], row["plate_missing"], *row["plate_frames"]) for row in seen(storage, video_id, ELEMENTS)} == {
        (None, None)
    }


def test_another_class_is_that_of_sightings_and_elements(storage: Storage) -> None:
    video_id = computed(storage)
    correct(storage, video_id, Reclass.model_validate({"track_id": "obj_002", "class": "product"}))
    assert tracks(storage, video_id)["obj_002"][0] == "product"
    assert {row["class"] for row in seen(storage, video_id, SIGHTINGS) if row["track_id"] == "obj_002"} == {"product"}
    assert [row["class"] for row in seen(storage, video_id, ELEMENTS) if row["track_ids"] == ["obj_002"]] == ["product"]


def test_a_difficulty_by_hand_stands_beside_the_measured_one(storage: Storage) -> None:
    video_id = computed(storage)
    first = seen(storage, video_id, ELEMENTS)[0]
    other = "hard" if first["difficulty"] != "hard" else "easy"
    correct(storage, video_id, Regrade(scene_number=1, element_number=1, difficulty=other))
    element = seen(storage, video_id, ELEMENTS)[0]
    assert (element["difficulty"], element["measured_difficulty"], element["by_hand"]) == (
        other,
        first["measured_difficulty"],
        ["difficulty"],
    )
    correct(storage, video_id, Rename(track_id=element["track_ids"][0], label="somebody"))  # it is found again in scenes described anew
    (again,) = [one for one in seen(storage, video_id, ELEMENTS) if one["track_ids"] == element["track_ids"]]
    assert (again["difficulty"], again["label"], again["by_hand"]) == (other, "somebody", ["difficulty", "label"])


def test_what_is_computed_with_other_settings_keeps_the_corrections(storage: Storage) -> None:
    video_id = computed(storage)
    correct(storage, video_id, Rename(track_id="obj_003", label="red mug"), Merge(track_id="obj_001", other_id="obj_005"))
    correct(storage, video_id, Delete(track_id="obj_004"), Rename(track_id="obj_001", label="Anna"))
    maker = recompute(storage, video_id, kind=Again, conf=0.4, vid_stride=3)  # other frames are looked at, and all ids are others
    assert published_set(storage.db, video_id) != maker.keys["scenes"].result_id
    assert tracks(storage, video_id) == {
        "obj_001": ("product", "book", 34), "obj_002": ("person", "Anna", 14 + 17), "obj_003": ("person", "person", 34),
        "obj_004": ("product", "red mug", 34),
    }  # fmt: skip
    assert all(row["applied"] for row in log.list_(storage.db, video_id))
    recompute(storage, video_id)  # back to what it was
    assert tracks(storage, video_id)["obj_003"] == ("product", "red mug", 20)


def test_what_is_not_there_any_more_is_said_to_be_so_and_corrected_nowhere_else(storage: Storage) -> None:
    video_id = computed(storage)
    correct(storage, video_id, Rename(track_id="obj_003", label="red mug"), Delete(track_id="obj_004"))
    recompute(storage, video_id, kind=Less, conf=0.45)
    assert tracks(storage, video_id) == {
        "obj_001": ("person", "person", 8),
        "obj_002": ("person", "person", 20),
        "obj_003": ("person", "person", 10),
    }
    listed = log.list_(storage.db, video_id)
    assert [row["applied"] for row in listed] == [False, False] and "not in these results" in listed[0]["trouble"]
    recompute(storage, video_id)
    assert tracks(storage, video_id)["obj_003"][1] == "red mug" and [row["applied"] for row in log.list_(storage.db, video_id)] == [
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("asked", "failure", "said"),
    [
        (Rename(track_id="obj_099", label="x"), UnknownTrack, "no track obj_099"),
        (Rename(track_id="obj_003", label="cup"), CorrectionRefused, "already"),
        (Merge(track_id="obj_001", other_id="obj_002"), TracksOverlap, "both seen in 8 frames"),
        (Merge(track_id="obj_001", other_id="obj_001"), CorrectionRefused, "itself"),
        (Merge(track_id="obj_001", other_id="obj_003"), CorrectionRefused, "is a person and obj_003 a product"),
        (Split(track_id="obj_001", frame=0), CorrectionRefused, "from frame 0 to 35"),
        (Split(track_id="obj_001", frame=36), CorrectionRefused, "from frame 0 to 35"),
        (Regrade(scene_number=9, element_number=1, difficulty="easy"), UnknownElement, "scene 9"),
        (Regrade(scene_number=1, element_number=99, difficulty="easy"), UnknownElement, "element 99"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(storage: Storage, asked: Change, failure: type[Exception], said: str) -> None:
    video_id = computed(storage)
    before = everything(storage, video_id)
    with pytest.raises(failure, match=said):
        correct(storage, video_id, Rename(track_id="obj_002", label="Bert"), asked)  # all of it, or nothing
    assert log.list_(storage.db, video_id) == [] and everything(storage, video_id) == before


def test_there_must_be_something_to_correct(storage: Storage) -> None:
    video_id = computed(storage)
    storage.db.execute("UPDATE results SET archived_at = now()")
    with pytest.raises(RowsArchived):
        correct(storage, video_id, Delete(track_id="obj_001"))
    storage.db.execute("DELETE FROM published")
    with pytest.raises(NotPublished):
        correct(storage, video_id, Delete(track_id="obj_001"))
