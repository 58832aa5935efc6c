"""What becomes of mattes and reframed videos that nobody takes, whose results were replaced, or whose video goes."""

from __future__ import annotations

import pytest

from reframer_pipeline.editing import keeping
from reframer_pipeline.failures import StoreMismatch
from reframer_pipeline.results import deliverables as kept
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.retention import deletion, deliverables
from reframer_pipeline.retention.deliverables import Gone
from reframer_pipeline.retention.sweep import sweep
from reframer_pipeline.store.objects import MARK, deliverable_key
from reframer_pipeline_tests.api.library import made_video
from reframer_pipeline_tests.editing.kept import PATH, made, now, objects, text, wanted
from reframer_pipeline_tests.factories import Maker, commit_all
from reframer_pipeline_tests.retention import ages


def age(storage: Storage, days: float) -> None:
    """Deliverables were made, and taken, so many days earlier."""
    storage.db.execute("UPDATE deliverables SET alive_at = alive_at - %s * interval '1 day'", (days,))


def evict(storage: Storage, days: int = 7) -> Gone:
    return deliverables.evict_older(storage.db, storage.store, days)


def test_what_nobody_took_is_evicted_and_can_be_asked_for_again(storage: Storage) -> None:
    one, other = made(storage, wanted(storage)), made(storage, wanted(storage, 1))
    age(storage, 8)
    kept.used(storage.db, other.id)
    before = text(storage, one)
    assert one.object_key and other.object_key
    assert evict(storage) == Gone((one.object_key,), len(before)) and evict(storage) == Gone()
    assert objects(storage) == [other.object_key]
    stands = now(storage, one)
    assert (stands.status, stands.object_key) == ("evicted", None) and stands.evicted_at is not None
    assert keeping.make(storage, one.id, "00000000-0000-4000-8000-000000000003") is None  # nobody asked
    again = keeping.ask(storage, one.video_id, PATH)
    assert (again.id, again.status, again.evicted_at) == (one.id, "wanted", None)
    assert text(storage, made(storage, again)) == before


def test_what_is_being_made_or_failed_is_not_evicted(storage: Storage) -> None:
    one = wanted(storage)
    kept.claim(storage.db, one.id, "00000000-0000-4000-8000-000000000001")
    age(storage, 99)
    assert evict(storage) == Gone() and now(storage, one).status == "making"


def test_nothing_goes_where_store_and_database_do_not_belong_together(storage: Storage) -> None:
    one = made(storage, wanted(storage))
    age(storage, 99)
    storage.store.put_bytes(b'{"store_id": "00000000-0000-4000-8000-000000000000"}', MARK)
    for act in (lambda: evict(storage), lambda: sweep(storage.db, storage.store, 1)):
        with pytest.raises(StoreMismatch):
            act()
    path = storage.store.local_path(str(one.object_key))
    assert now(storage, one).status == "made" and path is not None and path.exists()


def test_those_of_replaced_results_go_when_the_results_may(storage: Storage) -> None:
    one = made(storage, wanted(storage))
    (row,) = storage.db.fetch("SELECT sha256 FROM videos")
    commit_all(storage, one.video_id, Maker(row["sha256"], storage.settings.model_copy(update={"conf": 0.4})))
    new = made(storage, keeping.ask(storage, one.video_id, PATH))
    assert new.id != one.id and one.object_key and new.object_key

    def went(days: int = 7, dry_run: bool = False) -> int:
        return sweep(storage.db, storage.store, days, dry_run=dry_run).deliverables

    ages.age_database(storage, 8)
    age(storage, 8)
    assert went(days=9) == 0
    kept.used(storage.db, one.id)
    assert went(dry_run=True) == 0  # somebody has just taken it
    age(storage, 2)
    assert went(dry_run=True) == 1 and len(objects(storage)) == 2
    assert went() == 1 and objects(storage) == [new.object_key]
    assert kept.find(storage.db, one.id) is None and now(storage, new).status == "made"


def test_an_object_that_no_row_names_is_an_orphan_after_a_day(storage: Storage) -> None:
    one = made(storage, wanted(storage))
    left = deliverable_key(one.video_id, one.id, "abc", ".json")
    storage.store.put_bytes(b"{}", left)
    assert one.object_key and sweep(storage.db, storage.store, 7).orphans == 0
    ages.age_objects(storage, 2, [left, one.object_key])
    assert sweep(storage.db, storage.store, 7).objects == [left]
    assert objects(storage) == [one.object_key]


def test_a_deleted_video_takes_them_along(storage: Storage) -> None:
    one, (other, _) = made(storage, wanted(storage)), made_video(storage, 1)
    kept_one = made(storage, keeping.ask(storage, other, PATH))
    assert deletion.delete(storage.db, one.video_id).whole
    assert kept.find(storage.db, one.id) is None and len(objects(storage)) == 2
    deletion.finish(storage.db, storage.store, storage.settings)
    assert objects(storage) == [kept_one.object_key]
