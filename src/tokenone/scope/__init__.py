"""Scope: who calls, where they stand, and what is theirs to use.

    token       the form of a caller token            bearer      where a request carries it
    tree        the directory, fed by deltas          nearest     which keys a scope may use
    grant       prove, admit, permit                  rules       restrictions laid over each other
    limits      rates and concurrency

Law: deny by default; nothing of another tenant, ever. Does not open keys, plan or dial.
"""

from tokenone.scope.bearer import PLAIN, QUERY_PARAMETER, Credential, credential
from tokenone.scope.grant import Caller, admit, allowed_models, identify, permit, prove
from tokenone.scope.limits import Limits, Permit, RateHeaders
from tokenone.scope.nearest import Considered, Fitness, Leasable
from tokenone.scope.shelf import Touched
from tokenone.scope.token import Minted, Parsed, digest, mint, parse
from tokenone.scope.tree import Directory

__all__ = [
    "PLAIN",
    "QUERY_PARAMETER",
    "Caller",
    "Considered",
    "Credential",
    "Directory",
    "Fitness",
    "Leasable",
    "Limits",
    "Minted",
    "Parsed",
    "Permit",
    "RateHeaders",
    "Touched",
    "admit",
    "allowed_models",
    "credential",
    "digest",
    "identify",
    "mint",
    "parse",
    "permit",
    "prove",
]
