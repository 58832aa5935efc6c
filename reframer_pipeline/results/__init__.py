"""Results: a stage's rows from its hands to its readers.

What belongs here: opening database and store (`storage`), preparing, committing, publishing, the manifest, rows, and restoring them from
the store. What does not: computing them (`media`, `vision`, `scenes`), what becomes of old ones (`retention`).
"""
