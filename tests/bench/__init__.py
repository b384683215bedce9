"""Benchmarks: figures with a meaning, printed; never asserted in a test."""
