"""``python -m tests.faults --long NAME``: rows that take a minute or more, at full length.

Each row is a module; it starts real processes, breaks something, measures, and says which of its
promises held. The short versions of them are in ``test_rows.py``.
"""
