"""Which videos an export has, and under which names."""

from __future__ import annotations

import uuid

import pytest

from reframer_pipeline.exports.videos import have_results, published_videos, safe_name, videos_of
from reframer_pipeline.failures import NotPublished, ObjectMissing, UnknownVideo
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.settings import Settings
from reframer_pipeline_tests.exports.conftest import HOSTILE
from reframer_pipeline_tests.factories import Maker, add_video, commit_all, whole


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ("clip.mp4", "clip"),
        ("my clip 2.final.MOV", "my clip 2.final"),
        ("Straße – 东京.mp4", "Straße _ 东京"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\evil.mp4", "evil"),
        ("..", "_"),
        ("", "_"),
        (".mp4", "mp4"),
        ("-rf.mp4", "_-rf"),
        ("CON.mp4", "_CON"),
        ("com1.tar.mp4", "_com1.tar"),
        ('a<b>:"|?*%+&.mp4', "a_b_________"),
        ("two\nlines\t\x00.mp4", "two_lines__"),
        ("\u202egpj.mp4", "_gpj"),
        ("name. . .mp4", "name"),
        ("cafe\u0301.mp4", "caf\u00e9"),
    ],
)
def test_a_name_is_safe_everywhere(filename: str, name: str) -> None:
    assert safe_name(filename) == name


def test_a_long_name_is_cut_between_characters() -> None:
    assert safe_name(f"a{'界' * 300}.mp4") == f"a{'界' * 49}"


def test_names_differ_also_for_who_does_not_tell_case(storage: Storage) -> None:
    ids = []
    for seed, filename in enumerate(("Clip.mp4", "clip.mov", "other.avi", HOSTILE)):
        video_id, sha256 = add_video(storage, seed)
        commit_all(storage, video_id, Maker(sha256, storage.settings))
        ids.append(video_id)
        storage.db.run(lambda conn, one=(filename, video_id): conn.execute("UPDATE videos SET filename = %s WHERE id = %s", one))
    videos = published_videos(storage, [*ids, ids[0]])
    assert [video.name for video in videos] == [f"Clip-{ids[0][:8]}", f"clip-{ids[1][:8]}", "other", "_passwd ____%s__".replace("%", "_")]
    assert [video.video_id for video in videos] == ids == have_results(storage)
    (mine,) = videos_of(storage, {ids[0]: ("mine.mp4", videos[0].result_id)})
    assert (mine.name, mine.open().keys()) == ("mine", videos[0].open().keys())


def test_what_is_published_later_does_not_change_an_export(storage: Storage) -> None:
    video_id, sha256 = add_video(storage)
    before = Maker(sha256, storage.settings)
    commit_all(storage, video_id, before)
    (video,) = published_videos(storage, [video_id])
    commit_all(storage, video_id, Maker(sha256, Settings(home=storage.settings.home, conf=0.4)))
    assert {one.stage: one.result_id for one in video.open().values()} == whole(before)
    assert published_videos(storage, [video_id])[0].result_id != video.result_id


def test_videos_without_results_are_refused_by_name(storage: Storage) -> None:
    video_id, sha256 = add_video(storage)
    with pytest.raises(NotPublished, match=video_id):
        published_videos(storage, [video_id])
    with pytest.raises(UnknownVideo):
        published_videos(storage, [str(uuid.uuid4())])
    assert have_results(storage) == []


def test_results_that_were_deleted_meanwhile_are_said_to_be(storage: Storage) -> None:
    video_id, sha256 = add_video(storage)
    commit_all(storage, video_id, Maker(sha256, storage.settings))
    (video,) = published_videos(storage, [video_id])
    storage.db.run(lambda conn: conn.execute("DELETE FROM published"))
    storage.db.run(lambda conn: conn.execute("DELETE FROM results WHERE stage = 'masks'"))
    with pytest.raises(ObjectMissing, match="were deleted during the export"):
        video.open()
