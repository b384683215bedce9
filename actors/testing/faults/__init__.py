"""Faults to inject, one object each: ``fault.inject()``, ``fault.heal()``, or ``with fault:``.

Needs no test framework and nothing but the standard library. The guide is
``docs/guides/fault-injection.md``; the files are the families.
"""

from actors.testing.faults.client import (
    ClientFailed,
    Disconnect,
    IdleConnections,
    Malformed,
    Said,
    Slowloris,
    SlowReader,
)
from actors.testing.faults.engine import (
    EngineBurns,
    EngineEndless,
    EngineGarbage,
    EngineHangs,
    EngineIgnoresCancel,
    EngineRaises,
    FaultyEngine,
)
from actors.testing.faults.etcd import (
    EtcdCompaction,
    EtcdFreeze,
    EtcdGarbage,
    EtcdHandle,
    EtcdKill,
    EtcdLeaseExpiry,
    EtcdWiped,
)
from actors.testing.faults.fault import Fault, FaultUnavailable, injected
from actors.testing.faults.handlers import (
    Crash,
    CrashOnStart,
    Hang,
    HangOnStart,
    Injected,
    Poison,
    Slow,
)
from actors.testing.faults.messages import Flood, LateReply, LostReply, ThreadExhaustion
from actors.testing.faults.process import (
    ClockJump,
    FileLimit,
    Freeze,
    Kill,
    MemoryLimit,
    Stall,
    Terminate,
)
from actors.testing.faults.tcp import (
    Bandwidth,
    Down,
    HalfClose,
    Latency,
    LimitData,
    Partition,
    ResetPeer,
    Slicer,
    SlowClose,
    Timeout,
)
from actors.testing.faults.tcp_proxy import TcpProxy

__all__ = [
    "Bandwidth",
    "ClientFailed",
    "ClockJump",
    "Crash",
    "CrashOnStart",
    "Disconnect",
    "Down",
    "EngineBurns",
    "EngineEndless",
    "EngineGarbage",
    "EngineHangs",
    "EngineIgnoresCancel",
    "EngineRaises",
    "EtcdCompaction",
    "EtcdFreeze",
    "EtcdGarbage",
    "EtcdHandle",
    "EtcdKill",
    "EtcdLeaseExpiry",
    "EtcdWiped",
    "Fault",
    "FaultUnavailable",
    "FaultyEngine",
    "FileLimit",
    "Flood",
    "Freeze",
    "HalfClose",
    "Hang",
    "HangOnStart",
    "IdleConnections",
    "Injected",
    "Kill",
    "LateReply",
    "Latency",
    "LimitData",
    "LostReply",
    "Malformed",
    "MemoryLimit",
    "Partition",
    "Poison",
    "ResetPeer",
    "Said",
    "Slicer",
    "Slow",
    "SlowClose",
    "SlowReader",
    "Slowloris",
    "Stall",
    "TcpProxy",
    "Terminate",
    "ThreadExhaustion",
    "Timeout",
    "injected",
]
