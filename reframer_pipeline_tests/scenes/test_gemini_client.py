"""The real google-genai client against the local stand-in: every way it can go, with its outcome, its tries and its requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from reframer_pipeline import failures
from reframer_pipeline.fake_gemini import Behaviour, Endpoint, FakeGemini, Kind
from reframer_pipeline.scenes.gemini import client as client_module
from reframer_pipeline.scenes.gemini.client import GeminiClient, Hooks, Keyframe, VideoFile
from reframer_pipeline.scenes.gemini.prompt import task
from reframer_pipeline.settings import Settings

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


@pytest.fixture
def gemini() -> Iterator[FakeGemini]:
    with FakeGemini() as server:
        yield server


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(client_module, "_POLL_S", (0.02, 0.05))


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
    files: list[str | None] = field(default_factory=list)
    lives: int = 0

    def hooks(self) -> Hooks:
        return Hooks(self._alive, self._turn, self.held_off.append, self.files.append)

    def _alive(self) -> None:
        self.lives += 1

    def _turn(self, until: float) -> bool:
        self.turns += 1
        return True


def settings(server: FakeGemini, **more: Any) -> Settings:
    given = {"gemini_api_key": "secret-key", "gemini_url": server.url, "gemini_attempts": 3, "gemini_inline_mb": 0, **more}
    return Settings(**given)


def ask(server: FakeGemini, media: Any, noted: Noted | None = None, **more: Any) -> client_module.Reply:
    return GeminiClient(settings(server, **more), (noted or Noted()).hooks()).ask(TEXT, media)


def generations(server: FakeGemini) -> int:
    return len(server.requests_of(Endpoint.GENERATE))


def test_a_file_is_uploaded_awaited_used_and_deleted(gemini: FakeGemini, video: VideoFile) -> None:
    noted = Noted()
    reply = ask(gemini, video, noted)
    assert reply.answer.scenes and reply.model_version == "gemini-3.8-flash"
    assert reply.input_tokens > 1000 and reply.output_tokens > 0
    assert gemini.file_names == [] and gemini.accepted_generations == 1 and noted.turns == 1
    assert noted.files[0] is not None and noted.files[-1] is None and noted.lives >= 3
    (asked,) = gemini.requests_of(Endpoint.GENERATE)
    assert "never instructions" in str(asked.body["systemInstruction"])
    assert asked.body["generationConfig"]["responseMimeType"] == "application/json"
    assert "secret-key" not in str(gemini.requests)


def test_small_videos_and_keyframes_need_no_upload(gemini: FakeGemini, video: VideoFile) -> None:
    ask(gemini, video, gemini_inline_mb=15)
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
    timeout = 0.25 if script[0].kind is Kind.HANG else 30
    reply = ask(gemini, video, gemini_timeout_s=timeout)
    assert reply.answer.scenes[0].description
    assert "\x00" not in reply.answer.model_dump_json()
    _until(lambda: generations(gemini) >= asked)
    assert generations(gemini) == asked
    assert gemini.file_names == []


GIVES_UP: list[tuple[Kind, type[failures.ReframerError], int]] = [
    (Kind.RATE_LIMITED, failures.GeminiRateLimited, 3),
    (Kind.UNAVAILABLE, failures.GeminiUnavailable, 3),
    (Kind.HTML, failures.GeminiUnavailable, 3),
    (Kind.DROP, failures.GeminiUnavailable, 3),
    (Kind.HALF_JSON, failures.GeminiUnavailable, 3),
    (Kind.EMPTY, failures.GeminiAnswerInvalid, 2),  # each is paid for
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
    with pytest.raises(failure) as raised:
        ask(gemini, video)
    assert generations(gemini) == asked
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
    alone = ask(gemini, video)
    gemini.script(Behaviour(Kind.MAX_TOKENS))
    both = ask(gemini, video)
    assert both.input_tokens == 2 * alone.input_tokens and both.output_tokens > alone.output_tokens


def test_files_that_fail_stay_or_expire(gemini: FakeGemini, video: VideoFile) -> None:
    gemini.script(Behaviour(Kind.FILE_FAILS))
    with pytest.raises(failures.GeminiFileRefused, match="KEYFRAMES|keyframes"):
        ask(gemini, video)
    gemini.script(Behaviour(Kind.FILE_STAYS, times=9))
    began = time.monotonic()
    with pytest.raises(failures.GeminiFileNotReady, match="deadline"):
        ask(gemini, video, gemini_deadline_s=1.0)
    assert time.monotonic() - began < 2.5
    assert generations(gemini) == 0 and gemini.file_names == []


def test_nothing_outlasts_the_deadline(gemini: FakeGemini, video: VideoFile) -> None:
    gemini.script(Behaviour(Kind.HANG, times=99))
    began = time.monotonic()
    with pytest.raises(failures.GeminiUnavailable):
        ask(gemini, video, gemini_deadline_s=1.0, gemini_attempts=20)
    assert time.monotonic() - began < 3


def test_a_pause_longer_than_the_deadline_is_not_waited_for_but_told_to_all(gemini: FakeGemini, video: VideoFile) -> None:
    gemini.script(Behaviour(Kind.RATE_LIMITED, retry_seconds=3600, times=9))
    noted = Noted()
    began = time.monotonic()
    with pytest.raises(failures.GeminiRateLimited):
        ask(gemini, video, noted, gemini_deadline_s=5.0)
    assert time.monotonic() - began < 3 and noted.held_off == [3600]


def test_an_interrupt_ends_the_waiting_and_deletes_the_file(gemini: FakeGemini, video: VideoFile) -> None:
    gemini.script(Behaviour(Kind.FILE_STAYS, times=9))
    began = time.monotonic()

    def alive() -> None:
        if time.monotonic() - began > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        GeminiClient(settings(gemini), Hooks(alive=alive)).ask(TEXT, video)
    assert gemini.file_names == []


def test_what_a_dead_asker_left_behind_is_deleted(gemini: FakeGemini, video: VideoFile) -> None:
    left = threading.Event()

    class Died(BaseException):
        pass

    def remember(name: str | None) -> None:
        if name is not None:
            names.append(name)
            left.set()

    names: list[str] = []
    gemini.script(Behaviour(Kind.FILE_STAYS))
    hooks = Hooks(remote_file=remember)
    quick = settings(gemini, gemini_deadline_s=0.3)
    client = GeminiClient(quick, hooks)
    client._delete = lambda *_: None  # type: ignore[method-assign]  # as if killed
    with pytest.raises(failures.GeminiFileNotReady):
        client.ask(TEXT, video)
    assert gemini.file_names == names
    GeminiClient(settings(gemini), Hooks()).ask(TEXT, video, left_behind=names[0])
    assert gemini.file_names == []


def test_no_server_at_all_is_unavailable(video: VideoFile) -> None:
    with FakeGemini() as server:
        gone = settings(server)
    with pytest.raises(failures.GeminiUnavailable):
        GeminiClient(gone, Hooks()).ask(TEXT, video)


def _until(done: Callable[[], bool]) -> None:
    until = time.monotonic() + 5
    while not done() and time.monotonic() < until:
        time.sleep(0.02)
