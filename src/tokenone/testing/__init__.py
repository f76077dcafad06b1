"""What tests and the demo need and a gateway never imports: a provider stand-in, a local certificate
authority, a recording detector and a leak scanner.

Law: nothing under `tokenone.testing` is imported by the rooms of a running gateway; nothing here shares
code with `tokenone.wire`, so that one cannot hide the other's bugs.
"""
