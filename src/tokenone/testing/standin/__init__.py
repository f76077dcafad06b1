"""A real local server that stands in for model providers: OpenAI's and Anthropic's protocols, TLS or plain.

Law: deterministic answers, coherent usage, every credential checked, misbehaviour only on demand.
"""

from tokenone.testing.standin.faults import MODES, Fault, parse_fault
from tokenone.testing.standin.listen import Listener, ThreadedListener
from tokenone.testing.standin.service import FAULT_HEADER, Manner, Received, StandIn

__all__ = [
    "FAULT_HEADER",
    "MODES",
    "Fault",
    "Listener",
    "Manner",
    "Received",
    "StandIn",
    "ThreadedListener",
    "parse_fault",
]
