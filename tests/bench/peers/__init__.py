"""``make bench-peers``: Callboard beside other gateways, before one and the same mock upstream.

Everything a reader needs is here: the upstream (``mock_upstream``), the load (``load``, ``answer``)
and the floor (``floor.c``), the table of rivals with their pinned versions (``rivals``), the cache
they are installed into (``cache``), the rounds, and what is made of them (``report``, ``chart``).
"""
