"""Speaks to providers: their paths, credentials, bodies, streams, refusals. Bytes in, values out.

Law: nothing here opens a socket, prices a token or chooses a key; only `credential.py` reads a secret.
"""
