"""Discovery under random faults of a real etcd, from a seed: ``python -m tests.chaos --help``."""
