"""One governed call. `way` is the page; read it first.

house    what a call needs, wired once
way      receive, identify, permit, inspect, plan, open, dispatch, close, settle, hand back
relay    the reply on its way back: metered, inspected, forwarded
record   what the ledger is told about a call
"""
