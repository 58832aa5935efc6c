"""The stand-in for Gemini, as the real google-genai client meets it: the whole way of a video, and every behaviour on request."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import httpx2
import pydantic
import pytest
from google import genai
from google.genai import errors, types

from reframer_pipeline.fake_gemini import Behaviour, Endpoint, FakeGemini, Kind, read_script
from reframer_pipeline.fake_gemini.answers import invented

MODEL = "gemini-3.5-flash"
PROMPT = 'Describe the scenes. The facts:\n{"duration_seconds": 10.5, "width": 640, "height": 360}\nThat is all.'


class Element(pydantic.BaseModel):
    type: str
    description: str
    difficulty: str
    reason: str
    position: str
    box: list[int] | None
    start_seconds: float | None
    end_seconds: float | None


class Scene(pydantic.BaseModel):
    start_seconds: float
    end_seconds: float
    description: str
    importance: int = pydantic.Field(ge=1, le=10)
    scene_type: str
    replaceable_elements: list[Element]


class Answer(pydantic.BaseModel):
    scenes: list[Scene]


@pytest.fixture
def client(gemini: FakeGemini) -> genai.Client:
    return connect(gemini)


def connect(gemini: FakeGemini, key: str = "anything", **options) -> genai.Client:
    return genai.Client(api_key=key, http_options=types.HttpOptions(base_url=gemini.url, **{"timeout": 5000, **options}))


def generate(client: genai.Client, *media, model: str = MODEL) -> types.GenerateContentResponse:
    config = types.GenerateContentConfig(response_mime_type="application/json", response_json_schema=Answer.model_json_schema())
    return client.models.generate_content(model=model, contents=[*media, PROMPT], config=config)


@pytest.fixture(scope="session")
def video(tmp_path_factory) -> Path:
    """Twelve MiB: a chunk of eight and one of four."""
    path = tmp_path_factory.mktemp("fake_gemini") / "clip.mp4"
    path.write_bytes(os.urandom(2**20) * 12)
    return path


def scripted(gemini: FakeGemini, kind: Kind, **more) -> None:
    gemini.script(Behaviour(kind, **more))


# --- all goes well -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["v1", "v1beta"])
def test_the_whole_way_of_a_video(gemini: FakeGemini, video: Path, version: str) -> None:
    client = connect(gemini, api_version=version)
    file = client.files.upload(file=video, config={"display_name": "clip"})
    assert (file.state, file.size_bytes, file.mime_type, file.display_name) == ("PROCESSING", 12 * 2**20, "video/mp4", "clip")
    assert base64.b64decode(file.sha256_hash).decode() == hashlib.sha256(video.read_bytes()).hexdigest()
    assert [client.files.get(name=file.name).state for _ in range(3)] == ["PROCESSING", "ACTIVE", "ACTIVE"]
    response = generate(client, file)
    answer = Answer.model_validate_json(response.text)
    assert [(scene.start_seconds, scene.end_seconds) for scene in answer.scenes] == [(0.0, 3.5), (3.5, 7.0), (7.0, 10.5)]
    assert all("has not looked at the video" in scene.description for scene in answer.scenes)
    usage = response.usage_metadata
    assert usage.total_token_count == usage.prompt_token_count + usage.candidates_token_count
    assert 258 * 10.5 < usage.prompt_token_count < 258 * 10.5 + 100
    assert (response.model_version, response.candidates[0].finish_reason) == (MODEL, "STOP")
    assert gemini.file_names == [file.name] == [one.name for one in client.files.list()]
    client.files.delete(name=file.name)
    assert gemini.file_names == []
    chunks = gemini.requests_of(Endpoint.UPLOAD_CHUNK)
    assert [(one.path, one.status) for one in chunks] == [(f"/upload/{version}/files", 200)] * 2
    (asked,) = gemini.requests_of(Endpoint.GENERATE)
    assert (asked.model, asked.status, asked.accepted, asked.behaviour) == (MODEL, 200, True, None)
    assert asked.body["generationConfig"]["responseJsonSchema"]["required"] == ["scenes"]
    assert gemini.accepted_generations == 1


def test_inline_bytes_are_weighed_and_not_kept(gemini: FakeGemini, client: genai.Client) -> None:
    pictures = [types.Part.from_bytes(data=os.urandom(30_000), mime_type="image/jpeg") for _ in range(3)]
    usage = generate(client, *pictures).usage_metadata
    assert usage.prompt_token_count == 3 * 258 + len(PROMPT) // 4
    (asked,) = gemini.requests
    assert [part["inlineData"]["data"][:30] for part in asked.body["contents"][0]["parts"][:3]] == ["40000 characters of base64, sh"] * 3


@pytest.mark.parametrize("seconds", [0.2, 4.0, 5.9, 61.04, 3600.0])
def test_invented_scenes_have_no_gaps(seconds: float) -> None:
    scenes = Answer.model_validate(invented(seconds)).scenes
    assert (scenes[0].start_seconds, scenes[-1].end_seconds) == (0.0, seconds)
    assert all(one.end_seconds == following.start_seconds for one, following in pairwise(scenes))
    assert all(2 < scene.end_seconds - scene.start_seconds < 6 for scene in scenes) or len(scenes) == 1


def test_a_prompt_without_facts_gets_no_scenes(client: genai.Client) -> None:
    assert json.loads(client.models.generate_content(model=MODEL, contents="Hello").text) == {"scenes": []}


def test_many_ask_at_once(gemini: FakeGemini, client: genai.Client) -> None:
    scripted(gemini, Kind.ANSWER, wait_seconds=2, times=10)
    started = time.perf_counter()
    with ThreadPoolExecutor(10) as pool:
        texts = set(pool.map(lambda _: generate(client).text, range(10)))
    assert (len(texts), gemini.accepted_generations) == (1, 10)
    assert time.perf_counter() - started < 15  # one after the other would take 20


# --- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "expected", "code", "status"),
    [
        (Kind.RATE_LIMITED, errors.ClientError, 429, "RESOURCE_EXHAUSTED"),
        (Kind.BAD_REQUEST, errors.ClientError, 400, "INVALID_ARGUMENT"),
        (Kind.INTERNAL, errors.ServerError, 500, "INTERNAL"),
        (Kind.UNAVAILABLE, errors.ServerError, 503, "UNAVAILABLE"),
        (Kind.HTML, errors.ServerError, 502, "Bad Gateway"),
        (Kind.RETIRED, errors.ClientError, 404, "NOT_FOUND"),
    ],
)
def test_errors_once(gemini: FakeGemini, client: genai.Client, kind: Kind, expected: type, code: int, status: str) -> None:
    scripted(gemini, kind)
    with pytest.raises(expected) as caught:
        generate(client)
    assert (caught.value.code, caught.value.status) == (code, status)
    assert generate(client).text
    assert [(one.status, one.behaviour) for one in gemini.requests] == [(code, kind), (200, None)]
    assert gemini.accepted_generations == 1


@pytest.mark.parametrize(("seconds", "said"), [(2, "2s"), (0.25, "0.250s"), (None, None)])
def test_retry_info(gemini: FakeGemini, client: genai.Client, seconds: float | None, said: str | None) -> None:
    scripted(gemini, Kind.RATE_LIMITED, retry_seconds=seconds)
    with pytest.raises(errors.ClientError) as caught:
        generate(client)
    details = caught.value.details["error"]["details"]
    assert [one["retryDelay"] for one in details if one["@type"].endswith("google.rpc.RetryInfo")] == ([said] if said else [])


@pytest.mark.parametrize(("model", "words"), [("gemini-2.0-flash", "is no longer available"), ("gpt", "is not found for API version v1")])
def test_models_that_are_not_there(client: genai.Client, model: str, words: str) -> None:
    with pytest.raises(errors.ClientError, match=words) as caught:
        generate(client, model=model)
    assert caught.value.status == "NOT_FOUND"


def test_a_key_is_needed(gemini: FakeGemini) -> None:
    refused = connect(gemini, key="invalid")
    with pytest.raises(errors.ClientError, match="API key not valid") as caught:
        generate(refused)
    assert (caught.value.code, caught.value.details["error"]["details"][0]["reason"]) == (400, "API_KEY_INVALID")
    assert ask(gemini, "GET", "/v1beta/files/abc")[0] == 403
    assert ask(gemini, "GET", "/v1beta/files?key=anything")[0] == 200


def test_requests_that_are_wrong(gemini: FakeGemini) -> None:
    path, key = f"/v1beta/models/{MODEL}:generateContent", {"x-goog-api-key": "anything"}
    for body in (b"", b"[]", b"{", b'{"contents": []}'):
        status, _, answer = ask(gemini, "POST", path, body, key)
        assert (status, answer["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert ask(gemini, "GET", "/v1beta/elsewhere", headers=key)[0] == 404
    snake = {"contents": {"parts": {"inline_data": {"mime_type": "image/png", "data": "AAAA"}}}}
    assert ask(gemini, "POST", path, json.dumps(snake).encode(), key)[2]["usageMetadata"]["promptTokenCount"] == 258


def test_a_body_over_the_limit() -> None:
    with FakeGemini(max_body_bytes=100_000) as gemini:
        client = connect(gemini)
        with pytest.raises(errors.ClientError, match="exceeds the limit: 100000 bytes"):
            generate(client, types.Part.from_bytes(data=bytes(2**22), mime_type="video/mp4"))
        assert generate(client).text


# --- broken connections ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "expected", "status"),
    [
        (Kind.HANG, httpx2.ReadTimeout, None),
        (Kind.DROP, httpx2.RemoteProtocolError, None),
        (Kind.CUT_OFF, httpx2.RemoteProtocolError, 200),
        (Kind.HALF_JSON, json.JSONDecodeError, 200),
    ],
)
def test_connections_that_break(gemini: FakeGemini, kind: Kind, expected: type, status: int | None) -> None:
    client = connect(gemini, timeout=300)
    scripted(gemini, kind, wait_seconds=0.4 if kind is Kind.HANG else 0)
    with pytest.raises(expected):
        generate(client)
    assert generate(client).text
    soon(lambda: len(gemini.requests) == 2)
    assert {(one.behaviour, one.status) for one in gemini.requests} == {(kind, status), (None, 200)}


def test_an_empty_body_is_an_empty_answer(gemini: FakeGemini, client: genai.Client) -> None:
    scripted(gemini, Kind.EMPTY)
    response = generate(client)
    assert (response.text, response.candidates, response.prompt_feedback, response.model_version) == (None, None, None, None)


def test_stopping_ends_a_hang() -> None:
    before = threading.active_count()
    gemini = FakeGemini().start()
    client = connect(gemini, timeout=20_000)
    scripted(gemini, Kind.HANG)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(generate, client)
        time.sleep(0.2)
        assert not asked.done()
        started = time.perf_counter()
        gemini.stop()
        assert isinstance(asked.exception(), httpx2.TransportError)
    assert time.perf_counter() - started < 10  # half of what the client would wait
    soon(lambda: threading.active_count() <= before)


def test_a_silent_client_is_shown_out() -> None:
    with FakeGemini(silence_s=0.1) as gemini, socket.create_connection(gemini.server_address, timeout=3) as silent:
        silent.sendall(b"POST /v1beta/models/m:generateContent HTTP/1.1\r\n")
        assert silent.recv(1000) == b""
        soon(lambda: not gemini.desk.connections)


# --- unusable answers --------------------------------------------------------------------------------------------------


def test_max_tokens(gemini: FakeGemini, client: genai.Client) -> None:
    scripted(gemini, Kind.MAX_TOKENS)
    response = generate(client)
    assert (response.candidates[0].finish_reason, response.parsed) == ("MAX_TOKENS", None)
    with pytest.raises(json.JSONDecodeError):
        json.loads(response.text)


def test_fenced(gemini: FakeGemini, client: genai.Client) -> None:
    scripted(gemini, Kind.FENCED)
    response = generate(client)
    assert response.parsed is None
    assert Answer.model_validate_json(response.text.removeprefix("```json\n").removesuffix("\n```"))


def test_safety(gemini: FakeGemini, client: genai.Client) -> None:
    scripted(gemini, Kind.SAFETY)
    response = generate(client)
    assert (response.text, response.candidates[0].finish_reason, response.candidates[0].content) == (None, "SAFETY", None)


def test_blocked(gemini: FakeGemini, client: genai.Client) -> None:
    scripted(gemini, Kind.BLOCKED)
    response = generate(client)
    assert (response.text, response.candidates, response.prompt_feedback.block_reason) == (None, None, "PROHIBITED_CONTENT")


def test_odd_text(gemini: FakeGemini, client: genai.Client) -> None:
    """Python reads the escapes, pydantic refuses the lone surrogate."""
    scripted(gemini, Kind.ODD_TEXT)
    text = generate(client).text
    description = json.loads(text)["scenes"][0]["description"]
    assert (description[0], description[-1]) == ("\x00", "\ud83d")
    with pytest.raises(pydantic.ValidationError):
        Answer.model_validate_json(text)


def test_times_past_the_end(gemini: FakeGemini, client: genai.Client) -> None:
    scripted(gemini, Kind.PAST_END)
    scenes = Answer.model_validate_json(generate(client).text).scenes
    assert [(scene.start_seconds, scene.end_seconds) for scene in scenes[-2:]] == [(7.0, 70.5), (70.5, 130.5)]


@pytest.mark.parametrize(("answer", "text"), [({"scenes": [1]}, '{"scenes": [1]}'), ("as it is \x00\ud800", "as it is \x00\ud800")])
def test_a_given_answer(gemini: FakeGemini, client: genai.Client, answer, text: str) -> None:
    scripted(gemini, Kind.ANSWER, answer=answer)
    assert generate(client).text == text


# --- files -------------------------------------------------------------------------------------------------------------


def test_a_file_used_too_early(client: genai.Client, video: Path) -> None:
    file = client.files.upload(file=video)
    with pytest.raises(errors.ClientError, match="is not in an ACTIVE state") as caught:
        generate(client, file)
    assert (caught.value.code, caught.value.status) == (400, "FAILED_PRECONDITION")


def test_a_file_that_fails(gemini: FakeGemini, client: genai.Client, video: Path) -> None:
    scripted(gemini, Kind.FILE_FAILS)
    file = client.files.upload(file=video)
    client.files.get(name=file.name)
    failed = client.files.get(name=file.name)
    assert (failed.state, failed.error.message) == ("FAILED", "Video processing failed.")


def test_a_file_that_stays(gemini: FakeGemini, client: genai.Client, video: Path) -> None:
    scripted(gemini, Kind.FILE_STAYS)
    file = client.files.upload(file=video)
    assert {client.files.get(name=file.name).state for _ in range(20)} == {"PROCESSING"}


def test_a_file_that_expires(gemini: FakeGemini, client: genai.Client, video: Path) -> None:
    scripted(gemini, Kind.FILE_EXPIRES)
    file = client.files.upload(file=video)
    assert [client.files.get(name=file.name).state for _ in range(2)] == ["PROCESSING", "ACTIVE"]
    for use in (lambda: generate(client, file), lambda: client.files.get(name=file.name), lambda: client.files.delete(name=file.name)):
        with pytest.raises(errors.ClientError, match="do not have permission to access the File") as caught:
            use()
        assert (caught.value.code, caught.value.status) == (403, "PERMISSION_DENIED")
    assert gemini.file_names == []


@pytest.mark.parametrize(
    ("endpoint", "kind", "expected"),
    [
        (Endpoint.UPLOAD_START, Kind.UNAVAILABLE, errors.ServerError),
        (Endpoint.UPLOAD_START, Kind.RATE_LIMITED, errors.ClientError),
        (Endpoint.UPLOAD_CHUNK, Kind.BAD_REQUEST, errors.ClientError),
        (Endpoint.UPLOAD_CHUNK, Kind.DROP, httpx2.RemoteProtocolError),
    ],
)
def test_uploads_that_fail(gemini: FakeGemini, client: genai.Client, video: Path, endpoint: Endpoint, kind: Kind, expected: type) -> None:
    scripted(gemini, kind, endpoint=endpoint)
    with pytest.raises(expected):
        client.files.upload(file=video)
    assert gemini.file_names == []
    assert client.files.upload(file=video).state == "PROCESSING"


def test_the_client_repeats_a_chunk_by_itself(gemini: FakeGemini, client: genai.Client, video: Path) -> None:
    scripted(gemini, Kind.UNAVAILABLE, endpoint=Endpoint.UPLOAD_CHUNK)
    file = client.files.upload(file=video)
    assert base64.b64decode(file.sha256_hash).decode() == hashlib.sha256(video.read_bytes()).hexdigest()
    assert [one.status for one in gemini.requests_of(Endpoint.UPLOAD_CHUNK)] == [503, 200, 200]


def test_a_name_is_given_once(client: genai.Client, video: Path) -> None:
    assert client.files.upload(file=video, config={"name": "my-clip"}).name == "files/my-clip"
    with pytest.raises(errors.ClientError, match="already exists"):
        client.files.upload(file=video, config={"name": "my-clip"})
    with pytest.raises(errors.ClientError, match="lowercase"):
        client.files.upload(file=video, config={"name": "My clip"})


def test_the_upload_protocol_is_kept(gemini: FakeGemini) -> None:
    """A wrong offset, a chunk of an odd size and an early end each end the upload."""
    start = {
        "x-goog-api-key": "anything",
        "X-Goog-Upload-Protocol": "resumable",
        "X-Goog-Upload-Command": "start",
        "X-Goog-Upload-Header-Content-Length": "10",
        "X-Goog-Upload-Header-Content-Type": "video/mp4",
    }
    assert ask(gemini, "POST", "/upload/v1/files", b"{}", {**start, "X-Goog-Upload-Command": "query"})[0] == 400
    for command, offset, body in (("upload, finalize", "5", b"12345"), ("upload", "0", b"12345"), ("upload, finalize", "0", b"12345")):
        _, headers, _ = ask(gemini, "POST", "/upload/v1/files", b"{}", start)
        path = headers["x-goog-upload-url"].removeprefix(gemini.url)
        chunk = {"X-Goog-Upload-Command": command, "X-Goog-Upload-Offset": offset}
        status, headers, answer = ask(gemini, "POST", path, body, chunk)
        assert (status, headers["x-goog-upload-status"], answer["error"]["status"]) == (400, "final", "INVALID_ARGUMENT")
        assert ask(gemini, "POST", path, b"1234567890", {**chunk, "X-Goog-Upload-Offset": "0"})[0] == 404
    assert gemini.file_names == []


# --- scripts and the command -------------------------------------------------------------------------------------------


def test_scripts_are_read_strictly() -> None:
    text = '[{"kind": "rate_limited", "retry_seconds": 5, "times": 2}, {"kind": "drop", "endpoint": "get_file"}]'
    assert read_script(text) == [Behaviour(Kind.RATE_LIMITED, retry_seconds=5, times=2), Behaviour(Kind.DROP, Endpoint.GET_FILE)]
    for wrong in ('[{"kind": "explode"}]', '[{"kind": "drop", "retries": 2}]', '[{"kind": "safety", "endpoint": "get_file"}]', "{}"):
        with pytest.raises(pydantic.ValidationError):
            read_script(wrong)


def command(*args: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "reframer_pipeline", "fake-gemini", *args]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_command(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text('[{"kind": "unavailable"}]')
    with command("--port", "0", "--script", str(script)) as process:
        assert process.stdout.readline() == "export GEMINI_API_KEY=anything\n"
        url = re.fullmatch(r"export GOOGLE_GEMINI_BASE_URL=(http://127\.0\.0\.1:\d+)\n", process.stdout.readline())[1]
        client = genai.Client(api_key="anything", http_options=types.HttpOptions(base_url=url, timeout=5000))
        with pytest.raises(errors.ServerError):
            generate(client)
        assert generate(client).text
        assert command("--port", url.rpartition(":")[2]).wait(120) == 2
        process.send_signal(signal.SIGINT)
        said, notes = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "understands nothing" in notes
    assert re.findall(r"-> (\d+)", said) == ["503", "200"]


def test_the_command_refuses_a_wrong_script(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text('[{"kind": "explode"}]')
    with command("--script", str(script)) as process:
        assert "explode" in process.communicate(timeout=120)[1]
    assert process.returncode == 2


def ask(gemini: FakeGemini, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None):
    """A request without the client: status, headers in lower case, JSON."""
    connection = http.client.HTTPConnection(*gemini.server_address, timeout=5)
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    text = response.read()
    connection.close()
    return response.status, {name.lower(): value for name, value in response.getheaders()}, json.loads(text) if text else None


def soon(condition) -> None:
    """Wait until something is so; two seconds at most."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("keyword", ["maxItems", "minLength", "default", "ge"])
def test_schemas_with_keywords_that_the_api_does_not_take_are_refused(client: genai.Client, keyword: str) -> None:
    schema = {"type": "object", "properties": {keyword: {"type": "array", "items": {"type": "string"}}}}  # as a name it is no keyword
    for given, refused in ((schema, False), ({**schema, "properties": {"a": {"type": "array", keyword: 3}}}, True)):
        config = types.GenerateContentConfig(response_mime_type="application/json", response_json_schema=given)
        with pytest.raises(errors.ClientError, match="INVALID_ARGUMENT") if refused else contextlib.nullcontext():
            client.models.generate_content(model=MODEL, contents=PROMPT, config=config)
