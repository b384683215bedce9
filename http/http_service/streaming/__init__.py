"""Responses while they are made: one object a request, written as it comes."""
