"""Mattes: which pixels are a track's, in every frame of its range.

What belongs here: where a track is between sightings, its pixels there, what of it is one order. What does not: reading and writing films.
"""
