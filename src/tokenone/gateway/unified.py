"""The unified front `/v1`: which models it lists, and which key of which provider a model means.

Law: a model is listed exactly when a call naming it would get a plan.
"""

from __future__ import annotations
