"""A corrected set is a set like any other: archived, swept, rebuilt and deleted, and planning takes it for what was computed."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from reframer_pipeline.corrections import log
from reframer_pipeline.corrections.events import Delete, Merge, Regrade, Rename
from reframer_pipeline.corrections.log import Author
from reframer_pipeline.failures import (
    CorrectionRefused,
    DatabaseUnavailable,
    IdempotencyKeyReused,
    ResultsGone,
    RowsArchived,
    StoreUnavailable,
)
from reframer_pipeline.planning.survey import survey
from reframer_pipeline.reading.tables import TRACKS, page, published_set
from reframer_pipeline.results import commit, corrected, correcting, shown
from reframer_pipeline.results.rebuild import rebuild
from reframer_pipeline.results.shown import marked
from reframer_pipeline.results.storage import Storage, open_storage
from reframer_pipeline.retention import archive, deletion
from reframer_pipeline.retention.sweep import sweep
from reframer_pipeline.stages import NAMES
from reframer_pipeline.stages.order import recipes
from reframer_pipeline.store.objects import shown_key
from reframer_pipeline.users import people
from reframer_pipeline.work import lease
from reframer_pipeline_tests.corrections.walkers import FRAMES, Again, Walkers, computed, correct, everything, place, recompute, seen, undo
from reframer_pipeline_tests.factories import WEIGHTS, commit_all, whole
from reframer_pipeline_tests.retention import ages
from reframer_pipeline_tests.servers import Server, fresh_database
from reframer_pipeline_tests.support import REPOSITORY

MUG, JOINED, GONE = Rename(track_id="obj_003", label="red mug"), Merge(track_id="obj_001", other_id="obj_005"), Delete(track_id="obj_004")


CHILD = """
import os, signal, sys
from reframer_pipeline.corrections.events import Delete
from reframer_pipeline.results import shown
from reframer_pipeline.results.storage import open_storage
from reframer_pipeline.settings import Settings
from reframer_pipeline_tests.corrections.walkers import correct, undo

home, url, video_id, act, moment = sys.argv[1:]
write = shown._write

