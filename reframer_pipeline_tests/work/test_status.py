"""The status of a video."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from reframer_pipeline.failures import (
    NotAVideo,
    SettingsInvalid,
)
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.work import lease, status
from reframer_pipeline.work.status import Event, Reason, Status, target, transition
from reframer_pipeline.work.videos import get_video
from reframer_pipeline_tests.factories import Maker, add_video, begin, commit_all
from reframer_pipeline_tests.support import REPOSITORY


@pytest.mark.parametrize(
    ("event", "seen", "unseen"),
    [  # where readers see results, and where they do not: what becomes of pending, processing, completed, failed
        (Event.BEGUN, "processing - processing processing", "processing - processing processing"),
        (Event.PUBLISHED, "completed completed completed completed", "completed completed completed completed"),
        (Event.WITHDRAWN, "- - - -", "- - processing -"),
        (Event.FAILED, "failed failed failed failed", "failed failed failed failed"),
        (Event.EXCUSED, "- completed - -", "failed failed failed failed"),
        (Event.SETTLED, "- completed - -", "- pending - -"),
        (Event.SETTLED_BADLY, "- failed - -", "- failed - -"),
    ],
)
def test_what_an_event_does(event: Event, seen: str, unseen: str) -> None:
    statuses = get_args(Status)
    for published, expected in ((True, seen), (False, unseen)):
        assert [target(event, status, published) or "-" for status in statuses] == expected.split()


def test_every_event_is_written_as_the_table_says(storage: Storage) -> None:
    video_id, sha = add_video(storage)
    for published in (False, True):
        if published:
            commit_all(storage, video_id, Maker(sha, storage.settings))
        for event in Event:
            for before in get_args(Status):
                code = "not_a_video" if before == "failed" else None
                storage.db.execute("UPDATE videos SET status = %s, failure_code = %s", (before, code))
                reason = Reason.of(NotAVideo("No.")) if event in (Event.FAILED, Event.EXCUSED, Event.SETTLED_BADLY) else None
                storage.db.run(lambda conn, event=event, reason=reason: transition(conn, video_id, event, reason))  # type: ignore[misc]
                row = get_video(storage.db, video_id)
                assert row["status"] == (target(event, before, published) or before)
                assert (row["failure_code"] is not None) == (row["status"] == "failed")


def test_nobody_else_writes_a_status() -> None:
    written = re.compile(r"UPDATE videos\s+SET[^\"]*\bstatus\b")
    found = [path.name for path in (REPOSITORY / "reframer_pipeline").rglob("*.py") if written.search(path.read_text())]
    assert found == ["status.py"]


def test_a_failure_of_the_caller_s_leaves_a_completed_video_completed(storage: Storage) -> None:
    video_id, sha = add_video(storage)

    def now() -> tuple[str, str | None]:
        row = get_video(storage.db, video_id)
        return row["status"], row["failure_code"]

    status.fail(storage.db, video_id, SettingsInvalid("This machine has no device 'cuda'."))
    assert now() == ("failed", "settings_invalid")  # nothing is published: somebody must do something
    commit_all(storage, video_id, Maker(sha, storage.settings))
    for before in (lambda: None, lambda: begin(storage.db, video_id)):
        before()
        status.fail(storage.db, video_id, SettingsInvalid("This machine has no device 'cuda'."))
        assert now() == ("completed", None)
    status.fail(storage.db, video_id, NotAVideo("No."))
    assert now() == ("failed", "not_a_video")
    status.fail(storage.db, video_id, SettingsInvalid("This machine has no device 'cuda'."))
    assert now() == ("failed", "not_a_video")


def test_only_the_lease_s_holder_tells_the_status(storage: Storage) -> None:
    video_id, _ = add_video(storage)
    loser = lease.acquire(storage.db, video_id, "loser", ttl_s=0)
    winner = lease.acquire(storage.db, video_id, "winner")

    def now() -> str:
        return str(get_video(storage.db, video_id)["status"])

    status.fail(storage.db, video_id, NotAVideo("No."), loser)
    assert now() == "pending"
    status.fail(storage.db, video_id, NotAVideo("No."), winner)
    assert now() == "failed"


def test_an_interrupted_run_leaves_the_status_it_found(storage: Storage) -> None:
    video_id, sha = add_video(storage)
    begin(storage.db, video_id)
    status.settle(storage.db, video_id)
    assert get_video(storage.db, video_id)["status"] == "pending"
    commit_all(storage, video_id, Maker(sha, storage.settings))
    begin(storage.db, video_id)
    status.settle(storage.db, video_id)
    assert get_video(storage.db, video_id)["status"] == "completed"
