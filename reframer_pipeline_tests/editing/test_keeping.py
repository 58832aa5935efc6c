"""What is kept of mattes and reframed videos: made once, taken up again, told why not. On results made by hand, as keyframes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from reframer_pipeline.corrections.events import Rename
from reframer_pipeline.corrections.log import Author
from reframer_pipeline.editing import keeping, wishes
from reframer_pipeline.editing.wishes import MatteWish, ReframeWish
from reframer_pipeline.failures import (
    DatabaseUnavailable,
    LeaseLost,
    NothingThere,
    NotPublished,
    RatioImpossible,
    ReframerError,
    RequestInvalid,
    ResultsGone,
    StageStalled,
    StoreUnavailable,
)
from reframer_pipeline.handover import Progress
from reframer_pipeline.results import correcting, deliverables
from reframer_pipeline.results.deliverable import TRANSITIONS, Deliverable, Event
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.users import people
from reframer_pipeline_tests.editing.kept import OTHER, PATH, TOKEN, due, made, now, objects, scratch_is_empty, silent, text, wanted
from reframer_pipeline_tests.factories import add_video

CHILD = """
import os, signal, sys
from reframer_pipeline.settings import Settings
from reframer_pipeline.editing import keeping
from reframer_pipeline.results.storage import open_storage
with open_storage(Settings(home=sys.argv[1], database_url=sys.argv[2])) as storage:
    put = storage.store.put
    def die(*args, **more):
        put(*args, **more)
        os.kill(os.getpid(), signal.SIGKILL)
    storage.store.put = die
    keeping.make(storage, sys.argv[3], sys.argv[4])
