"""Server-sent events as OpenAI's servers send them: cut, read, skimmed.

``frames`` cuts bytes at event borders, ``events`` reads one event, ``runs`` recognises many that
differ in their text only, without decoding each.
"""
