"""``python -m tests.acceptance``: the promises of discovery and pools, at full length.

Each show is a module; it starts real processes, breaks something, measures, and says which of its
promises held. The short versions of them are in ``test_shows.py``.
"""