"""


def test_asked_twice_is_made_once(storage: Storage) -> None:
    first = wanted(storage)
    again = keeping.ask(storage, first.video_id, ReframeWish(ratio="9/16", form="json", letterbox=False))  # in other words
    assert again == first and first.status == "wanted" and (first.filename, first.media_type) == ("reframed-9x16.json", "application/json")
    done = made(storage, first)
    assert (done.status, done.progress, done.attempts) == ("made", 1.0, 0) and objects(storage) == [done.object_key]
    plan = json.loads(text(storage, done))
    assert plan["ratio"] == "9:16" and len(plan["shots"]) == 2 and done.object_bytes == len(text(storage, done))
    assert keeping.ask(storage, first.video_id, PATH) == done and keeping.make(storage, first.id, OTHER) is None
    assert keeping.ask(storage, first.video_id, ReframeWish(ratio="9:16", form="json", scene=2)).id != first.id
    assert len(objects(storage)) == 1 and scratch_is_empty(storage)


def test_a_file_that_has_the_videos_name_in_it_is_that_names(storage: Storage) -> None:
    one = wanted(storage)
    ids = {keeping.ask(storage, one.video_id, PATH, filename=name).id for name in ("a.mp4", "b.mp4", "a.mp4")}
    assert len(ids) == 2 and {now(storage, replace(one, key=one.key)).names_video} == {"upload-0.mp4"}
    clip = ReframeWish(ratio="9:16", form="sendcmd")
    (kept,) = {keeping.ask(storage, one.video_id, clip, filename=name).names_video for name in ("a.mp4", "b.mp4")}
    assert kept is None


@pytest.mark.parametrize(
    ("wish", "refused"),
    [
        (ReframeWish(ratio="9:16", tracks=["obj_009"]), NothingThere),
        (ReframeWish(ratio="1:0"), RatioImpossible),
        (ReframeWish(ratio="9:16", scene=3), NothingThere),
        (MatteWish(tracks=["obj_009"]), NothingThere),
        (MatteWish(elements=["1.7"]), NothingThere),
    ],
)
def test_what_cannot_be_is_said_at_once(storage: Storage, wish: wishes.AnyWish, refused: type[Exception]) -> None:
    one = wanted(storage)
    with pytest.raises(refused):
        keeping.ask(storage, one.video_id, wish)
    assert len(storage.db.fetch("SELECT 1 FROM deliverables")) == 1


def test_without_results_there_is_nothing_to_ask_for(storage: Storage) -> None:
    video, _ = add_video(storage, 5)
    with pytest.raises(NotPublished):
        keeping.ask(storage, video, PATH)


@pytest.mark.parametrize(
    "values", [{}, {"kind": "matte"}, {"kind": "matte", "scene": 1, "form": "luma", "cutout": True}, {"kind": "reframe", "ratio": "wide"}]
)
def test_a_wish_that_does_not_fit_says_where(values: dict[str, object]) -> None:
    with pytest.raises(RequestInvalid, match="does not fit"):
        wishes.read(values)


def test_killed_between_the_store_and_the_row(storage: Storage) -> None:
    one = wanted(storage)
    assert storage.settings.database_url is not None
    place = str(storage.settings.home_dir), storage.settings.database_url.get_secret_value()
    ended = subprocess.run([sys.executable, "-c", CHILD, *place, one.id, TOKEN], env=os.environ | {"REFRAMER_HOME": place[0]}, check=False)
    assert ended.returncode == -signal.SIGKILL
    (orphan,) = objects(storage)
    assert now(storage, one).status == "making" and keeping.make(storage, one.id, OTHER) is None  # it may live
    silent(storage, one)
    done = made(storage, one, OTHER)
    assert (done.status, done.attempts, done.token) == ("made", 1, OTHER) and set(objects(storage)) == {orphan, done.object_key}


def test_whoever_was_taken_over_keeps_nothing(storage: Storage, tmp_path: Path) -> None:
    one = wanted(storage)
    claimed = deliverables.claim(storage.db, one.id, TOKEN)
    silent(storage, one)
    done = made(storage, one, OTHER)
    assert claimed is not None
    (tmp_path / "late.json").write_text("late")
    for act in (
        lambda: deliverables.alive(storage.db, one.id, TOKEN),
        lambda: deliverables.keep(storage.db, storage.store, claimed, TOKEN, tmp_path / "late.json", 1.0),
    ):
        with pytest.raises(LeaseLost):
            act()
    deliverables.end(storage.db, one.id, StoreUnavailable("Away."), 5, TOKEN)
    assert now(storage, one) == done and objects(storage) == [done.object_key]


def test_a_failure_keeps_its_reason_and_a_new_wish_tries_again(storage: Storage) -> None:
    one = wanted(storage, wish=ReframeWish(ratio="9:16"))  # a clip, and the upload is no film
    with pytest.raises(ReframerError) as told:
        keeping.make(storage, one.id, TOKEN)
    failed = now(storage, one)
    assert not told.value.retryable and (failed.status, failed.failure_code, failed.attempts) == ("failed", told.value.code, 1)
    assert failed.failure_message == str(told.value)
    assert keeping.make(storage, one.id, OTHER) is None and objects(storage) == [] and scratch_is_empty(storage)
    again = keeping.ask(storage, one.video_id, ReframeWish(ratio="9:16"))
    assert (again.id, again.status, again.failure_code, again.attempts) == (one.id, "wanted", None, 0)
    assert again.wanted_at is not None and one.wanted_at is not None and again.wanted_at > one.wanted_at


def test_what_passes_is_tried_again_after_a_pause_and_not_for_ever(storage: Storage) -> None:
    one, tries = wanted(storage), 3
    for attempt in range(1, tries + 1):
        assert [found.id for found in deliverables.due(storage.db, 9)] == [one.id]
        before = now(storage, one)
        assert deliverables.claim(storage.db, one.id, TOKEN) and deliverables.due(storage.db, 9) == []
        deliverables.end(storage.db, one.id, StoreUnavailable("Away."), tries, TOKEN)
        deliverables.end(storage.db, one.id, StoreUnavailable("Away."), tries, TOKEN)  # told twice
        stands = now(storage, one)
        assert stands.attempts == attempt and deliverables.due(storage.db, 9) == []
        assert stands.wanted_at and before.wanted_at and stands.wanted_at > before.wanted_at
        assert stands.status == ("failed" if attempt == tries else "wanted")
        due(storage, one)
    assert now(storage, one).failure_code == "store_unavailable"


def test_a_slow_upload_gives_signs_of_life_and_can_be_ended(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    one, put, told = wanted(storage), storage.store.put, list[bool]()
    putting = False

    def slow(source: Path, key: str, alive: Callable[[], None] = lambda: None) -> int:
        nonlocal putting
        putting = True
        try:
            alive(), alive()  # as after each part
            return put(source, key, alive)
        finally:
            putting = False

    monkeypatch.setattr(storage.store, "put", slow)
    assert keeping.make(storage, one.id, TOKEN, alive=lambda: told.append(putting)) and sum(told) >= 2

    def interrupted() -> None:
        if putting:
            raise StageStalled("It stands still.")

    other = keeping.ask(storage, one.video_id, ReframeWish(ratio="1:1", form="json"))
    with pytest.raises(StageStalled):
        keeping.make(storage, other.id, TOKEN, alive=interrupted)
    assert now(storage, other).status == "wanted"  # again


def test_a_note_of_how_far_it_is_that_cannot_be_taken_ends_nothing(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    one, write = wanted(storage), keeping._write

    def away(*_: object) -> None:
        raise DatabaseUnavailable("Away.")

    def telling(storage: Storage, one: Deliverable, target: Path, progress: Progress) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(deliverables, "alive", away)
            progress(1, 2)
        write(storage, one, target, progress)

    monkeypatch.setattr(keeping, "_write", telling)
    assert made(storage, one).status == "made"


def test_one_that_is_deleted_while_it_is_made_leaves_nothing(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    one, put = wanted(storage), storage.store.put

    def meanwhile(*args: object, **more: object) -> int:
        assert deliverables.delete(storage.db, storage.store, one.id)
        return put(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(storage.store, "put", meanwhile)
    with pytest.raises(LeaseLost):
        keeping.make(storage, one.id, TOKEN)
    assert deliverables.find(storage.db, one.id) is None and objects(storage) == []
    assert not deliverables.delete(storage.db, storage.store, one.id)


def test_one_whose_object_is_gone_is_made_again(storage: Storage) -> None:
    one = wanted(storage)
    done = made(storage, one)
    assert done.object_key is not None
    storage.store.delete(done.object_key)
    assert keeping.ask(storage, one.video_id, PATH).status == "wanted"
    assert text(storage, made(storage, one))


def test_results_that_went_meanwhile(storage: Storage) -> None:
    one = wanted(storage)
    before = wishes.resolve(storage, one.video_id, "upload-0.mp4", PATH)
    storage.db.execute("DELETE FROM published WHERE video_id = %s", (one.video_id,))
    storage.db.execute("DELETE FROM results WHERE video_id = %s", (one.video_id,))
    assert deliverables.find(storage.db, one.id) is None
    with pytest.raises(ResultsGone):
        deliverables.ask(storage.db, before, deliverables.Asker())


def test_of_results_that_were_corrected_by_hand(storage: Storage) -> None:
    one = wanted(storage)
    matte = keeping.ask(storage, one.video_id, MatteWish(tracks=["obj_001"]))
    place = correcting.Place(storage.db, storage.store, storage.settings.scratch_dir, one.video_id)
    correcting.correct(place, [Rename(track_id="obj_001", label="walker")], Author(people.add(storage.db, "ann@example.org")))
    corrected = keeping.ask(storage, one.video_id, MatteWish(tracks=["obj_001"]))
    assert corrected.id != matte.id and corrected.result_id != matte.result_id
    published = storage.db.fetch("SELECT stage, result_id::text AS id FROM published WHERE video_id = %s", (one.video_id,))
    assert {tuple(pair) for pair in corrected.ordered["results"]} == {(row["stage"], row["id"]) for row in published}
    plan = json.loads(
        text(storage, made(storage, keeping.ask(storage, one.video_id, ReframeWish(ratio="9:16", label="walker", form="json"))))
    )
    assert {subject["track_id"] for shot in plan["shots"] for subject in shot["subjects"]} == {"obj_001"}


def test_transitions_leave_no_way_from_made_but_to_evicted() -> None:
    assert {event for event, (sources, _) in TRANSITIONS.items() if "made" in sources} == {Event.LOST}
    assert all(target not in sources for event, (sources, target) in TRANSITIONS.items() if event not in (Event.TAKEN, Event.AGAIN))
