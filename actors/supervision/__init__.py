"""Supervision on Pykka: knows actors, and nothing of models, HTTP or etcd."""
