"""`route`: what a model's name means in a scope, and why a call would go where it goes.

Law: options make a route of one rule; several rules, conditions and endpoints come from a file of the API's form.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from tokenone.cli.client import Client, Document, path_of
from tokenone.cli.desk import Desk, verb
from tokenone.cli.exits import UsageError
from tokenone.cli.moments import span_us
from tokenone.cli.output import Column, field
from tokenone.cli.references import find_kind, find_scope
from tokenone.errors import NotFound

group = typer.Typer(
    no_args_is_help=True,
    help="What models' names mean, scope by scope. Kept and explained; calls do not follow routes yet.",
)

Where = Annotated[
    str, typer.Argument(metavar="SCOPE", help="tenant, tenant/project, tenant/project/workload, or an id.")
]
Name = Annotated[str, typer.Argument(metavar="MODEL", help="An alias or a model's name; it may end in *.")]


def _targets(row: Document) -> str:
    """Shows the targets of every rule: `openai/gpt-5, anthropic/… | azure/…`."""
    return " | ".join(
        ", ".join(f"{one['provider']}/{one['model'] or '…'}" for one in rule["targets"])
        for rule in row["rules"]
    )


_COLUMNS = (
    field("model"),
    field("kind"),
    field("scope"),
    Column("strategy", lambda row: " | ".join(rule["strategy"] for rule in row["rules"])),
    Column("targets", _targets),
    field("id"),
)
_LINES = (
    field("order"),
    field("provider"),
    field("model"),
    field("key"),
    field("version"),
    field("endpoint"),
    field("level"),
    field("price_nano"),
    field("first_byte_us"),
    field("why"),
)


@verb(group, "set")
def set_route(  # noqa: PLR0913 - one parameter for each option
    desk: Desk,
    *,
    scope: Where,
    model: Name,
    to: Annotated[
        list[str] | None, typer.Option(help="provider/model, in order; =WEIGHT behind it. Repeatable.")
    ] = None,
    strategy: Annotated[str, typer.Option(help="priority, weighted, cheapest or fastest.")] = "priority",
    attempts: Annotated[int, typer.Option(min=1, max=5, help="Keys that are tried at most.")] = 2,
    sticky: Annotated[str | None, typer.Option(help="How long a session stays, such as 10m.")] = None,
    within: Annotated[
        list[str] | None, typer.Option(help="Only endpoints of this jurisdiction. Repeatable.")
    ] = None,
    fall_over: Annotated[
        list[str] | None,
        typer.Option(help="Go on after: key-dead, billing, rate, model-denied, upstream. Repeatable."),
    ] = None,
    cross_on_key_dead: Annotated[
        bool, typer.Option("--cross-on-key-dead", help="After a refused key another provider may be tried.")
    ] = False,
    rules: Annotated[Path | None, typer.Option(help="JSON file with the rules, instead of options.")] = None,
) -> None:
    """Say what a model's name means in a scope; replaces the scope's route of that name."""
    if (rules is None) is not bool(to):
        raise UsageError("give either --to, once for each target, or --rules with a file")
    rule: Document = {
        "targets": [_target(one) for one in to or ()],
        "strategy": strategy,
        "attempts": attempts,
        "sticky_s": span_us(sticky) // 1_000_000 if sticky is not None else 0,
        "within": within or None,
        "cross_on_key_dead": cross_on_key_dead,
    }
    if fall_over:
        rule["fall_over"] = fall_over
    place = find_scope(desk.client, scope)
    body = {"kind": place.kind, "scope": place.id, "model": model}
    made = desk.client.put("/routes", {**body, "rules": [rule] if rules is None else _read(rules)})
    desk.output.say(f"In {scope} the name {model} leads to {_targets(made)}.")
    desk.output.text(str(made["id"]), made)


@verb(group, "list")
def list_routes(
    desk: Desk,
    scope: Annotated[str | None, typer.Argument(metavar="[SCOPE]", help="Only this scope's own.")] = None,
) -> None:
    """List routes."""
    wanted = {"scope": find_scope(desk.client, scope).id if scope is not None else None}
    desk.output.rows(desk.client.pages("/routes", wanted), _COLUMNS)


@verb(group, "show")
def show(desk: Desk, scope: Where, model: Name) -> None:
    """Show the route of a name in a scope."""
    desk.output.one(_found(desk.client, scope, model))


@verb(group, "remove")
def remove(desk: Desk, scope: Where, model: Name) -> None:
    """Remove a route; a farther scope's, or the name itself, decides from then on."""
    row = _found(desk.client, scope, model)
    desk.client.delete(path_of("routes", str(row["id"])))
    desk.output.say(f"In {scope} the name {model} is no longer routed.")
    if desk.output.as_json:
        desk.output.one({"removed": row["id"], "model": model})


@verb(group, "explain")
def explain(  # noqa: PLR0913 - one parameter for each option
    desk: Desk,
    *,
    workload: Annotated[str, typer.Argument(help="tenant/project/workload, or an id.")],
    model: Annotated[str, typer.Argument(metavar="MODEL", help="As the caller would name it.")],
    size: Annotated[int, typer.Option(min=0, help="Bytes of the request's body.")] = 0,
    stream: Annotated[bool, typer.Option("--stream", help="A call that is streamed.")] = False,
    need: Annotated[list[str] | None, typer.Option(help="tools, images, json, … Repeatable.")] = None,
    session: Annotated[str | None, typer.Option(help="The session that the call belongs to.")] = None,
    native: Annotated[str | None, typer.Option(help="By this provider's own path.")] = None,
    dev: Annotated[bool, typer.Option("--dev", help="With a to_dev_… token.")] = False,
) -> None:
    """Tell where a call would go and why, key by key; nobody is called."""
    body = {
        "workload": find_kind(desk.client, workload, "workload").id,
        "model": model,
        "mode": "dev" if dev else "live",
        "provider": native,
        "body_bytes": size,
        "stream": stream,
        "needs": need or [],
        "session": session,
    }
    told = desk.client.post("/routes/explain", body)
    if desk.output.as_json:
        desk.output.one(told)
        return
    for rule in told["rules"]:
        desk.output.say(f"Rule {rule['number']} of {rule['route']}: {rule['verdict']}.")
    if told["refusal"] is not None:
        desk.output.say(f"The call would be refused: {told['refusal']}.")
    desk.output.rows(told["lines"], _LINES)


def _found(client: Client, scope: str, model: str) -> Document:
    place = find_scope(client, scope)
    for row in client.pages("/routes", {"scope": place.id}):
        if row["model"] == model:
            return row
    raise NotFound(f"{scope} has no route for {model}")


def _target(text: str) -> Document:
    """Reads `provider/model` with an optional `=WEIGHT`; `provider/` alone passes the name on."""
    head, equals, tail = text.rpartition("=")
    named, weight = (head, int(tail)) if equals and tail.isascii() and tail.isdigit() else (text, 100)
    provider, slash, model = named.partition("/")
    if not slash or not provider:
        raise UsageError("a target is provider/model, such as openai/gpt-5 or anthropic/claude-5=30")
    return {"provider": provider, "model": model or None, "weight": weight}


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        raise UsageError(f"{file} is not a readable JSON file") from None
