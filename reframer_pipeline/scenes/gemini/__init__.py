"""Scenes by Gemini, grounded in measured tracks.

What belongs here: what is asked (`prompt`, `keyframes`), how (`client`, `errors`), that it is asked once (`ask`), and what becomes of
the answer (`times`, `matching`, `grounded`). Gemini says what a picture means; when something happens, where, how large and how often
comes from the measurements alone.
"""
