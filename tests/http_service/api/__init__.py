"""The routes, and what they check."""
