"""The only SQL: what people edit (`Store`) and the ledger's index (`Index`), on SQLite and PostgreSQL."""

from tokenone.store.index import Index
from tokenone.store.store import Store

__all__ = ["Index", "Store"]
