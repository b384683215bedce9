"""What a run looks like: a page to look at, a table to read, and JSON for programs; all pure."""
