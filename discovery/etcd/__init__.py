"""etcd as a source of entries, and as the place where a worker announces its own.

``client`` is the only module that imports grpc, and ``watch`` and ``registration`` import it;
``access`` and ``records`` are cheap.
"""
