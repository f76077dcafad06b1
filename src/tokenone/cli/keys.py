"""`key`: provider keys: sealed here, taken in by a gateway, assigned, watched, ended.

Law: the secret is sealed on this machine to the gateway's sealing key, whose fingerprint is shown and can be
pinned; the console's answer is checked against the endpoint that was shown before anything is sealed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tokenone.cli.client import Document, path_of
from tokenone.cli.desk import Desk, verb
from tokenone.cli.exits import UsageError
from tokenone.cli.intake import Intake, seal_secret
from tokenone.cli.moments import until_us
from tokenone.cli.output import Column, field
from tokenone.cli.references import find_endpoint, find_key, find_kind, find_scope
from tokenone.cli.secretinput import read_secret
from tokenone.errors import NotFound

group = typer.Typer(no_args_is_help=True, help="Provider keys.")

KeyRef = Annotated[str, typer.Argument(metavar="KEY", help="The key's id, or its name if that is unique.")]
Tenant = Annotated[str, typer.Option("--tenant", help="The tenant that owns the key.")]
ProviderName = Annotated[str, typer.Option("--provider", help="openai, anthropic, …")]
EndpointRef = Annotated[
    str | None, typer.Option("--endpoint", help="Endpoint by id or name; else the provider's preset.")
]
SecretFile = Annotated[
    Path | None, typer.Option("--secret-file", help="Read the secret from here; - is standard input.")
]
Pin = Annotated[str | None, typer.Option("--pin", help="Fingerprint that the sealing key must have.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Kept in the audit trail.")]


def _newest(row: Document, name: str) -> str:
    versions = row.get("versions") or []
    return str(versions[-1].get(name) or "") if versions else ""


_COLUMNS = (
    field("name"),
    field("id"),
    field("provider"),
    field("mode"),
    field("state"),
    Column("secret", lambda row: _newest(row, "masked")),
    Column("version", lambda row: _newest(row, "version")),
    field("expires_us", "expires"),
)


@verb(group, "add")
def add(  # noqa: PLR0913 - one parameter for each option
    desk: Desk,
    *,
    name: Annotated[str, typer.Argument(help="What you call the key.")],
    tenant: Tenant,
    provider: ProviderName,
    endpoint: EndpointRef = None,
    assign: Annotated[
        list[str] | None, typer.Option("--assign", help="Assign it to this scope at once. Repeatable.")
    ] = None,
    expires: Annotated[str | None, typer.Option(help="When it ends: 90d or 2026-12-31.")] = None,
    dev: Annotated[bool, typer.Option("--dev", help="For to_dev_… tokens only.")] = False,
    secret_file: SecretFile = None,
    pin: Pin = None,
) -> None:
    """Seal a provider key on this machine and hand it in. The secret is never an argument."""
    places = [find_scope(desk.client, scope) for scope in assign or []]
    expires_us = until_us(expires) if expires is not None else None
    intake = _prepare(desk, tenant, provider, endpoint)
    body = _sealed(desk, intake, secret_file, pin)
    key = desk.client.post(
        "/keys", {**body, "name": name, "mode": "dev" if dev else "live", "expires_us": expires_us}
    )
    desk.output.say(f"Added the key {name} ({_newest(key, 'masked')}).")
    for place in places:
        desk.client.post("/assignments", {"key": key["id"], "kind": place.kind, "scope": place.id})
        desk.output.say(f"Assigned it to the {place.kind} {place.row['name']}.")
    desk.output.text(str(key["id"]), key)


@verb(group, "seal")
def seal(
    desk: Desk,
    tenant: Tenant,
    provider: ProviderName,
    endpoint: EndpointRef = None,
    secret_file: SecretFile = None,
    pin: Pin = None,
) -> None:
    """Seal a secret and print the body for POST /api/v1/keys, to which a name has to be added."""
    body = _sealed(desk, _prepare(desk, tenant, provider, endpoint), secret_file, pin)
    desk.output.as_json = True
    desk.output.one(body)


@verb(group, "sealing-key")
def sealing_key(desk: Desk) -> None:
    """Show the gateway's sealing key and its fingerprint, for pinning."""
    desk.output.one(desk.client.get("/sealing-key"))


def _prepare(desk: Desk, tenant: str, provider: str, endpoint: str | None) -> Intake:
    owner = find_kind(desk.client, tenant, "tenant")
    row = find_endpoint(desk.client, endpoint, provider, owner.id)
    desk.output.say(f"Sealing for {provider} at {', '.join(row['origins'])}.")
    return Intake(tenant=owner.id, provider=provider, endpoint=row)


def _sealed(desk: Desk, intake: Intake, secret_file: Path | None, pin: str | None) -> Document:
    # Read first: a challenge lives ten minutes, people at a prompt take their time.
    secret = read_secret(secret_file, f"Secret of the {intake.provider} key: ")
    challenge = desk.client.post("/challenges", {"tenant": intake.tenant, "endpoint": intake.endpoint["id"]})
    body, fingerprint = seal_secret(intake, secret, challenge, pin or desk.settings.pin)
    desk.output.say(f"Sealed to {fingerprint}.")
    return body


