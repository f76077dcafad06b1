"""The ledger: what is about to happen, signed and durable before it happens, checkable by an outsider.

Writing: `writer.Ledger`. Reading committed entries: `reader.Reader`. Checking: `verify.verify`,
`receipt.verify_receipt`. The bytes: docs/spec/ledger.md and docs/spec/receipt.md. Nothing is imported here,
so that an auditor's verifier needs cryptography alone.
"""
