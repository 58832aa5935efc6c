"""The video screen as a person uses it: going to an address, to a moment, and seeing what is there."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from playwright.sync_api import Page


class Desk:
    """The video screen in a browser that is signed in."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url

    def open(self, video_id: str, query: str = "") -> None:
        """Go to an address, and wait for its picture."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.url}/#/videos/{video_id}{query}")
        self.until("window.reframer?.drawn >= 0", 60)

    def until(self, so: str, seconds: float = 90) -> None:
        """Wait until an expression is true; the page's policy forbids Playwright's own way."""
        end = time.monotonic() + seconds
        while not self.page.evaluate(so):
            assert time.monotonic() < end, f"{so}: {self.page.evaluate('[window.reframer?.frame, window.reframer?.drawn]')}"
            self.page.wait_for_timeout(20)

    def at(self, frame: int) -> None:
        """Wait until a frame is shown with all that belongs to it."""
        self.until(f"reframer.frame === {frame} && reframer.drawn === {frame} && !reframer.room.awaited({frame})")

    def seek(self, seconds: Sequence[float], frame: int) -> None:
        """Go to the moment of a frame, by the address; `seconds` are those of all frames."""
        self.page.evaluate(f"location.hash = location.hash.split('?')[0] + '?t={seconds[frame] + 0.004:.4f}'")
        self.at(frame)

    def picture(self) -> npt.NDArray[np.uint8]:
        """What is on the screen where the film is: `(height, width, 3)` RGB."""
        png = self.page.locator(".v-stage").screenshot()
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))

    def told(self, name: str) -> Any:
        """What the page says of itself."""
        return self.page.evaluate(f"reframer.{name}")
