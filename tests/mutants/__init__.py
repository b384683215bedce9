"""Seeded mutants: the supervision library broken on purpose, each break with the test it fails."""
