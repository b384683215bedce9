"""A folder of JSON files as a source of entries, and as the place where a worker announces its own.

``scan`` says what the files hold, ``source`` watches them, ``registration`` writes one.
"""
