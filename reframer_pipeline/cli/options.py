"""Command-line options made from the settings, so that name, default, range and help are written once.

Secrets are never options: a command line is visible to every process of the machine.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

import click
from pydantic import ValidationError

from reframer_pipeline.failures import SettingsInvalid
from reframer_pipeline.settings import Settings

PLACES: Final = ("home",)
COMPUTING: Final = (
    "home", "models", "device", "yolo_model", "sam2_model", "weights_dir", "batch", "vid_stride", "imgsz", "conf", "iou", "min_size",
    "track_thresh", "track_low_conf", "track_buffer", "match_thresh", "describer", "gemini_model", "gemini_media", "shot_threshold",
    "min_shot_s",
    "max_upload_mb", "executor",
)  # fmt: skip


def with_settings(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command an option for each named setting; it receives the resulting `settings`."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            chosen = {name: kwargs.pop(name) for name in names}
            return command(*args, settings=make_settings(chosen), **kwargs)

        decorated: Callable[..., Any] = wrapper
        for name in reversed(names):
            decorated = _option(name)(decorated)
        return decorated

    return decorate


def make_settings(overrides: dict[str, Any]) -> Settings:
    """Settings from the environment and the given values. Raises `SettingsInvalid` naming each bad one."""
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_input=False, include_url=False)
        )
        raise SettingsInvalid(f"Settings do not fit: {problems}.") from error


def _option(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    field = Settings.model_fields[name]
    default = "unset" if field.default is None else field.default
    text = f"{field.description}  [default: {default}; {Settings.variable(name)}]"
    return click.option(f"--{name.replace('_', '-')}", name, type=_click_type(field.annotation), default=None, help=text)


def _click_type(annotation: Any) -> Any:
    if get_origin(annotation) is Literal:
        return click.Choice(get_args(annotation))
    kinds = {kind for kind in (get_args(annotation) or (annotation,)) if kind is not type(None)}
    for kind in (int, float, Path):
        if kind in kinds:
            return click.Path(path_type=Path) if kind is Path else kind
    return float if any(getattr(kind, "__origin__", None) is float for kind in kinds) else str
