"""Command-line options made from the settings, so that name, default, range and help are written once.

Secrets are never options: a command line is visible to every process of the machine.
"""

from __future__ import annotations

import functools
import os
import textwrap
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

import click
from pydantic import ValidationError

from reframer_pipeline.cli.tables import aside
from reframer_pipeline.failures import SettingsInvalid
from reframer_pipeline.settings import Settings

PLACES: Final = ("home",)
COMPUTING: Final = (
    "home", "models", "device", "yolo_model", "sam2_model", "weights_dir", "batch", "vid_stride", "imgsz", "conf", "iou", "min_size",
    "track_thresh", "track_low_conf", "track_buffer", "match_thresh", "describer", "gemini_model", "gemini_media", "shot_threshold",
    "min_shot_s",
    "max_upload_mb", "executor",
)  # fmt: skip


_NAMED = ", ".join(f"--{name.replace('_', '-')}" for name in COMPUTING if name not in PLACES)
# The epilog of commands that take all options of `run` and leave it to that to explain them.
LIKE_RUN: Final = "Settings are options, too; `reframer run --help` explains them:\n\n\b\n" + textwrap.fill(
    _NAMED, width=74, break_on_hyphens=False
)


def with_settings(*names: str, hidden: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command an option for each named setting; it receives the resulting `settings`. Hidden ones are not in its `--help`."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def wrapper(*args: Any, chosen: dict[str, Any], **kwargs: Any) -> Any:
            return command(*args, settings=make_settings(chosen), **kwargs)

        return setting_options(*names, hidden=hidden)(wrapper)

    return decorate


def setting_options(*names: str, hidden: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options alone; the command receives what was given in `chosen`, None for the rest, and may make settings of it."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            chosen = {name: kwargs.pop(name) for name in names}
            return command(*args, chosen=chosen, **kwargs)

        decorated: Callable[..., Any] = wrapper
        for name in reversed(names):
            decorated = _option(name, hidden and name in COMPUTING and name not in PLACES)(decorated)
        return decorated

    return decorate


@functools.cache
def _warn_of_unknown_variables() -> None:
    """Once: variables with our prefix that name no setting, most likely misspelt."""
    known = [Settings.variable(name) for name in Settings.model_fields]
    for name in sorted(name for name in os.environ if name.startswith("REFRAMER_") and not name.startswith("REFRAMER_TEST_")):
        if name not in (*known, "REFRAMER_UPDATE_GOLDEN"):
            meant = [f"; did you mean {one}?" for one in get_close_matches(name, known, 1)]
            aside(f"{name} is no setting{''.join(meant)}", style="yellow")


def make_settings(overrides: dict[str, Any]) -> Settings:
    """Settings from the environment and the given values. Raises `SettingsInvalid` naming each bad one."""
    _warn_of_unknown_variables()
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        problems = [f"{place}: {what}" if place else what for place, what in faults(error).items()]
        raise SettingsInvalid(f"Settings do not fit: {'; '.join(problems).rstrip('.')}.") from error


def faults(error: ValidationError) -> dict[str, str]:
    """What is wrong by the setting's name or variable; under the empty name, what is wrong with several together."""
    found = error.errors(include_input=False, include_url=False)
    return {str(one["loc"][0]) if one["loc"] else "": one["msg"].removeprefix("Value error, ") for one in found}


def _option(name: str, hidden: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    field = Settings.model_fields[name]
    text = field.description if field.default is None else f"{field.description}  [default: {field.default}]"
    return click.option(f"--{name.replace('_', '-')}", name, type=_click_type(field.annotation), default=None, help=text, hidden=hidden)


def _click_type(annotation: Any) -> Any:
    kinds = get_args(annotation) or (annotation,)
    if get_origin(annotation) is Literal:
        return click.Choice(kinds)
    if Path in kinds:
        return click.Path(path_type=Path)
    return next((kind for kind in (int, float) if kind in kinds), str)
