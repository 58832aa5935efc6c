"""What the six assets share.

What belongs here: the run of a stage, its end, its order and lease, the I/O manager. What does not: who asked for the run (`requests`).
"""
