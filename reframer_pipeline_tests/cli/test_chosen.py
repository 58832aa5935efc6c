"""Which videos `reframer export` takes: of files and folders, of the bucket, of a search."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reframer_pipeline.results.storage import Storage, open_storage
from reframer_pipeline.settings import Settings
from reframer_pipeline.uploads.ingest import ingest_file
from reframer_pipeline_tests.command import Ended, called
from reframer_pipeline_tests.factories import Maker, add_video, commit_all
from reframer_pipeline_tests.servers import Server, fresh_database

BUCKET = "s3://drop/films"
Export = Callable[..., tuple[Ended, list[str]]]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, embedded_server: Server) -> Iterator[Storage]:
    """Three files in the data folder; `upload-0.mp4` and `upload-1.mp4` are computed, and came from the bucket, too."""
    for url in fresh_database(embedded_server):
        with open_storage(Settings(home=tmp_path_factory.mktemp("home"), database_url=url)) as storage:
            for seed, text in enumerate(("A dog runs.", "Two cups.")):
                video_id, sha256 = add_video(storage, seed)
                commit_all(storage, video_id, Maker(sha256, storage.settings, frame_count=20 + 20 * seed, text=text))
                key = ("day1/a.mp4", "day10/b.mp4")[seed]
                ingest_file(file(storage, seed), storage.db, storage.store, storage.settings, bucket_key=key, etag="1")
            add_video(storage, 2)
            yield storage


def file(storage: Storage, seed: int) -> Path:
    return storage.settings.home_dir / f"upload-{seed}.mp4"


@pytest.fixture
def export(library: Storage, tmp_path: Path) -> Export:
    """Export tables; how it ended, and which videos were written."""

    def call(*words: str) -> tuple[Ended, list[str]]:
        out = tmp_path / "out"
        assert library.settings.database_url
        variables = {"REFRAMER_DATABASE_URL": library.settings.database_url.get_secret_value(), "REFRAMER_UPLOADS_URL": BUCKET}
        ended = called(library.settings.home_dir, "export", *words, "--format", "csv", "-o", str(out), **variables)
        return ended, sorted(path.name for path in out.iterdir()) if out.exists() else []

    return call


def test_a_folder_is_known_by_what_is_in_its_files(library: Storage, export: Export, tmp_path: Path) -> None:
    footage = tmp_path / "footage"
    (footage / "below").mkdir(parents=True)
    shutil.copy(file(library, 1), footage / "renamed.mov")
    shutil.copy(file(library, 2), footage / "waiting.mp4")
    (footage / "below" / "new.mp4").write_bytes(file(library, 2).read_bytes() + b"more")
    ended, written = export(str(footage))
    assert (ended.returncode, written) == (1, ["upload-1"])
    assert "waiting.mp4: [not_published] Video" in ended.stderr
    assert "below/new.mp4: [not_published] It was never computed." in ended.stderr


def test_files_stand_beside_ids_and_count_once(library: Storage, export: Export) -> None:
    first = library.db.fetch("SELECT id::text FROM videos ORDER BY created_at LIMIT 1")[0]["id"]
    ended, written = export(first, str(file(library, 0)), str(library.settings.home_dir / "upload-[01].mp4"))
    assert (ended.returncode, written) == (0, ["upload-0", "upload-1"])


@pytest.mark.parametrize("missing", ["nowhere/", "nowhere/*.mp4", f"{BUCKET}/day2"])
def test_where_no_file_has_results_nothing_is_written(export: Export, missing: str) -> None:
    ended, written = export(missing)
    assert ended.returncode == 1 and not written
    assert missing.strip("/") in ended.stderr and "[not_published] None of these files has results." in ended.stderr


@pytest.mark.parametrize(("below", "names"), [("", ["upload-0", "upload-1"]), ("/day1/", ["upload-0"]), ("/day10/b.mp4", ["upload-1"])])
def test_a_folder_of_the_bucket_is_known_by_its_keys(export: Export, below: str, names: list[str]) -> None:
    ended, written = export(BUCKET + below)
    assert (ended.returncode, written) == (0, names)


def test_of_a_file_of_the_bucket_the_last_version_counts(library: Storage, export: Export) -> None:
    ingest_file(file(library, 2), library.db, library.store, library.settings, bucket_key="day3/c.mp4", etag="2")
    ingest_file(file(library, 0), library.db, library.store, library.settings, bucket_key="day3/c.mp4", etag="1")
    assert export(f"{BUCKET}/day3")[1] == ["upload-0"]
    library.db.execute("UPDATE uploads SET status = 'deleted', video_id = NULL WHERE bucket_key = 'day3/c.mp4' AND etag = '1'")
    ended, written = export(f"{BUCKET}/day3/c.mp4")
    assert "No file there was taken in." in ended.stderr and ended.returncode == 1


@pytest.mark.parametrize(
    ("search", "names"),
    [
        ("in=tracks class=person", ["upload-0", "upload-1"]),
        ("in=tracks min_seconds=0.9", ["upload-1"]),
        ("in=scenes words='\"dog runs\"'", ["upload-0"]),
    ],
)
def test_a_search_gives_each_video_once(export: Export, search: str, names: list[str]) -> None:
    ended, written = export("--search", search)
    assert (ended.returncode, written) == (0, names), ended.stderr


def test_a_search_without_hits_is_said(export: Export) -> None:
    ended, written = export("--search", "in=elements difficulty=hard")
    assert ended.returncode == 1 and "[nothing_there] The search has no hits." in ended.stderr and not written


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--search", "label=cup"], "in: Field required"),
        (["--search", "in=tracks lable=cup"], "lable: "),
        (["--search", "in=tracks words=dog"], "tracks cannot be searched by words. They can by class, label, min_seconds, min_share."),
        (["--search", "in=tracks label"], "Write it as"),
        (["--search", "in=tracks in=scenes"], "each name once"),
        (["--search", "in=tracks", "--all"], "--all or --search"),
        (["s3://other/day1"], "REFRAMER_UPLOADS_URL"),
        (["s3://drop/films2"], "REFRAMER_UPLOADS_URL"),
    ],
)
def test_wrong_usage_is_said(export: Export, words: list[str], says: str) -> None:
    ended, written = export(*words)
    assert ended.returncode == 2 and says in " ".join(ended.stderr.replace("│", " ").split()) and not written
