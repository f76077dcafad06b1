"""The audit trail's values: who did, or was refused, what to which thing. The store keeps them."""

from tokenone.audit.event import Act, Event, Outcome

__all__ = ["Act", "Event", "Outcome"]
