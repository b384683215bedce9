"""Differential fuzzing: the same bytes through stock Waitress' request parser and through ours."""
