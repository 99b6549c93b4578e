"""The engine in Python, for where the one in C cannot be had.

`engine` holds it; the other modules are what it stands on: taps record, places put them on
threads or greenlets, grafts join what ran elsewhere.
"""
