"""The admin API: what an operator reads of a running front-end, on a listener of its own."""

from http_service.admin.service import AdminService

__all__ = ["AdminService"]
