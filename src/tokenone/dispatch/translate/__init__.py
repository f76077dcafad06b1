"""The unified API's translations: one form between every front door and every provider, never pairwise.

Law: pure functions and sans-I/O machines; what a provider cannot do is refused by name or left out by name, never
silently. `form` has the words, `translation` the seam, `front_…` the callers' dialects, the rest one provider each.
"""
