"""The admin API: what operators see of a running front-end and change, on a listener of its own."""

from http_service.admin.parts import CantRewrite, Moved, Rewrite, Subject
from http_service.admin.service import AdminService

__all__ = ["AdminService", "CantRewrite", "Moved", "Rewrite", "Subject"]
