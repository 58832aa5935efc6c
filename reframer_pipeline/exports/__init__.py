"""Exports: what is published of videos, in the formats of other programs.

What belongs here: a module for each format, the stream that the formats of boxes and masks read (`sightings`), and how files become a
folder, a zip or a download (`packing`). What does not: queries of this project's own faces (`reading`), HTTP, the command line.

A format turns videos into files, and a file is a name and chunks of bytes that are made while they are drawn. So the same code writes a
folder and answers a request, and its memory does not grow with the number of masks.
"""

from __future__ import annotations

from collections.abc import Iterator

File = tuple[str, Iterator[bytes]]
"""A file of an export: its path within, parted by `/`, and its content. Files are drawn one after the other, each to its end."""
