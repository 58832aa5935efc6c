"""Corrections: what people say is otherwise than it was computed, and what follows from that.

What belongs here: the events, finding again what they speak of, what they make of tracks and elements (pure functions), and the log in the
database. What does not: making a corrected set of results and showing it to readers (`results.corrected`, `results.correcting`).
"""
