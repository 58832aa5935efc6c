"""What an editor takes away: mattes, cutouts, reframed clips.

What belongs here: making material for the editing room from a video and its results, on demand. What does not: the results themselves
(`stages`), results as files of other programs (`exports`), who asks (`cli`, `api`, `orchestration`).
"""
