"""Counts for operators: requests by route, sign-ins held back, the revision. No names, no ids of people.

Law: labels come from the route table, never from a request.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """One registry per application."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "tokenone_console_requests_total",
            "Requests by route and status.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "tokenone_console_request_seconds", "Time to answer.", ("route",), registry=self._registry
        )
        self.throttled = Counter(
            "tokenone_console_throttled_total", "Sign-ins that were held back.", registry=self._registry
        )
        self.revision = Gauge(
            "tokenone_store_revision", "Revision of the management database.", registry=self._registry
        )

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts one answer."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """Returns the Prometheus text format."""
        return generate_latest(self._registry)