def die(*arguments):
    if moment == "before COMMIT":
        write(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(shown, "_write" if moment == "before COMMIT" else "settle", die)
with open_storage(Settings(home=home, database_url=url)) as storage:
    correct(storage, video_id, Delete(track_id="obj_004")) if act == "correct" else undo(storage, video_id, 1)
"""


def killed(storage: Storage, video_id: str, act: str, moment: str) -> None:
    """A process of its own corrects, or undoes, and dies at that moment."""
    assert storage.settings.database_url is not None
    place = str(storage.settings.home_dir), storage.settings.database_url.get_secret_value()
    ended = subprocess.run([sys.executable, "-c", CHILD, *place, video_id, act, moment], cwd=REPOSITORY, check=False)
    assert ended.returncode == -signal.SIGKILL


@pytest.fixture
def second(storage: Storage, embedded_server: Server) -> Iterator[Storage]:
    """Another, empty database for the same store."""
    for url in fresh_database(embedded_server):
        with open_storage(storage.settings.model_copy(update={"database_url": SecretStr(url)})) as opened:
            yield opened


def maker_of(storage: Storage, video_id: str, kind: type[Walkers] = Walkers, **changed: Any) -> Walkers:
    row = storage.db.fetch_one("SELECT sha256 FROM videos WHERE id = %s", (video_id,))
    assert row is not None
    return kind(row["sha256"], storage.settings.model_copy(update=changed), frame_count=FRAMES)


def test_what_is_archived_comes_back_corrected(storage: Storage) -> None:
    video_id = computed(storage)
    correct(storage, video_id, MUG, JOINED, GONE, Regrade(scene_number=1, element_number=1, difficulty="hard"))
    before = everything(storage, video_id)
    with lease.hold(storage.db, video_id, "test") as token:
        assert archive.archive(storage.db, storage.store, video_id, token) > 0
        archive.restore(storage.db, storage.store, video_id, token)
    assert everything(storage, video_id) == before


def test_a_sweep_keeps_what_corrected_results_stand_for_and_takes_what_they_replaced(storage: Storage) -> None:
    video_id = computed(storage)
    correct(storage, video_id, MUG)
    middle = published_set(storage.db, video_id)
    correct(storage, video_id, JOINED)
    before, first = everything(storage, video_id), ages.objects(storage)
    ages.age_database(storage, 9)
    ages.age_objects(storage, 9)
    sweep(storage.db, storage.store, 7)
    assert everything(storage, video_id) == before and len(first - ages.objects(storage)) == 2  # the tracks and scenes in between
    with pytest.raises(ResultsGone):
        page(storage.db, TRACKS, middle)
    undo(storage, video_id, 2)
    undo(storage, video_id, 1)
    assert published_set(storage.db, video_id) == maker_of(storage, video_id).keys["scenes"].result_id


def test_a_rebuild_from_the_store_has_the_corrections_and_they_go_on_to_count(storage: Storage, second: Storage) -> None:
    video_id = computed(storage)
    correct(storage, video_id, MUG, JOINED)
    rebuilt = rebuild(second.db, second.store)
    assert (rebuilt.results, rebuilt.published, rebuilt.skipped) == (8, 1, [])
    assert everything(second, video_id) == everything(storage, video_id)
    assert [row["says"] for row in log.list_(second.db, video_id)] == ["obj_003 is red mug", "obj_005 is part of obj_001"]
    recompute(second, video_id, kind=Again, conf=0.4)
    assert [row["label"] for row in seen(second, video_id, TRACKS) if row["by_hand"]] == ["person", "red mug"]


def test_a_rebuild_does_not_bring_back_what_was_undone(storage: Storage, second: Storage) -> None:
    video_id = computed(storage)
    correct(storage, video_id, MUG)
    correct(storage, video_id, GONE)
    undo(storage, video_id, 2)
    rebuild(second.db, second.store)
    assert everything(second, video_id) == everything(storage, video_id)
    assert [row["says"] for row in log.list_(second.db, video_id)] == ["obj_003 is red mug"]


def test_a_rebuild_after_all_was_undone_and_computed_anew_shows_that(storage: Storage, second: Storage) -> None:
    video_id = computed(storage)
    correct(storage, video_id, MUG)
    undo(storage, video_id, 1)
    recompute(storage, video_id, kind=Again, conf=0.4)
    rebuild(second.db, second.store)
    assert everything(second, video_id) == everything(storage, video_id) and log.list_(second.db, video_id) == []


@pytest.mark.parametrize("act", ["correct", "undo"])
def test_killed_right_after_the_commit_a_rebuild_shows_what_readers_saw(storage: Storage, second: Storage, act: str) -> None:
    video_id = computed(storage)
    correct(storage, video_id, MUG)
    before = everything(storage, video_id)
    killed(storage, video_id, act, "after COMMIT")
    assert everything(storage, video_id) != before
    rebuild(second.db, second.store)
    assert everything(second, video_id) == everything(storage, video_id)
    assert len(log.list_(second.db, video_id)) == (2 if act == "correct" else 0)


def test_killed_right_before_the_commit_a_rebuild_shows_what_was_asked_for_while_it_is_there(storage: Storage, second: Storage) -> None:
    video_id = computed(storage)
    correct(storage, video_id, MUG)
    before = everything(storage, video_id)
    killed(storage, video_id, "correct", "before COMMIT")
    assert everything(storage, video_id) == before and len(log.list_(storage.db, video_id)) == 1
    assert len(marked(storage.store, video_id)) == 2
    ages.age_database(storage, 9)
    ages.age_objects(storage, 9)
    sweep(storage.db, storage.store, 7)  # what nobody committed goes
    rebuild(second.db, second.store)
    assert everything(second, video_id) == before and len(log.list_(second.db, video_id)) == 1
    correct(storage, video_id, GONE)
    assert marked(storage.store, video_id) == [published_set(storage.db, video_id)]


def test_killed_right_before_an_undo_is_committed_a_rebuild_shows_what_was_asked_for(storage: Storage, second: Storage) -> None:
    video_id = computed(storage)
    uncorrected = everything(storage, video_id)
    correct(storage, video_id, MUG)
    killed(storage, video_id, "undo", "before COMMIT")
    assert everything(storage, video_id) != uncorrected
    rebuild(second.db, second.store)
    assert everything(second, video_id) == uncorrected and log.list_(second.db, video_id) == []


def test_what_was_not_committed_is_not_marked(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    video_id = computed(storage)
    correct(storage, video_id, MUG)
    announce = shown.announce

    def refused(*arguments: Any) -> None:
        announce(*arguments)
        raise StoreUnavailable("It is full.")

    monkeypatch.setattr(shown, "announce", refused)
    with pytest.raises(StoreUnavailable):
        undo(storage, video_id, 1)
    assert marked(storage.store, video_id) == [published_set(storage.db, video_id)] and len(log.list_(storage.db, video_id)) == 1


def test_without_a_mark_a_rebuild_shows_what_was_computed(storage: Storage, second: Storage) -> None:
    video_id = computed(storage)
    before = everything(storage, video_id)
    correct(storage, video_id, MUG)
    storage.store.delete(shown_key(video_id))
    rebuild(second.db, second.store)
    assert everything(second, video_id) == before


def test_a_rebuild_restores_corrections_of_what_was_made_again_later(storage: Storage, second: Storage) -> None:
    video_id = computed(storage)
    correct(storage, video_id, MUG, GONE)
    row = storage.db.fetch_one("SELECT object_key FROM results WHERE stage = 'trajectories' AND corrects IS NULL")
    assert row is not None
    storage.store.delete(row["object_key"])
    commit_all(storage, video_id, maker_of(storage, video_id))  # everything is there again, and what it corrects is older than it
    assert rebuild(second.db, second.store).skipped == []
    assert everything(second, video_id) == everything(storage, video_id) and len(log.list_(second.db, video_id)) == 2


def test_a_later_rebuild_shows_the_corrections_that_an_earlier_one_could_not_restore(storage: Storage, second: Storage) -> None:
    video_id = computed(storage)
    correct(storage, video_id, MUG)
    row = storage.db.fetch_one("SELECT object_key FROM results WHERE stage = 'scenes' AND corrects IS NOT NULL")
    assert row is not None
    with storage.store.open_object(row["object_key"]) as file:
        content = file.read()
    storage.store.delete(row["object_key"])
    rebuild(second.db, second.store)
    assert {one["label"] for one in seen(second, video_id, TRACKS)} == {"person", "cup", "vase"}
    storage.store.put_bytes(content, row["object_key"])
    rebuild(second.db, second.store)
    assert everything(second, video_id) == everything(storage, video_id)
    undo(second, video_id, 1)
    rebuild(second.db, second.store)  # what is in the log is known: it is not shown again
    assert {one["label"] for one in seen(second, video_id, TRACKS)} == {"person", "cup", "vase"}


def test_a_manifest_does_not_grow_with_the_log_and_the_log_has_an_end(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    video_id = computed(storage)
    query = "SELECT max(length(components::text)) AS n FROM results WHERE corrects IS NOT NULL"
    correct(storage, video_id, MUG)
    first = storage.db.fetch(query)
    correct(storage, video_id, *(Rename(track_id="obj_003", label=f"mug {number}") for number in range(9)))
    assert storage.db.fetch(query) == first
    monkeypatch.setattr(corrected, "MOST", 10)
    before = everything(storage, video_id)
    with pytest.raises(CorrectionRefused, match="10 corrections"):
        correct(storage, video_id, GONE)
    assert everything(storage, video_id) == before and len(log.list_(storage.db, video_id)) == 10
    undo(storage, video_id, 1)
    correct(storage, video_id, GONE)


def test_nothing_is_left_of_a_deleted_video(storage: Storage) -> None:
    video_id = computed(storage)
    correct(storage, video_id, MUG, GONE)
    assert deletion.delete(storage.db, video_id).whole
    deletion.finish(storage.db, storage.store, storage.settings)
    assert ages.objects(storage) == set() and not storage.store.exists(shown_key(video_id))
    assert storage.db.fetch("SELECT * FROM corrections") == []


def test_planning_takes_a_corrected_set_for_the_computed_one(storage: Storage) -> None:
    video_id = computed(storage)
    correct(storage, video_id, MUG)
    wanted = recipes(storage.settings, WEIGHTS)
    (plan,) = survey(storage.db, [video_id], lambda overrides: (wanted, None))
    assert plan.to_compute == () and not plan.unshown and all(state.published for state in plan.stages.values())
    before = everything(storage, video_id)
    with lease.hold(storage.db, video_id, "test") as token:  # as a run does that finds nothing to compute
        storage.results.publish(video_id, whole(maker_of(storage, video_id)), token)
    assert everything(storage, video_id) == before
    commit_all(storage, video_id, maker_of(storage, video_id))  # `--force`
    assert everything(storage, video_id) == before
    undo(storage, video_id, 1)
    (plan,) = survey(storage.db, [video_id], lambda overrides: (wanted, None))
    assert plan.to_compute == () and not plan.unshown


def test_a_crash_before_the_corrected_set_is_there_shows_the_old_one_until_it_is(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    video_id = computed(storage)
    correct(storage, video_id, MUG)
    before, other = everything(storage, video_id), maker_of(storage, video_id, Again, conf=0.4)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(commit.correcting, "publish", killed)
        commit_all(storage, video_id, other)
    assert everything(storage, video_id) == before
    (plan,) = survey(storage.db, [video_id], lambda overrides: (recipes(other.settings, WEIGHTS), None))
    assert plan.to_compute == () and plan.unshown  # so the schedule, or the next run, shows it
    with lease.hold(storage.db, video_id, "test") as token:
        storage.results.publish(video_id, whole(other), token)
    assert [row["track_id"] for row in seen(storage, video_id, TRACKS) if row["label"] == "red mug"] == ["obj_004"]


def test_corrections_at_a_time_are_all_made(storage: Storage) -> None:
    video_id = computed(storage)
    changes = [MUG, JOINED, GONE, Rename(track_id="obj_002", label="Bert")]
    threads = [threading.Thread(target=correct, args=(storage, video_id, one)) for one in changes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(row["number"] for row in log.list_(storage.db, video_id)) == [1, 2, 3, 4]
    assert {row["label"] for row in seen(storage, video_id, TRACKS)} == {"person", "Bert", "red mug"}
    kept = {row["object_key"] for row in storage.db.fetch("SELECT object_key FROM results")}
    assert {key for key in ages.objects(storage) if key.endswith(".parquet")} == kept  # what lost the race left nothing
    assert not list(Path(storage.settings.scratch_dir).glob("*.parquet"))


def test_who_corrects_while_it_is_computed_is_not_lost(storage: Storage) -> None:
    """A run that began before, and commits after."""
    video_id = computed(storage)
    other = maker_of(storage, video_id, Again, conf=0.4)
    commit_all(storage, video_id, other, NAMES[:5])
    correct(storage, video_id, MUG)  # of what is shown still
    commit_all(storage, video_id, other, NAMES[5:])
    assert [row["track_id"] for row in seen(storage, video_id, TRACKS) if row["by_hand"]] == ["obj_004"]


def test_a_repeated_request_is_one_correction(storage: Storage) -> None:
    video_id = computed(storage)
    by = Author(people.add(storage.db, "one@example.org"), idempotency_key="k1")
    (first,) = correcting.correct(place(storage, video_id), [MUG], by)
    assert correcting.correct(place(storage, video_id), [MUG], by) == [first]
    with pytest.raises(IdempotencyKeyReused):
        correcting.correct(place(storage, video_id), [GONE], by)
    assert len(log.list_(storage.db, video_id)) == 1


def test_requests_with_one_key_at_once_are_one_correction(storage: Storage) -> None:
    video_id = computed(storage)
    by, made = Author(people.add(storage.db, "one@example.org"), idempotency_key="k1"), list[Any]()

    def ask() -> None:
        made.append(correcting.correct(place(storage, video_id), [MUG], by))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 3 and made[0] == made[1] == made[2] and made[0][0]["applied"]
    assert len(log.list_(storage.db, video_id)) == 1


def test_who_corrects_while_it_is_archived_is_told_so_and_all_of_it_comes_back(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    video_id, real = computed(storage), correcting.make
    before = everything(storage, video_id)

    def slow(*args: Any) -> Any:
        made = real(*args)
        with lease.hold(storage.db, video_id, "retention") as token:
            archive.archive(storage.db, storage.store, video_id, token)
        return made

    monkeypatch.setattr(correcting, "make", slow)
    with pytest.raises(RowsArchived):
        correct(storage, video_id, MUG)
    with lease.hold(storage.db, video_id, "test") as token:
        archive.restore(storage.db, storage.store, video_id, token)
    assert everything(storage, video_id) == before


def test_what_is_corrected_while_it_is_archived_stays(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    video_id, real, once = computed(storage), archive._demand_readable, list[int]()

    def slow(*args: Any) -> None:
        real(*args)
        if not once:
            once.append(1)
            correct(storage, video_id, MUG)

    monkeypatch.setattr(archive, "_demand_readable", slow)
    with lease.hold(storage.db, video_id, "retention") as token:
        assert archive.archive(storage.db, storage.store, video_id, token) == 0
    assert {name for name, rows in everything(storage, video_id).items() if not rows} == set()


def test_objects_stay_where_it_is_not_known_whether_they_were_committed(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    video_id = computed(storage)
    before, run = ages.objects(storage), type(storage.db).run

    def lost(db: Any, act: Any, *args: Any, **options: Any) -> Any:
        if "timeout_s" in options:
            raise DatabaseUnavailable("The answer was lost.")
        return run(db, act, *args, **options)

    with monkeypatch.context() as patch, pytest.raises(DatabaseUnavailable):
        patch.setattr(type(storage.db), "run", lost)
        correct(storage, video_id, MUG)
    assert len(ages.objects(storage) - before) == 2
