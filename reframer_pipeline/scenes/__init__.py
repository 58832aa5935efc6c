"""Scenes: where the shots are, what was measured in each, and what that means in words.

The way through: `shots` finds the cuts, `observations` lays tracks and masks side by side in frame order, `measures` turns them
into figures per scene and track, `plates` says what is seen behind tracks where the `camera` stands still, a `describer` turns figures
into a description, and `analysis` strings these into the stage.
"""
