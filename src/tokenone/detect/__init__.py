"""Content in, verdict out: what callers send and models answer, looked through for what should not be there.

Law: detectors see text, never headers and never keys; findings name a rule, a score and a place, never the
text itself.
"""

from tokenone.detect.detector import Detector
from tokenone.detect.inspect import Inspection, inspect_body
from tokenone.detect.secrets import SecretsDetector
from tokenone.detect.stream import StreamInspector

__all__ = [
    "Detector",
    "Inspection",
    "SecretsDetector",
    "StreamInspector",
    "inspect_body",
]
