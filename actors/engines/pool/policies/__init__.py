"""How a pool selects an instance: one file a policy, see ``registry``."""

from importlib import import_module
from pkgutil import iter_modules

from actors.engines.pool.policies.registry import (
    Key,
    KeyFn,
    Policy,
    RandomFn,
    draw,
    key_of,
    new_policy,
    policy,
    registered,
)

__all__ = [
    "Key",
    "KeyFn",
    "Policy",
    "RandomFn",
    "draw",
    "key_of",
    "new_policy",
    "policy",
    "registered",
]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
