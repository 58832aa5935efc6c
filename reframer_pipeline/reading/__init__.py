"""Reading: queries and pictures for every face.

What belongs here: what the terminal, Dagster's UI and programs show of videos. What does not: how a face lays it out, and any change.
"""
