"""Tests of the HTTP server: ``http_service.server``."""
