"""Reframing: a video in another ratio, cut so that what matters stays in view.

What belongs here: the window's size (`window`), what must stay in it (`subject`), how it moves (`path`, `plan`), that in few words
(`keyframes`), and as files (`forms`, `sendcmd`, `timeline`, `render`). What does not: where tracks and cuts come from; they are results.

Coordinates are pixels of the displayed picture, origin top left. Frame numbers count source frames from zero, seconds the time since the
first of them; ranges are half-open.
"""
