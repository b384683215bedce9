"""The commands of ``python -m actors.main``: one module each, and what they share."""
