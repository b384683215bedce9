"""Responses while they are made."""
