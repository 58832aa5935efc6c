"""`reframer fake-gemini`: the stand-in for Gemini that the tests use, for trying things out without a key."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import click
from pydantic import ValidationError


@click.command(name="fake-gemini")
@click.option("--port", default=8089, show_default=True, type=click.IntRange(0, 65535), help="Port on this machine; 0 takes a free one.")
@click.option("--script", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="A JSON file, see above.")
def fake_gemini(port: int, script: Path | None) -> None:
    """Run a stand-in for Gemini on this machine.

    No key, no cost, and nothing leaves the machine. It speaks Gemini's protocol, but it understands nothing: its scenes are invented,
    about four seconds each, and say so. Use it to see how the pipeline works with Gemini, and what it does when Gemini fails.

    In one terminal:

    \b
    reframer fake-gemini

    In another:

    \b
    export GEMINI_API_KEY=anything
    export GOOGLE_GEMINI_BASE_URL=http://127.0.0.1:8089
    reframer run clip.mp4

    A script makes it fail. It is a JSON list. Each entry is for the next request of its endpoint, in order. Afterwards all goes well.

    \b
    [{"kind": "rate_limited", "retry_seconds": 5, "times": 2},
     {"kind": "unavailable", "endpoint": "upload_start"},
     {"kind": "file_fails"},
     {"kind": "answer", "wait_seconds": 10, "answer": {"scenes": []}}]

    \b
    kinds for any endpoint   rate_limited bad_request internal unavailable
                             html hang drop cut_off half_json empty drip
                             bad_gzip answer
    kinds for generate       max_tokens fenced safety blocked retired
                             odd_text past_end
    kinds for the next file  file_fails file_stays file_expires
    endpoints                generate (if none is said) upload_start
                             upload_chunk get_file list_files delete_file

    The key "invalid" is refused. Models named gemini-1… and gemini-2.0… have been shut down. Stop it with Ctrl-C.
    """
    from reframer_pipeline.fake_gemini import FakeGemini, read_script

    try:
        behaviours = read_script(script.read_bytes()) if script else []
    except ValidationError as error:
        raise click.BadParameter(str(error), param_hint="--script") from error
    try:
        server = FakeGemini(port, log=lambda request: click.echo(str(request)))
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        raise click.BadParameter(f"port {port} cannot be used: {error.strerror}", param_hint="--port") from error
    server.script(*behaviours)
    try:
        with server:
            click.echo("A stand-in for Gemini: it understands nothing, every answer is invented. For the pipeline to use it:\n", err=True)
            click.echo(f"export GEMINI_API_KEY=anything\nexport GOOGLE_GEMINI_BASE_URL={server.url}\n")
            click.echo("Requests, one a line (stop with Ctrl-C):", err=True)
            threading.Event().wait()
    except KeyboardInterrupt:
        click.echo("Stopped.", err=True)
