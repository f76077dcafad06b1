"""Makes every Python process below the tests tell where it connects to; then lets the next sitecustomize run.

Law: found by PYTHONPATH, which children inherit; it leaves the module search path as it was without it.
"""

import os
import sys

import egress_witness

_here = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != _here]
if os.environ.get(egress_witness.VARIABLE):
    egress_witness.watch(os.environ[egress_witness.VARIABLE])
_own = sys.modules.pop("sitecustomize")
try:
    import sitecustomize  # noqa: F401  (another one, further down the path)
except ImportError:
    sys.modules["sitecustomize"] = _own  # the interpreter looks for what it has just imported
