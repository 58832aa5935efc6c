"""Retention: what goes, and how it comes back.

What belongs here: archive, eviction, superseded results, orphans, and the sweep over them. What does not: when (`orchestration.upkeep`).
"""
