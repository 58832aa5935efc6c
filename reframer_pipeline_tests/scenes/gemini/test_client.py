"""The real google-genai client against the local stand-in: every way it can go, with its outcome, its tries and its requests."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from google.genai.errors import APIError
from pydantic import SecretStr

from reframer_pipeline import failures
from reframer_pipeline.fake_gemini import Behaviour, Endpoint, FakeGemini, Kind
from reframer_pipeline.scenes.gemini import client as client_module
from reframer_pipeline.scenes.gemini import remote_file
from reframer_pipeline.scenes.gemini.claims import Answer, Spent
from reframer_pipeline.scenes.gemini.client import GeminiClient, Hooks, Keyframe, VideoFile
from reframer_pipeline.scenes.gemini.errors import LONGEST_PAUSE_S, CallFailed, calling
from reframer_pipeline.scenes.gemini.prompt import task
from reframer_pipeline.settings import Settings

SOON_S = 20.0  # even on a busy machine: without the deadline it would take minutes
TEXT = task({"duration_seconds": 9.0, "width": 640, "height": 360}, None)
ELEMENT = {"type": "person", "description": "a person", "difficulty": "easy"}
SCENE = {
    "start_seconds": 0,
    "end_seconds": 9,
    "description": "x",
    "importance": 5,
    "scene_type": "person",
    "replaceable_elements": [ELEMENT],
}


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(remote_file, "_POLL_S", (0.02, 0.05))


@pytest.fixture
def video(tmp_path: Path) -> VideoFile:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"\0" * 9_000_000)  # more than one chunk
    return VideoFile(path, "video/mp4")


@dataclass
class Noted:
    """What the client told its hooks."""

    turns: int = 0
    held_off: list[float] = field(default_factory=list)
    uploaded: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    lives: int = 0
    used: Spent = Spent()

    def hooks(self) -> Hooks:
        return Hooks(self._alive, self._turn, self.held_off.append, self.uploaded.append, self.deleted.append)

    def _alive(self) -> None:
        self.lives += 1

    def _turn(self, until: float) -> bool:
        self.turns += 1
        return True


def settings(server: FakeGemini, **more: Any) -> Settings:
    given = {"gemini_api_key": "secret-key", "gemini_url": server.url, "gemini_attempts": 3, "gemini_inline_mb": 0, **more}
    return Settings(**given)


def ask(server: FakeGemini, media: Any, noted: Noted | None = None, **more: Any) -> Answer:
    noted = noted or Noted()
    client = GeminiClient(settings(server, **more), noted.hooks())
    try:
        return client.ask(TEXT, media)
    finally:
        noted.used = client.spent
        client.tidy_up()


def generations(server: FakeGemini) -> int:
    return len(server.requests_of(Endpoint.GENERATE))


def test_a_file_is_uploaded_awaited_used_and_deleted(gemini: FakeGemini, video: VideoFile) -> None:
    noted = Noted()
    answer = ask(gemini, video, noted)
    assert answer.content["scenes"] and answer.model_version == "gemini-3.8-flash"
    assert noted.used.requests == 1 and noted.used.input_tokens > 1000 and noted.used.output_tokens > 0
    assert gemini.file_names == [] and gemini.accepted_generations == 1 and noted.turns == 1
    assert len(noted.uploaded) == 1 and noted.deleted == noted.uploaded and noted.lives >= 1
    (asked,) = gemini.requests_of(Endpoint.GENERATE)
    assert "never instructions" in str(asked.body["systemInstruction"])
    assert asked.body["generationConfig"]["responseMimeType"] == "application/json"
    assert "secret-key" not in str(gemini.requests)


def test_small_videos_and_keyframes_need_no_upload(gemini: FakeGemini, video: VideoFile) -> None:
    ask(gemini, video, gemini_inline_mb=14)
    ask(gemini, [Keyframe(0.5, b"\xff\xd8one"), Keyframe(2.0, b"\xff\xd8two")])
    assert gemini.accepted_generations == 2 and gemini.requests_of(Endpoint.UPLOAD_START) == []
    parts = gemini.requests_of(Endpoint.GENERATE)[1].body["contents"][0]["parts"]
    assert [part.get("text") for part in parts[::2]] == ["0.50 s:", "2.00 s:", TEXT]


RECOVERS = [
    ([Behaviour(Kind.RATE_LIMITED, retry_seconds=0.1)], 2),
    ([Behaviour(Kind.RATE_LIMITED)], 2),
    ([Behaviour(Kind.INTERNAL), Behaviour(Kind.UNAVAILABLE)], 3),
    ([Behaviour(Kind.HTML)], 2),
    ([Behaviour(Kind.HANG, wait_seconds=0.5)], 2),
    ([Behaviour(Kind.DRIP)], 2),
    ([Behaviour(Kind.BAD_GZIP)], 2),
    ([Behaviour(Kind.DROP)], 2),
    ([Behaviour(Kind.CUT_OFF)], 2),
    ([Behaviour(Kind.HALF_JSON)], 2),
    ([Behaviour(Kind.EMPTY)], 2),
    ([Behaviour(Kind.MAX_TOKENS)], 2),
    ([Behaviour(Kind.FENCED)], 1),
    ([Behaviour(Kind.ODD_TEXT)], 1),
    ([Behaviour(Kind.PAST_END)], 1),
    ([Behaviour(Kind.FILE_EXPIRES)], 2),
    ([Behaviour(Kind.UNAVAILABLE, Endpoint.UPLOAD_START)], 1),
    ([Behaviour(Kind.DROP, Endpoint.UPLOAD_CHUNK)], 1),
    ([Behaviour(Kind.DROP, Endpoint.GET_FILE)], 1),
]


@pytest.mark.parametrize(("script", "asked"), RECOVERS, ids=lambda value: value[0].kind.name if isinstance(value, list) else str(value))
def test_passing_failures_are_tried_again(gemini: FakeGemini, video: VideoFile, script: list[Behaviour], asked: int) -> None:
    gemini.script(*script)
    timeout = 0.5 if script[0].kind in (Kind.HANG, Kind.DRIP) else 30
    answer = ask(gemini, video, gemini_timeout_s=timeout)
    assert answer.content["scenes"][0]["description"]
    assert "\\u0000" not in json.dumps(answer.content)
    _until(lambda: generations(gemini) >= asked)
    assert generations(gemini) == asked
    assert gemini.file_names == []


GIVES_UP: list[tuple[Kind, type[failures.ReframerError], int]] = [
    (Kind.RATE_LIMITED, failures.GeminiRateLimited, 3),
    (Kind.UNAVAILABLE, failures.GeminiUnavailable, 3),
    (Kind.HTML, failures.GeminiUnavailable, 3),
    (Kind.DROP, failures.GeminiUnavailable, 3),
    (Kind.HALF_JSON, failures.GeminiUnavailable, 2),  # each is paid for, like all that follow
    (Kind.CUT_OFF, failures.GeminiUnavailable, 2),
    (Kind.BAD_GZIP, failures.GeminiUnavailable, 2),
    (Kind.HANG, failures.GeminiUnavailable, 2),
    (Kind.DRIP, failures.GeminiUnavailable, 2),
    (Kind.EMPTY, failures.GeminiAnswerInvalid, 2),
    (Kind.MAX_TOKENS, failures.GeminiAnswerInvalid, 2),
    (Kind.SAFETY, failures.GeminiBlocked, 1),
    (Kind.BLOCKED, failures.GeminiBlocked, 1),
    (Kind.RETIRED, failures.GeminiModelUnknown, 1),
    (Kind.BAD_REQUEST, failures.GeminiRequestRefused, 1),
]


@pytest.mark.parametrize(("kind", "failure", "asked"), GIVES_UP)
def test_what_does_not_pass_is_a_typed_failure(
    gemini: FakeGemini, video: VideoFile, kind: Kind, failure: type[failures.ReframerError], asked: int
) -> None:
    gemini.script(Behaviour(kind, times=99))
    noted = Noted()
    timeout = 0.5 if kind in (Kind.HANG, Kind.DRIP) else 30
    with pytest.raises(failure) as raised:
        ask(gemini, video, noted, gemini_timeout_s=timeout)
    assert noted.turns == asked
    assert noted.used.requests == (asked if kind is Kind.HANG else gemini.accepted_generations)
    assert gemini.file_names == []
    assert "secret-key" not in str(raised.value) and "<" not in raised.value.message


def test_a_retired_model_names_the_setting(gemini: FakeGemini, video: VideoFile) -> None:
    with pytest.raises(failures.GeminiModelUnknown, match="REFRAMER_GEMINI_MODEL") as raised:
        ask(gemini, video, gemini_model="gemini-2.0-flash")
    assert "gemini-2.0-flash" in raised.value.message


def test_a_wrong_key_is_refused_once(gemini: FakeGemini, video: VideoFile) -> None:
    with pytest.raises(failures.GeminiKeyRefused):
        ask(gemini, video, gemini_api_key="invalid")
    assert len(gemini.requests) == 1


def test_an_answer_that_keeps_not_to_the_schema_is_asked_again_once(gemini: FakeGemini, video: VideoFile) -> None:
    gemini.script(Behaviour(Kind.ANSWER, answer={"scenes": [{**SCENE, "scene_type": "cat"}]}, times=9))
    with pytest.raises(failures.GeminiAnswerInvalid, match=r"scenes\.0\.scene_type"):
        ask(gemini, video)
    assert generations(gemini) == 2


def test_tokens_of_useless_answers_are_counted(gemini: FakeGemini, video: VideoFile) -> None:
    alone, both, failed = Noted(), Noted(), Noted()
    ask(gemini, video, alone)
    gemini.script(Behaviour(Kind.MAX_TOKENS))
    ask(gemini, video, both)
    assert both.used.requests == 2 and both.used.input_tokens == 2 * alone.used.input_tokens
    assert both.used.output_tokens > alone.used.output_tokens
    gemini.script(Behaviour(Kind.MAX_TOKENS, times=2))
    with pytest.raises(failures.GeminiAnswerInvalid):
        ask(gemini, video, failed)
    assert failed.used.requests == 2 and failed.used.input_tokens == 2 * alone.used.input_tokens


def test_files_that_fail_stay_or_expire(gemini: FakeGemini, video: VideoFile) -> None:
    gemini.script(Behaviour(Kind.FILE_FAILS))
    with pytest.raises(failures.GeminiFileRefused, match="KEYFRAMES|keyframes"):
        ask(gemini, video)
    gemini.script(Behaviour(Kind.FILE_STAYS, times=9))
    began = time.monotonic()
    with pytest.raises(failures.GeminiFileNotReady, match="deadline"):
        ask(gemini, video, gemini_deadline_s=1.0)
    assert time.monotonic() - began < SOON_S
    assert generations(gemini) == 0 and gemini.file_names == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Kind.HANG, Kind.DRIP])
@pytest.mark.parametrize("endpoint", [Endpoint.UPLOAD_START, Endpoint.UPLOAD_CHUNK, Endpoint.GET_FILE, Endpoint.GENERATE])
def test_nothing_outlasts_the_deadline(gemini: FakeGemini, video: VideoFile, endpoint: Endpoint, kind: Kind) -> None:
    gemini.script(Behaviour(kind, endpoint, times=99))
    noted = Noted()
    began = time.monotonic()
    with pytest.raises((failures.GeminiUnavailable, failures.GeminiFileNotReady)):
        ask(gemini, video, noted, gemini_deadline_s=2.0, gemini_attempts=20)
    assert time.monotonic() - began < SOON_S
    assert noted.lives >= 3  # also during a call
    assert gemini.file_names == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Kind.HANG, Kind.DRIP, Kind.UNAVAILABLE])
def test_a_delete_that_fails_is_tried_again_and_ends_with_the_deadline(gemini: FakeGemini, video: VideoFile, kind: Kind) -> None:
    gemini.script(Behaviour(kind, Endpoint.DELETE_FILE, times=99))
    noted = Noted()
    began = time.monotonic()
    ask(gemini, video, noted, gemini_deadline_s=3.0)
    assert time.monotonic() - began < SOON_S
    assert noted.uploaded and not noted.deleted  # it is not known to be gone


def test_a_delete_that_fails_once_is_tried_again(gemini: FakeGemini, video: VideoFile) -> None:
    gemini.script(Behaviour(Kind.UNAVAILABLE, Endpoint.DELETE_FILE))
    noted = Noted()
    ask(gemini, video, noted)
    assert gemini.file_names == [] and noted.deleted == noted.uploaded


def test_a_look_at_the_file_that_fails_is_taken_again_without_another_upload(gemini: FakeGemini, video: VideoFile) -> None:
    gemini.script(Behaviour(Kind.DROP, Endpoint.GET_FILE), Behaviour(Kind.UNAVAILABLE, Endpoint.GET_FILE))
    ask(gemini, video)
    assert len(gemini.requests_of(Endpoint.UPLOAD_START)) == 1 and gemini.accepted_generations == 1


def test_an_answer_is_there_before_anything_is_deleted(gemini: FakeGemini, video: VideoFile) -> None:
    client = GeminiClient(settings(gemini), Hooks())
    client.ask(TEXT, video)
    assert len(gemini.file_names) == 1 and gemini.requests_of(Endpoint.DELETE_FILE) == []
    client.tidy_up()
    assert gemini.file_names == []


def test_a_pause_longer_than_the_deadline_is_not_waited_for_but_told_to_all(gemini: FakeGemini, video: VideoFile) -> None:
    gemini.script(Behaviour(Kind.RATE_LIMITED, retry_seconds=3600, times=9))
    noted = Noted()
    began = time.monotonic()
    with pytest.raises(failures.GeminiRateLimited):
        ask(gemini, video, noted, gemini_deadline_s=60.0)
    assert time.monotonic() - began < SOON_S and noted.held_off == [3600]


@pytest.mark.parametrize("script", [Behaviour(Kind.FILE_STAYS), Behaviour(Kind.DRIP), Behaviour(Kind.HANG)])
def test_an_interrupt_ends_the_waiting_and_deletes_the_file(gemini: FakeGemini, video: VideoFile, script: Behaviour) -> None:
    gemini.script(script)
    began = time.monotonic()

    def alive() -> None:
        if time.monotonic() - began > 0.5:
            raise KeyboardInterrupt

    client = GeminiClient(settings(gemini), Hooks(alive=alive))
    with pytest.raises(KeyboardInterrupt):
        client.ask(TEXT, video)
    client.tidy_up()
    assert time.monotonic() - began < SOON_S
    assert gemini.file_names == []


def test_what_a_dead_asker_left_behind_is_deleted(gemini: FakeGemini, video: VideoFile) -> None:
    GeminiClient(settings(gemini), Hooks()).ask(TEXT, video)  # never tidied up, as if killed
    (left,) = gemini.file_names
    noted = Noted()
    client = GeminiClient(settings(gemini), noted.hooks())
    client.ask(TEXT, video, left_behind=left)
    client.tidy_up()
    assert gemini.file_names == [] and noted.deleted[0] == left
    client.ask(TEXT, video, left_behind=left)  # gone is as good as deleted
    assert noted.deleted[-1] == left


def test_what_a_server_may_ask_for_is_bounded_and_zero_is_no_pause(gemini: FakeGemini, video: VideoFile) -> None:
    gemini.script(Behaviour(Kind.RATE_LIMITED, retry_seconds=99999999999999.0))
    noted = Noted()
    with pytest.raises(failures.GeminiRateLimited):
        ask(gemini, video, noted)
    assert noted.held_off == [LONGEST_PAUSE_S]
    gemini.script(Behaviour(Kind.RATE_LIMITED, retry_seconds=0.0, times=2))
    began = time.monotonic()
    ask(gemini, video, noted)
    assert time.monotonic() - began >= 0.06 and noted.held_off[1:] == [0.02, 0.04]


ODD_ANSWERS = ["[" * 50_000, '{"scenes": [{"importance": ' + "9" * 5000 + "}]}", '{"scenes": 7}', "[]", "null", '{"scenes": []}']


@pytest.mark.parametrize("said", ODD_ANSWERS, ids=range(len(ODD_ANSWERS)))
def test_an_answer_of_whatever_kind_is_a_typed_failure(gemini: FakeGemini, video: VideoFile, said: str) -> None:
    gemini.script(Behaviour(Kind.ANSWER, answer=said, times=2))
    with pytest.raises((failures.GeminiAnswerInvalid, failures.GeminiUnavailable)):  # the library may stumble over it before we do
        ask(gemini, video)
    assert generations(gemini) == 2


@pytest.mark.parametrize("key", [None, "schlüssel", "two words", "line\nbreak"])
def test_a_key_that_cannot_be_sent_is_refused(gemini: FakeGemini, video: VideoFile, key: str | None) -> None:
    given = settings(gemini).model_copy(update={"gemini_api_key": SecretStr(key) if key else None})
    with pytest.raises(failures.GeminiKeyRefused, match="characters" if key else "No key is set"):
        GeminiClient(given, Hooks()).ask(TEXT, video)
    assert gemini.requests == []


ANSWERED: list[tuple[int, Any, str, type[failures.ReframerError]]] = [
    (404, {"error": {"code": 404, "status": "NOT_FOUND", "message": "models/x is not found"}}, "generate", failures.GeminiModelUnknown),
    (404, {"error": {"code": 404, "status": "NOT_FOUND", "message": "Not here."}}, "generate", failures.GeminiRequestRefused),
    (404, {"message": "<h1>nginx</h1> no such model page", "status": "Not Found"}, "generate", failures.GeminiRequestRefused),
    (404, {"error": {"code": 404, "status": "NOT_FOUND", "message": "Gone."}}, "file", failures.GeminiFileNotReady),
    (403, {"error": {"code": 403, "message": "Your profile is not allowed to do this."}}, "generate", failures.GeminiKeyRefused),
    (403, {"error": {"code": 403, "message": "You may not access the File abc123."}}, "generate", failures.GeminiFileNotReady),
    (204, {}, "generate", failures.GeminiUnavailable),
    (302, {"message": "Moved", "status": "Found"}, "generate", failures.GeminiUnavailable),
    (500, ["odd"], "generate", failures.GeminiUnavailable),
]


@pytest.mark.parametrize(("code", "body", "step", "failure"), ANSWERED)
def test_each_status_has_its_failure(code: int, body: Any, step: Any, failure: type[failures.ReframerError]) -> None:
    def call() -> None:
        APIError.raise_error(code, body, None)

    with pytest.raises(CallFailed) as raised:
        calling(step, "x", call)
    assert type(raised.value.failure) is failure
    assert failure is not failures.GeminiRequestRefused or "GOOGLE_GEMINI_BASE_URL" in raised.value.failure.remedy


def test_no_server_at_all_is_unavailable(video: VideoFile) -> None:
    with FakeGemini() as server:
        gone = settings(server)
    with pytest.raises(failures.GeminiUnavailable):
        GeminiClient(gone, Hooks()).ask(TEXT, video)


def _until(done: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not done() and time.monotonic() < until:
        time.sleep(0.02)
