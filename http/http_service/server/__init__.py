"""What lies between an engine and a socket: sinks, the body of a stream, Waitress and its drain.

Waitress ships no types; only ``channel`` and ``waitress_server`` know it, everything else sees
typed wrappers.
"""
