"""The description of the API and its answers agree, whatever is asked: schemathesis makes the requests.

Two people ask for the same ids. To one they belong; to the other they are nobody's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reframer_pipeline.editing import keeping
from reframer_pipeline.editing.wishes import ReframeWish
from reframer_pipeline.uploads.ingest import ingest_file
from reframer_pipeline_tests.api.library import WithPictures
from reframer_pipeline_tests.api.serving import Serving, started
from reframer_pipeline_tests.factories import commit_all, video_bytes
from reframer_pipeline_tests.servers import Server
from reframer_pipeline_tests.spread import IN_CI
from reframer_pipeline_tests.support import REPOSITORY

CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "unsupported_method", "allow_header_conformance",
)  # fmt: skip
OWNER, OTHER = "owner@example.org", "other@example.org"
PHASES = "examples,coverage,fuzzing" if IN_CI else "examples,coverage"
EXAMPLES = 12  # requests an operation and phase


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory, embedded_server: Server) -> Iterator[Serving]:
    """A server that lets them ask as often as they like."""
    plenty = {"REFRAMER_API_REQUESTS_PER_MINUTE": "1000000", "REFRAMER_API_JOBS_AT_ONCE": "1000", "REFRAMER_API_UPLOADS_AT_ONCE": "1000"}
    plenty |= {"REFRAMER_API_WRONG_KEYS_PER_MINUTE": "1000000"}
    yield from started(tmp_path_factory.mktemp("serving"), embedded_server, **plenty)


@pytest.fixture(scope="module")
def owned(serving: Serving) -> dict[str, str]:
    """Ids of the owner's: their job and its video, which is computed, and what is in it."""
    storage, path = serving.storage, serving.home / "clip.mp4"
    serving.key(OWNER), serving.key(OTHER)
    path.write_bytes(video_bytes(7))
    result = ingest_file(path, storage.db, storage.store, storage.settings, user_email=OWNER)
    assert result.video_id is not None
    row = storage.db.fetch_one("UPDATE videos SET width = 64, height = 48 WHERE id = %s RETURNING sha256", (result.video_id,))
    storage.db.execute("UPDATE uploads SET requested = true")
    assert row is not None
    maker = WithPictures(row["sha256"], storage.settings)
    commit_all(storage, result.video_id, maker)
    detection = maker.rows("detections")[0]["detection_id"]
    wish = keeping.ask(storage, result.video_id, ReframeWish(ratio="1:1", form="ae"))
    assert keeping.make(storage, wish.id, "00000000-0000-4000-8000-000000000000") is not None
    ids = {"job_id": result.upload_id, "video_id": result.video_id, "deliverable_id": wish.id}
    return {**ids, "track_id": "obj_001", "detection_id": detection}


@pytest.mark.parametrize(
    ("email", "methods"),
    [
        pytest.param(OWNER, ("--exclude-method", "DELETE"), id="owner"),
        pytest.param(OTHER, (), id="other", marks=pytest.mark.long),
        pytest.param(OWNER, ("--include-method", "DELETE"), id="owner deletes", marks=pytest.mark.soak),
    ],
)
def test_answers_are_as_described(serving: Serving, owned: dict[str, str], email: str, methods: tuple[str, ...], tmp_path: Path) -> None:
    config = tmp_path / "schemathesis.toml"
    config.write_text("[parameters]\n" + "".join(f'"path.{name}" = {json.dumps(value)}\n' for name, value in owned.items()))
    ran = subprocess.run(
        [
            Path(sys.executable).with_name("st"), "--config-file", config, "--no-color", "run", f"{serving.url}/openapi.json",
            "--url", f"{serving.url}/v1", "--header", f"X-API-Key: {serving.key(email)}", "--checks", ",".join(CHECKS), *methods,
            "--phases", PHASES, "--max-examples", str(EXAMPLES), "--seed", "1", "--generation-database", "none",
            "--continue-on-failure", "--request-timeout", "30", "--warnings", "off",
        ],
        env={**os.environ, "SCHEMATHESIS_HOOKS": "reframer_pipeline_tests.api.octets", "PYTHONPATH": str(REPOSITORY)},
        capture_output=True, text=True, cwd=tmp_path, timeout=540, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
    assert "Traceback" not in serving.log.read_text()
