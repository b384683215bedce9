"""The catalogue, one file a family: every scenario is a declaration."""
