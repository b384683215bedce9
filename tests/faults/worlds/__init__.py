"""Systems under test: actor trees in this process, and the real service in one of its own."""
