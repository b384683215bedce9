"""Tests of the engines; ``fixtures/`` holds the raw traffic of real servers."""
