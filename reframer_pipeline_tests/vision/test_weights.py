"""Finding, fetching and trusting weights, against a local HTTP server that misbehaves."""

from __future__ import annotations

import hashlib
import http.server
import importlib.util
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reframer_pipeline.failures import DiskFull, DownloadFailed, SettingsInvalid, WeightsCorrupt, WeightsMissing, WeightsUntrusted
from reframer_pipeline.settings import Settings
from reframer_pipeline.vision import download as downloads
from reframer_pipeline.vision import releases, weights
from reframer_pipeline_tests.machine import small_disk

CONTENT = bytes(range(256)) * 12_000  # 3 MB
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT under any name; can break off, refuse ranges, change the file or answer an error."""

    break_after: list[int]
    ranges = True
    etag = '"one"'
    status = 200
    content = CONTENT

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.break_after, self.asked = [], list[str | None]()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *args: object) -> None: ...

    def do_GET(self) -> None:
        wanted = self.headers["Range"]
        self.server.asked.append(wanted)
        if self.server.status != 200:
            self.send_error(self.server.status)
            return
        start = 0
        if wanted and self.server.ranges and self.headers["If-Range"] == self.server.etag:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(self.server.content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(self.server.content) - 1}/{len(self.server.content)}")
        else:
            self.send_response(200)
        body = self.server.content[start:]
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", self.server.etag)
        self.end_headers()
        self.wfile.write(body[: self.server.break_after.pop(0)] if self.server.break_after else body)
        self.close_connection = True


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as one:
        thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield one
        one.shutdown()
        thread.join()


@pytest.fixture
def settings(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A deployment whose mirror is the local server, which has the published yolov8n.pt."""
    release = replace(releases.RELEASES["yolov8n.pt"], sha256=DIGEST)
    monkeypatch.setitem(releases.RELEASES, "yolov8n.pt", release)
    return Settings(home=tmp_path / "home", yolo_model="yolov8n.pt", weights_url=server.url)


def get(server: Server, target: Path, sha256: str | None = None) -> str:
    return downloads.download(server.url + "x.pt", target, sha256, pause_s=0.001)


def test_a_broken_connection_is_resumed_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.break_after = [1_000_000, 700_000]
    seen: list[tuple[int, int]] = []
    target = tmp_path / "new" / "x.pt"
    digest = downloads.download(server.url + "x.pt", target, DIGEST, lambda *at: seen.append(at), pause_s=0.001)
    assert digest == DIGEST and target.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000000-", "bytes=1700000-"]
    assert seen == sorted(seen) and seen[-1] == (len(CONTENT), len(CONTENT))
    assert os.listdir(target.parent) == ["x.pt"]


