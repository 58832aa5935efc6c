"""Everything that touches an uploaded file: the guarded runner, facts, the decode, the frame store.

What belongs here: reading media. What does not: models, scenes, tables beyond the two of these stages, Dagster.
"""
