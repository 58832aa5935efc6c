"""What people ask of uploads, on the command line: what came of them, and another look at those that were refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest
from click.testing import CliRunner, Result

from reframer_pipeline.cli import app
from reframer_pipeline.failures import EncryptedVideo, IngestAbandoned
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.settings import Settings
from reframer_pipeline.uploads.bucket import Bucket
from reframer_pipeline.uploads.ingest import ingest_file, refuse_upload, take_in
from reframer_pipeline.uploads.known import waiting_videos
from reframer_pipeline.uploads.listing import list_bucket
from reframer_pipeline.work import status
from reframer_pipeline_tests.factories import video_bytes
from reframer_pipeline_tests.s3 import s3_bucket, s3_server

__all__ = ["s3_bucket", "s3_server"]

Cli = Callable[..., Result]
LARGE = video_bytes() + bytes(2_000_000)


@pytest.fixture
def folder(storage: Storage) -> Path:
    """The default bucket of this data folder."""
    made = storage.settings.home_dir / "uploads"
    made.mkdir(parents=True)
    return made


@pytest.fixture
def cli(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """`reframer uploads …` over the same database."""
    assert storage.settings.database_url is not None
    monkeypatch.setenv("REFRAMER_DATABASE_URL", storage.settings.database_url.get_secret_value())
    monkeypatch.setenv("COLUMNS", "200")
    home = ["--home", str(storage.settings.home_dir)]
    return lambda *arguments: CliRunner().invoke(app, ["uploads", *home, *arguments])


def take_all(storage: Storage, bucket: Bucket, **settings: object) -> None:
    for one in list_bucket(bucket, 20):
        take_in(bucket, one.key, one.etag, storage.db, storage.store, storage.settings.model_copy(update=settings))


def listed(cli: Cli, *arguments: str) -> dict[str, dict[str, str]]:
    result = cli(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return {row["bucket_key"] or row["filename"]: row for row in map(json.loads, result.output.splitlines())}


@pytest.mark.parametrize("remote", [False, True])
def test_after_a_limit_was_raised(remote: bool, storage: Storage, folder: Path, cli: Cli, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue("s3_bucket") if remote else str(folder)
    for name, content in (("in/large.mp4", LARGE), ("other.mp4", LARGE), ("notes.mp4", b"These are notes.")):
        (folder / "in").mkdir(exist_ok=True)
        fsspec.core.url_to_fs(url)[0].pipe_file(f"{url}/{name}", content)
    take_all(storage, Bucket(url), max_upload_mb=1)
    uploads = listed(cli, "--failed")
    assert {key: row["failure_code"] for key, row in uploads.items()} == {
        "in/large.mp4": "file_too_large", "other.mp4": "file_too_large", "notes.mp4": "not_a_video",
    }  # fmt: skip
    large = uploads["in/large.mp4"]["upload_id"]
    still = cli("retry", large, "--uploads-url", url, "--max-upload-mb", "2")
    assert still.exit_code == 1 and "refused again: [file_too_large]" in still.output
    assert "2 MB are allowed" in listed(cli)["in/large.mp4"]["failure_message"]  # the latest reason

    raised = cli("retry", large[:10], "--uploads-url", url)
    assert raised.exit_code == 0 and "in/large.mp4: taken in as video" in raised.output
    (waiting,) = waiting_videos(storage.db)  # so the sensor requests it
    assert listed(cli)["in/large.mp4"]["video_id"] == waiting.video_id
    rest = cli("retry", "--code", "file_too_large", "--uploads-url", url)
    assert rest.exit_code == 0 and "other.mp4: taken in" in rest.output and "uploaded before" in rest.output
    assert set(listed(cli, "--failed")) == {"notes.mp4"}
    assert "No upload was refused" in cli("retry", "--code", "file_too_large").output


def test_after_it_was_given_up(storage: Storage, folder: Path, cli: Cli) -> None:
    (folder / "a.mp4").write_bytes(video_bytes())
    (folder / "gone.mp4").write_bytes(video_bytes(1))
    for one in list_bucket(Bucket(str(folder)), 20):
        refuse_upload(storage.db, IngestAbandoned("It was tried 6 times."), filename=one.key, bucket_key=one.key, etag=one.etag)
    (folder / "gone.mp4").unlink()
    result = cli("retry", "--code", "ingest_abandoned")
    assert result.exit_code == 1
    assert "a.mp4: taken in" in result.output and "gone.mp4: [upload_changed]" in result.output
    assert listed(cli)["gone.mp4"]["failure_code"] == "ingest_abandoned"


def test_the_table_and_what_it_says_of_others(storage: Storage, folder: Path, cli: Cli) -> None:
    assert "No uploads yet" in cli().output and "No upload was refused" in cli("--failed").output
    name = os.fsdecode(b"\xff.mp4")
    (folder / name).write_text("no video")
    (folder / "b.mp4").write_bytes(video_bytes())
    take_all(storage, Bucket(str(folder)))
    (folder / "[notes].mp4").write_text("no video")
    ingest_file(folder / "[notes].mp4", storage.db, storage.store, storage.settings)  # by the command line
    table = cli().output
    assert "b.mp4" in table and "[notes].mp4" in table and "[not_a_video]" in table
    uploads = listed(cli)
    for row in (uploads["b.mp4"], uploads["[notes].mp4"]):
        refusal = cli("retry", row["upload_id"])
        assert refusal.exit_code == 2 and "No upload of the bucket that was refused" in refusal.output
    no_text = cli("retry", uploads["\ufffd.mp4"]["upload_id"])
    assert no_text.exit_code == 1 and "Rename the file" in no_text.output


def test_each_upload_is_listed_by_what_became_of_it(storage: Storage, folder: Path, cli: Cli) -> None:
    for seed, name in enumerate(("locked.mp4", "fine.mp4")):
        (folder / name).write_bytes(video_bytes(seed))
    (folder / "notes.mp4").write_text("no video")
    take_all(storage, Bucket(str(folder)))
    videos = {row["filename"]: row["id"] for row in storage.db.fetch("SELECT filename, id::text FROM videos")}
    status.fail(storage.db, videos["locked.mp4"], EncryptedVideo("The picture is encrypted."))
    (folder / "in").mkdir()
    (folder / "in" / "new.mp4").write_bytes(video_bytes(7))
    (folder / "half.mp4.part").write_bytes(b"half")

    lines = {line.split()[1]: " ".join(line.split()[2:]) for line in cli().output.splitlines()[1:]}
    assert lines.pop("notes.mp4").startswith("refused [not_a_video]")
    assert lines.pop("locked.mp4").startswith(f"failed {videos['locked.mp4'][:8]} [encrypted] The picture is encrypted.")
    assert lines == {"in/new.mp4": "on its way", "fine.mp4": f"pending {videos['fine.mp4'][:8]}"}
    assert listed(cli, "--failed").keys() == {"locked.mp4", "notes.mp4"}
    new, locked = listed(cli)["in/new.mp4"], listed(cli)["locked.mp4"]
    assert (new["status"], new["video_id"], new["filename"]) == ("pending", None, "new.mp4")
    assert (locked["status"], locked["video_status"], locked["video_failure_code"]) == ("completed", "failed", "encrypted")
    folder.rename(folder.with_name("away"))
    away = cli("--uploads-url", str(folder))
    assert away.exit_code == 0 and "[bucket_unavailable]" in away.stderr and "fine.mp4" in away.stdout


@pytest.mark.parametrize(("arguments", "reason"), [((), "Name uploads"), (("",), "begins with"), (("ffff",), "No upload")])
def test_wrong_usage(storage: Storage, cli: Cli, arguments: tuple[str, ...], reason: str) -> None:
    result = cli("retry", *arguments)
    assert result.exit_code == 2 and reason in result.output


def test_help_teaches() -> None:
    assert "uploads" in CliRunner().invoke(app, ["--help"]).output
    for arguments in (["uploads", "--help"], ["uploads", "retry", "--help"]):
        assert len(CliRunner().invoke(app, arguments).output.splitlines()) > 5


def test_a_raised_limit_is_read_from_the_environment_too(storage: Storage, folder: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "large.mp4").write_bytes(LARGE)
    take_all(storage, Bucket(str(folder)), max_upload_mb=1)
    monkeypatch.setenv("REFRAMER_MAX_UPLOAD_MB", "1")
    assert cli("retry", "--code", "file_too_large").exit_code == 1
    monkeypatch.setenv("REFRAMER_MAX_UPLOAD_MB", str(Settings.model_fields["max_upload_mb"].default))
    assert cli("retry", "--code", "file_too_large").exit_code == 0
