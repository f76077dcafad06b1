"""TokenOne BYOK: a gateway that governs, signs and meters calls made with your own provider keys."""

__version__ = "0.1.0"
