"""A key's life: sealed on the way in, enveloped at rest, leased for one call, destroyed at the end.

Law: `lease` is the only way to a provider key's plaintext; nothing in this room writes a log. It does not
know who may use a key (scope), nor which one to take (route). Import from its modules (`vault.vault.Vault`,
`vault.keks.open_root`, …): this file stays empty, so that `tokenone.seal` needs `cryptography` alone.
"""
