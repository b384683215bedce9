"""A model's instances behind one engine: the seam where policies and health come in."""

from actors.engines.pool.instances import Instance, Pool

__all__ = ["Instance", "Pool"]