def test_a_download_that_failed_is_resumed_by_the_next_call(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "x.pt"
    server.break_after = [1_000_000, *[0] * 9]
    with pytest.raises(DownloadFailed, match="1000000 bytes"):
        get(server, target)
    assert not target.exists() and (tmp_path / "x.pt.part").stat().st_size == 1_000_000
    server.break_after, server.asked = [], []
    assert get(server, target) == DIGEST
    assert server.asked == ["bytes=1000000-"]


def test_a_server_without_ranges_is_read_from_the_start(server: Server, tmp_path: Path) -> None:
    server.ranges, server.break_after = False, [1_000_000]
    assert get(server, tmp_path / "x.pt") == DIGEST
    assert (tmp_path / "x.pt").read_bytes() == CONTENT


def test_a_file_that_changed_meanwhile_is_not_glued_to_the_old_half(server: Server, tmp_path: Path) -> None:
    server.break_after = [1_000_000, *[0] * 9]
    with pytest.raises(DownloadFailed):
        get(server, tmp_path / "x.pt")
    server.break_after, server.etag, server.content = [], '"two"', CONTENT[::-1]
    get(server, tmp_path / "x.pt")
    assert (tmp_path / "x.pt").read_bytes() == CONTENT[::-1]


def test_a_part_that_was_whole_already_ends_well(server: Server, tmp_path: Path) -> None:
    (tmp_path / "x.pt.part").write_bytes(CONTENT)
    (tmp_path / "x.pt.part.etag").write_text(server.etag)
    assert get(server, tmp_path / "x.pt") == DIGEST


def test_a_wrong_checksum_leaves_nothing_behind(server: Server, tmp_path: Path) -> None:
    with pytest.raises(WeightsCorrupt, match="0000"):
        get(server, tmp_path / "x.pt", "0" * 64)
    assert os.listdir(tmp_path) == ["x.pt.part.etag"] or os.listdir(tmp_path) == []


def test_what_the_server_does_not_have_is_missing_at_once(server: Server, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(WeightsMissing, match="404"):
        get(server, tmp_path / "x.pt")
    assert len(server.asked) == 1


def test_a_server_in_trouble_is_asked_again_but_not_for_ever(server: Server, tmp_path: Path) -> None:
    server.status = 503
    with pytest.raises(WeightsMissing, match="503"):
        get(server, tmp_path / "x.pt")
    assert len(server.asked) == downloads.FRUITLESS_TRIES


@pytest.mark.parametrize("foreseen", [True, False])
def test_a_full_disk_says_so(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, foreseen: bool) -> None:
    with small_disk(tmp_path / "small") as disk:
        if not foreseen:  # it is filled meanwhile
            room = downloads.shutil.disk_usage(tmp_path)
            monkeypatch.setattr(downloads.shutil, "disk_usage", lambda path: room)
        with pytest.raises(DiskFull, match=r"x\.pt cannot be written: No space left"):
            get(server, disk / "x.pt")


def test_a_folder_that_cannot_be_written_to_says_so(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DownloadFailed, match=r"x\.pt cannot be written: ") as caught:
        get(server, tmp_path / "file" / "x.pt")
    assert "REFRAMER_WEIGHTS_DIR" in caught.value.remedy


def test_two_downloads_at_once_make_one_file(server: Server, tmp_path: Path) -> None:
    digests: list[str] = []
    threads = [threading.Thread(target=lambda: digests.append(get(server, tmp_path / "x.pt"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert digests == [DIGEST] * 4 and (tmp_path / "x.pt").read_bytes() == CONTENT


def test_first_use_fetches_and_a_published_digest_is_trusted(settings: Settings, server: Server) -> None:
    with pytest.raises(WeightsMissing, match="yolov8n.pt") as missing:
        weights.resolve(settings, "detector")
    assert str(settings.weights_folder) in str(missing.value) and "REFRAMER_WEIGHTS_DIR" in str(missing.value)
    file = weights.fetch(settings, "detector")
    assert (file.sha256, file.trusted, file.trusted_by) == (DIGEST, True, "published digest")
    assert weights.fetch(settings, "detector") == file == weights.resolve(settings, "detector")
    assert len(server.asked) == 1


@pytest.mark.parametrize("inside", [True, False])
def test_the_data_folder_is_closed_also_if_weights_come_first(settings: Settings, tmp_path: Path, inside: bool) -> None:
    shared, before = settings if inside else settings.model_copy(update={"weights_dir": tmp_path / "shared"}), os.umask(0o022)
    try:
        weights.fetch(shared, "detector")
    finally:
        os.umask(before)
    assert settings.home_dir.stat().st_mode & 0o777 == 0o700 and shared.weights_folder.stat().st_mode & 0o777 == 0o755


def test_the_data_folder_is_closed_also_if_weights_are_looked_at_first(settings: Settings, tmp_path: Path) -> None:
    elsewhere = settings.model_copy(update={"weights_dir": tmp_path / "shared"})
    own_file(elsewhere)
    assert weights.resolve(elsewhere, "detector")
    assert (settings.home_dir / "weights.json").exists() and settings.home_dir.stat().st_mode & 0o777 == 0o700


def test_the_wrong_file_from_the_mirror_is_not_kept(settings: Settings, server: Server) -> None:
    server.content = b"something else"
    with pytest.raises(WeightsCorrupt):
        weights.fetch(settings, "detector")
    with pytest.raises(WeightsMissing):
        weights.resolve(settings, "detector")


def test_without_file_and_connection_one_error_names_file_folder_and_setting(settings: Settings, server: Server) -> None:
    offline = settings.model_copy(update={"weights_url": "http://127.0.0.1:9/"})
    with pytest.raises(WeightsMissing) as missing:
        weights.fetch(offline, "detector")
    for word in ("yolov8n.pt", str(settings.weights_folder), "REFRAMER_WEIGHTS_DIR", "cannot be reached"):
        assert word in str(missing.value)
    assert "models fetch" not in missing.value.remedy  # it was that which failed


def test_a_missing_file_of_ones_own_is_not_to_be_fetched(settings: Settings) -> None:
    with pytest.raises(WeightsMissing, match="own.pt") as missing:
        weights.fetch(settings.model_copy(update={"yolo_model": "own.pt"}), "detector")
    assert "models fetch" not in missing.value.remedy and "REFRAMER_YOLO_MODEL" in missing.value.remedy


def own_file(settings: Settings, content: bytes = b"a pickle from somewhere") -> Path:
    path = settings.weights_folder / "yolov8n.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_an_unknown_pickle_is_loaded_only_after_the_users_word(settings: Settings) -> None:
    path = own_file(settings)
    file = weights.resolve(settings, "detector")
    assert not file.trusted
    with pytest.raises(WeightsUntrusted, match=file.sha256) as refused:
        weights.require_trusted(file)
    assert "--trust" in str(refused.value)
    weights.require_trusted(weights.fetch(settings, "detector", trust=True))
    assert weights.resolve(settings, "detector").trusted_by == "user"
    os.utime(path, (1, 1))  # a new date alone changes nothing
    assert weights.resolve(settings, "detector").trusted_by == "user"


def test_trust_is_for_one_digest_only(settings: Settings) -> None:
    own_file(settings)
    weights.fetch(settings, "detector", trust=True)
    own_file(settings, b"another pickle")
    with pytest.raises(WeightsCorrupt, match="recorded"):
        weights.resolve(settings, "detector")
    assert weights.fetch(settings, "detector", trust=True).trusted_by == "user"


def test_a_published_file_in_place_of_another_is_welcome(settings: Settings) -> None:
    own_file(settings)
    weights.resolve(settings, "detector")
    own_file(settings, CONTENT)
    assert weights.resolve(settings, "detector").trusted_by == "published digest"


def test_a_new_version_of_the_bundled_models_is_no_suspicion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from reframer_pipeline.vision import demo_models as demo

    monkeypatch.setattr(demo, "demo_weights_dir", lambda: tmp_path)
    settings, digests = Settings(home=tmp_path / "home", models="demo"), []
    for content in (b"first", b"second version"):
        for name in (demo.DETECTOR_FILE, demo.SEGMENTER_FILE):
            (tmp_path / name).write_bytes(content)
        file = weights.resolve(settings, "detector")
        assert file.trusted and file.trusted_by == "bundled"
        digests.append(weights.digests(settings)["segmenter"])
    assert digests == [f"demo:{hashlib.sha256(content).hexdigest()}" for content in (b"first", b"second version")]


def test_a_folder_of_weights_cannot_vouch_for_itself(settings: Settings) -> None:
    path = own_file(settings)
    stat = path.stat()
    entry = {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "trusted_by": "user",
        "size": stat.st_size,
        "mtime_ns": stat.st_mtime_ns,
    }

    (path.parent / "weights.json").write_text(json.dumps({str(path): entry, "yolov8n.pt": entry}))
    assert not weights.resolve(settings, "detector").trusted


def test_segmenter_weights_need_no_trust_and_the_default_has_its_config(settings: Settings) -> None:
    path = settings.weights_folder / "sam2_hiera_base_plus.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"tensors")
    assert weights.resolve(settings, "segmenter").trusted_by == "no pickle"
    release = weights.release_of(settings, "segmenter")
    assert release is not None and release.config == "configs/sam2/sam2_hiera_b+.yaml"
    with pytest.raises(SettingsInvalid, match="sam2_hiera_tiny"):
        weights.resolve(settings.model_copy(update={"sam2_model": "sam9"}), "segmenter")


def test_digests_for_stage_keys(settings: Settings) -> None:
    own_file(settings, CONTENT)
    (settings.weights_folder / "sam2_hiera_base_plus.pt").write_bytes(b"tensors")
    assert weights.digests(settings) == {"detector": f"sha256:{DIGEST}", "segmenter": f"sha256:{hashlib.sha256(b'tensors').hexdigest()}"}


def test_every_released_segmenter_has_a_config_that_sam2_ships() -> None:
    spec = importlib.util.find_spec("sam2")
    assert spec is not None and spec.origin is not None
    for name, release in releases.RELEASES.items():
        if release.config:
            assert name in release.file and (Path(spec.origin).parent / release.config).is_file()
