"""The object store: files under keys, in a folder or behind any fsspec URL.

What belongs here: objects, listings, the mark that ties a store to its database. What does not: which object
belongs to what (`results`, `uploads`), and what may go (`retention`).
"""
