"""Stages of a run that are computed by several workers: each takes the video's lease over, and one that is gone gets it no more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reframer_pipeline.failures import LeaseLost, VideoBusy
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.work import lease, workers
from reframer_pipeline.work.lease import Claim
from reframer_pipeline_tests.factories import add_video
from reframer_pipeline_tests.work.test_leases import commit_under_way

FRAMES, MASKS = "run/frames/0", "run/masks/0"


@pytest.fixture
def two(storage: Storage) -> Iterator[tuple[workers.Presence, workers.Presence]]:
    made = workers.Presence(storage.db, "gpu", "cpu"), workers.Presence(storage.db, "gpu", "cpu")
    yield made
    for one in made:
        one.leave()


def test_a_stage_takes_over_from_the_one_before_and_no_other_run_does(storage: Storage, two: tuple[workers.Presence, ...]) -> None:
    video_id, _ = add_video(storage)
    one, other = two
    assert one.take(FRAMES) and other.take(MASKS)
    first = lease.acquire(storage.db, video_id, "run", claim=Claim(FRAMES, one.id))
    second = lease.acquire(storage.db, video_id, "run", claim=Claim(MASKS, other.id))
    assert not lease.held_by(storage.db, video_id, first) and lease.held_by(storage.db, video_id, second)
    with pytest.raises(VideoBusy):  # without a claim the owner's name is a name only
        lease.acquire(storage.db, video_id, "run")
    with pytest.raises(VideoBusy):
        lease.acquire(storage.db, video_id, "another run", claim=Claim(MASKS, other.id))


def test_between_two_stages_the_run_keeps_the_lease(storage: Storage, two: tuple[workers.Presence, ...]) -> None:
    video_id, _ = add_video(storage)
    assert two[0].take(FRAMES)
    token = lease.acquire(storage.db, video_id, "run", ttl_s=0, claim=Claim(FRAMES, two[0].id))
    assert not lease.held_by(storage.db, video_id, token)
    lease.keep(storage.db, video_id, "another run")
    assert not lease.held_by(storage.db, video_id, token)
    lease.keep(storage.db, video_id, "run")
    assert lease.held_by(storage.db, video_id, token)


def test_who_lost_its_stage_gets_no_lease_and_commits_nothing(storage: Storage, two: tuple[workers.Presence, ...]) -> None:
    video_id, _ = add_video(storage)
    gone, other = two
    assert gone.take(MASKS) and not other.take(MASKS)
    token = lease.acquire(storage.db, video_id, "run", claim=Claim(MASKS, gone.id))
    with commit_under_way(storage, video_id, token), pytest.raises(VideoBusy):  # its last commit goes on
        other.take_over(MASKS, gone.id, video_id, "run")
    assert other.take_over(MASKS, gone.id, video_id, "run")
    with pytest.raises(LeaseLost), storage.db.transaction() as conn:
        lease.demand(conn, video_id, token)
    with pytest.raises(LeaseLost):  # it stood still between taking the stage and taking the lease
        lease.acquire(storage.db, video_id, "run", claim=Claim(MASKS, gone.id))
    token = lease.acquire(storage.db, video_id, "run", claim=Claim(MASKS, other.id))
    third = workers.Presence(storage.db, "gpu", "cpu")
    assert not third.take_over(MASKS, gone.id, video_id, "run")  # a second copy of the message came later
    assert lease.held_by(storage.db, video_id, token)
    third.leave()


def test_who_beats_lives_and_who_left_or_is_at_something_else_does_not(storage: Storage, two: tuple[workers.Presence, ...]) -> None:
    one, other = two
    assert one.take(MASKS) and workers.lives(storage.db, MASKS, within_s=10)
    one.ready()
    assert not workers.lives(storage.db, MASKS, within_s=10)
    assert other.take(FRAMES)
    other.leave()
    assert not workers.lives(storage.db, FRAMES, within_s=10) and not workers.lives(storage.db, "run/scenes/0", within_s=10)
