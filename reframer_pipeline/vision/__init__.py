"""Seeing: detector, segmenter, tracker, their weights, and the pictures that show what they saw.

What belongs here: functions on frames (RGB uint8, height x width x 3) and boxes that return record batches. What does not:
decoding video (`media`), keeping results (`storage`), Dagster. Importing any module here loads no torch, cv2 or model package.
"""
