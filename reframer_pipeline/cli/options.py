"""Command-line options made from the settings, so that name, default, range and help are written once.

Secrets are never options: a command line is visible to every process of the machine.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Collection
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

import click
from pydantic import ValidationError

from reframer_pipeline.cli.help import SectionedOption
from reframer_pipeline.cli.tables import aside
from reframer_pipeline.failures import SettingsInvalid
from reframer_pipeline.settings import Settings

PLACES: Final = ("home",)
# Settings that are options, by the title above them in `--help-all`.
SECTIONS: Final = {
    "Places": (*PLACES, "uploads_url"),
    "Models": ("models", "yolo_model", "sam2_model", "weights_dir", "device", "engine", "precision", "batch"),
    "Frames and detections": ("vid_stride", "imgsz", "conf", "iou", "min_size"),
    "Masks": ("mask_stride", "mask_conf", "sam2_imgsz"),
    "Tracks": ("track_thresh", "track_low_conf", "track_buffer", "match_thresh"),
    "Scenes": ("describer", "gemini_model", "gemini_media", "shot_threshold", "min_shot_s"),
    "Running": ("max_upload_mb", "executor", "workers"),
    "The HTTP API": ("api_host", "api_port"),
}
API: Final = SECTIONS["The HTTP API"]
COMPUTING: Final = tuple(name for names in SECTIONS.values() for name in names if name not in (*API, "uploads_url", "workers"))


def with_settings(*names: str, common: Collection[str] | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command an option for each named setting; it receives the resulting `settings`.

    Args:
        names: The settings.
        common: Those that `--help` shows; the others are left to `--help-all` (of a `SectionedCommand`). Unset: all are shown.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def wrapper(*args: Any, chosen: dict[str, Any], **kwargs: Any) -> Any:
            return command(*args, settings=make_settings(chosen), **kwargs)

        return setting_options(*names, common=common)(wrapper)

    return decorate


def setting_options(*names: str, common: Collection[str] | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options alone; the command receives what was given in `chosen`, None for the rest, and may make settings of it."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            chosen = {name: kwargs.pop(name) for name in names}
            return command(*args, chosen=chosen, **kwargs)

        decorated: Callable[..., Any] = wrapper
        for name in reversed(names):
            decorated = _option(name, rare=common is not None and name not in common)(decorated)
        return decorated

    return decorate


min_sightings = click.option(
    "--min-sightings", default=1, show_default=True, type=click.IntRange(1), help="Leave out tracks seen in fewer frames than this."
)


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


def _option(name: str, rare: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    field = Settings.model_fields[name]
    section = next(title for title, names in SECTIONS.items() if name in names)
    text = field.description if field.default is None else f"{field.description}  [default: {field.default}]"
    kind = _click_type(field.annotation)
    return click.option(
        f"--{name.replace('_', '-')}", name, cls=SectionedOption, section=section, rare=rare, type=kind, default=None, help=text
    )


def _click_type(annotation: Any) -> Any:
    kinds = get_args(annotation) or (annotation,)
    if get_origin(annotation) is Literal:
        return click.Choice(kinds)
    if Path in kinds:
        return click.Path(path_type=Path)
    return next((kind for kind in (int, float) if kind in kinds), str)
