"""The command line: nouns and verbs over the management API, and the ledger's offline checks.

Law: secrets come by standard input, file or hidden prompt, never as an argument; data goes to stdout, all else
to stderr; the exit code says what kind of end it was (`exits.py`). It reads no environment and no database.
"""