@verb(group, "list")
def list_keys(
    desk: Desk,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's.")] = None,
    provider: Annotated[str | None, typer.Option(help="Only this provider's.")] = None,
    state: Annotated[str | None, typer.Option(help="Only in this state.")] = None,
) -> None:
    """List keys; secrets are never shown."""
    owner = find_kind(desk.client, tenant, "tenant").id if tenant else None
    query = {"tenant": owner, "provider": provider, "state": state}
    desk.output.rows(desk.client.pages("/keys", query), _COLUMNS)


@verb(group, "show")
def show(desk: Desk, key: KeyRef) -> None:
    """Show a key with its versions and assignments."""
    row = find_key(desk.client, key)
    assignments = list(desk.client.pages("/assignments", {"key": row["id"]}))
    desk.output.one({**row, "assignments": assignments})


@verb(group, "test")
def test(desk: Desk, key: KeyRef) -> None:
    """Ask the provider whether it takes the key, through a gateway; exit code 1 if it does not."""
    row = find_key(desk.client, key)
    found = desk.client.post(path_of("keys", row["id"], "test"))
    desk.output.one(found)
    if not found["usable"]:
        raise typer.Exit(1)


@verb(group, "assign")
def assign_key(
    desk: Desk,
    key: KeyRef,
    scope: Annotated[str, typer.Argument(help="The scope that may use it, by path or id.")],
    weight: Annotated[int, typer.Option(min=1, help="Share among keys of equal priority.")] = 100,
    priority: Annotated[int, typer.Option(min=0, help="Lower is tried first.")] = 0,
) -> None:
    """Let a scope use a key, or change weight and priority where it may already. Needs no secret."""
    row, place = find_key(desk.client, key), find_scope(desk.client, scope)
    chosen = {"weight": weight, "priority": priority}
    there = list(desk.client.pages("/assignments", {"key": row["id"], "scope": place.id}))
    if there:
        made = desk.client.patch(path_of("assignments", there[0]["id"]), chosen)
    else:
        made = desk.client.post(
            "/assignments", {"key": row["id"], "kind": place.kind, "scope": place.id, **chosen}
        )
    desk.output.say(f"The {place.kind} {scope} may use {row['name']}.")
    desk.output.text(str(made["id"]), made)


@verb(group, "unassign")
def unassign(
    desk: Desk,
    key: KeyRef,
    scope: Annotated[str, typer.Argument(help="The scope that may no longer use it.")],
) -> None:
    """Take a key from a scope, effective within two seconds."""
    row, place = find_key(desk.client, key), find_scope(desk.client, scope)
    there = list(desk.client.pages("/assignments", {"key": row["id"], "scope": place.id}))
    if not there:
        raise NotFound(f"{row['name']} is not assigned to {scope}")
    for assignment in there:
        desk.client.delete(path_of("assignments", assignment["id"]))
    desk.output.say(f"The {place.kind} {scope} may no longer use {row['name']}.")
    if desk.output.as_json:
        desk.output.one({"key": row["id"], "scope": place.id, "removed": [one["id"] for one in there]})


@verb(group, "suspend")
def suspend(desk: Desk, key: KeyRef, reason: Reason = None) -> None:
    """Refuse a key everywhere until it is resumed."""
    _change(desk, key, "suspend", reason)


@verb(group, "resume")
def resume(desk: Desk, key: KeyRef, reason: Reason = None) -> None:
    """Undo `suspend`."""
    _change(desk, key, "resume", reason)


@verb(group, "compromise")
def compromise(
    desk: Desk,
    key: KeyRef,
    reason: Reason = None,
    yes: Annotated[bool, typer.Option("--yes", help="It is final; do not ask.")] = False,
) -> None:
    """Refuse a leaked key everywhere for good, within two seconds."""
    _confirm(yes, f"Mark {key} as compromised? It can never be used again.")
    _change(desk, key, "compromise", reason)


@verb(group, "destroy")
def destroy(
    desk: Desk,
    key: KeyRef,
    reason: Reason = None,
    yes: Annotated[bool, typer.Option("--yes", help="It is final; do not ask.")] = False,
) -> None:
    """Destroy a key's secrets for good; its history stays."""
    _confirm(yes, f"Destroy {key}? Its secrets cannot be brought back.")
    _change(desk, key, "destroy", reason)


def _confirm(yes: bool, question: str) -> None:
    try:
        agreed = yes or typer.confirm(question, err=True)
    except typer.Abort:  # nobody is there to answer
        agreed = False
    if not agreed:
        raise UsageError("nothing was changed; --yes does it without asking")


def _change(desk: Desk, key: str, action: str, reason: str | None) -> None:
    row = find_key(desk.client, key)
    body = {"reason": reason} if reason else None
    changed = desk.client.post(path_of("keys", row["id"], action), body)
    desk.output.say(f"The key {changed['name']} is {changed['state']}.")
    if desk.output.as_json:
        desk.output.one(changed)
