"""Results: a stage's rows from its hands to its readers.

What belongs here: preparing, validating, committing, publishing, the manifest, rows, and restoring them from the store. What does not:
computing them (`media`, `vision`, `scenes`), what becomes of old ones (`retention`). `results.storage.open_storage` is the usual way in.
"""
