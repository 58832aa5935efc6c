"""The server's log: one line an event, as JSON or for people, and no secret in it.

What belongs here: how records look. What does not: what is logged. Records come from Python's `logging`, ours and the libraries' alike, and
structlog draws them.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

import structlog
from pydantic import SecretStr

from reframer_pipeline.api.tracing import request_id
from reframer_pipeline.settings import Settings

_KEY: Final = re.compile(r"(vr_[A-Za-z0-9_-]{8})[A-Za-z0-9_-]{8,}")  # what `keys list` shows may stay
_SHORTEST: Final = 4  # a shorter password would blot out words


def configure(settings: Settings, quiet: bool = False) -> None:
    """Let this process log to standard error.

    Args:
        settings: Their secrets are blotted out wherever they would appear.
        quiet: Warnings and errors only.
    """
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    drawn: list[Any] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
        if as_json
        else [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback, colors=sys.stderr.isatty())]
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *drawn],
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.stdlib.ExtraAdder(),
            _add_request_id,
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Blotting(formatter, secrets_of(settings)))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING if quiet else logging.INFO)


class _Blotting(logging.Formatter):
    """What another formatter draws, without secrets. The whole text is looked through: message, fields and traceback."""

    def __init__(self, drawn: logging.Formatter, secrets: list[str]) -> None:
        super().__init__()
        self._drawn, self._secrets = drawn, secrets

    def format(self, record: logging.LogRecord) -> str:
        text = _KEY.sub(r"\1…", self._drawn.format(record))
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return text


def secrets_of(settings: Settings) -> list[str]:
    """The secrets among the settings, in each form that a message may have them in; the longest first."""
    found = set()
    for name in Settings.model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            text = value.get_secret_value()
            found |= {text, *_password(text)}
        elif isinstance(value, str) and "://" in value:
            found |= _password(value)
    forms = {form for one in found for form in (one, quote(one), quote(one, safe=""), json.dumps(one, ensure_ascii=False)[1:-1])}
    return sorted((form for form in forms if len(form) >= _SHORTEST), key=len, reverse=True)


def _password(url: str) -> set[str]:
    try:
        password = urlsplit(url).password
    except ValueError:
        return set()
    return {password, unquote(password)} if password else set()


def _add_request_id(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if request_id():
        event["request_id"] = request_id()
    return event
