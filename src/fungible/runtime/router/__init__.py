"""The router: one public port, each request to any ready process, no affinity of any kind (HAProxy)."""

from fungible.runtime.router.access_log import Outcome, Requests
from fungible.runtime.router.model import RouterSettings, Upstream
from fungible.runtime.router.router import Router

__all__ = ["Outcome", "Requests", "Router", "RouterSettings", "Upstream"]
