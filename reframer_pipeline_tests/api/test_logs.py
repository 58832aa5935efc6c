"""How the log looks, for people and for programs, and what is never in it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from reframer_pipeline.api import logs
from reframer_pipeline.settings import Settings

SECRETS = ("vr_" + "canary" * 7 + "1", "AIza-canary", "p@ss/wörd", "p%40ss%2Fw%C3%B6rd", "of-the-store", 'quo"ted')
SETTINGS = {
    "database_url": "postgresql://reframer:p%40ss%2Fw%C3%B6rd@db.example/reframer",
    "dagster_database_url": 'postgresql://reframer:quo"ted@db.example/dagster',
    "store_url": "s3://key:of-the-store@bucket/x",
    "GEMINI_API_KEY": "AIza-canary",
}


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


@pytest.mark.parametrize("form", ["json", "text"])
def test_secrets_are_blotted_out_wherever_they_stand(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings(log_format=form, **SETTINGS))
    log = logging.getLogger("any.library")
    for secret in (*SECRETS, *(str(value) for value in SETTINGS.values())):
        log.warning("in the message: %s", secret, extra={"field": secret, "nested": {"list": [secret]}})
        try:
            raise RuntimeError(f"in a failure: {secret}")
        except RuntimeError:
            log.exception("it broke")
    written = capsys.readouterr().err
    assert not [secret for secret in SECRETS if secret in written or json.dumps(secret)[1:-1] in written]
    assert "in the message" in written and "in a failure" in written


def test_a_line_is_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings(log_format="json"))
    logging.getLogger("a.b").info("said %s", "so\nto say", extra={"n": 1})
    logging.getLogger("a.b").debug("not said")
    (line,) = capsys.readouterr().err.splitlines()
    written = json.loads(line)
    assert written.pop("timestamp").endswith("Z")
    assert written == {"event": "said so\nto say", "n": 1, "level": "info", "logger": "a.b"}


def test_quiet_keeps_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings(log_format="json"), quiet=True)
    logging.getLogger("a").info("one")
    logging.getLogger("a").warning("two")
    assert [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()] == ["two"]
