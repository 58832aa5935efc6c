"""`reframer doctor --settings`: every setting with its variable, its value and its default, also while some are wrong.

What belongs here: finding what is wrong without giving up on the rest, and the lines. What does not: what settings mean (`settings`).
"""

from __future__ import annotations

import os
import re
from typing import Any

from pydantic import SecretStr, ValidationError, model_validator
from rich.markup import escape

from reframer_pipeline.cli.options import faults
from reframer_pipeline.cli.readable import readable
from reframer_pipeline.cli.tables import OUT
from reframer_pipeline.settings import Settings


class _OneByOne(Settings):
    """Settings without the rules that bind several together."""

    @model_validator(mode="after")
    def _gemini_has_a_key(self) -> _OneByOne:
        return self


def print_settings(overrides: dict[str, Any]) -> bool:
    """A line per setting, wrong ones marked with what is wrong; whether all are well.

    Args:
        overrides: Values from the command line, None where an option was not given.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    wrong = problems(given)
    mended = {**given, **{name: Settings.model_fields[name].default for name in wrong if name}}
    wrong |= problems(mended)  # the rules for several together are asked only where each is well
    values = _OneByOne(**mended)
    for name, field in Settings.model_fields.items():
        variable, default = Settings.variable(name), _text(field.default)
        if name in wrong:
            bad = given.get(name, os.environ.get(variable, ""))
            shown = "(hidden)" if "SecretStr" in str(field.annotation) else _text(bad)
            _print("[red]mend[/red]", f"{variable:<37}", f"{shown}   {wrong[name]} (default: {default})")
            continue
        value = _text(getattr(values, name))
        _print("    ", f"{variable:<37}", value + ("" if value == default else f"   (default: {default})"))
    if "" in wrong:
        _print("[red]mend[/red]", wrong[""])
    return not wrong


def problems(given: dict[str, Any]) -> dict[str, str]:
    """What is wrong by the setting's name; under the empty name, what is wrong with several together."""
    try:
        Settings(**given)
    except ValidationError as error:
        names = {Settings.variable(name): name for name in Settings.model_fields}
        return {names.get(place, place): what for place, what in faults(error).items()}
    return {}


def _text(value: object) -> str:
    if value is None:
        return "unset"
    if isinstance(value, SecretStr):
        return "set (hidden)"
    if isinstance(value, tuple):
        return ", ".join(value)
    return re.sub(r"(?<=://)[^/@\s]+@", "…@", str(value))  # a URL may hold a password


def _print(mark: str, *parts: str) -> None:
    OUT.print(mark, *(escape(readable(part)) for part in parts), soft_wrap=True)
