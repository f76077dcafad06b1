"""Inspects one whole body, request or response, and says what became of it.

Law: clean bytes come back as the same object; a redacted body differs from the original in the spans of the
findings alone, and stays valid JSON. Findings carry byte offsets into the body, never the text. Only
findings that are sure enough are redacted or blocked; the others are flagged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from tokenone.detect.detector import Detector
from tokenone.detect.leaves import byte_offsets, leaves, text_of
from tokenone.types import Action, Finding

ENFORCED_SCORE: Final = 500
MAX_FINDINGS: Final = 100
"""More than these are not listed; they are redacted all the same."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found, what follows from it, and the body to go on with."""

    verdict: Action
    findings: tuple[Finding, ...]
    body: bytes


def inspect_body(body: bytes, detectors: Sequence[Detector], action: Action) -> Inspection:
    """Inspects a whole body, what a caller sends or a provider answers; JSON by its strings, others as text."""
    if action is Action.ALLOW or not suspected(body, detectors):
        return Inspection(Action.ALLOW, (), body)
    found = find_all(body, detectors)
    reached = verdict_on(found, action)
    if reached is Action.REDACT:
        body = splice(body, found)
    return Inspection(reached, tuple(found[:MAX_FINDINGS]), body)


def suspected(raw: bytes, detectors: Sequence[Detector]) -> bool:
    """Says whether any detector wants a closer look."""
    for detector in detectors:  # noqa: SIM110 (a generator would cost a microsecond on every call)
        if detector.suspects(raw):
            return True
    return False


def verdict_on(findings: Sequence[Finding], action: Action) -> Action:
    """Returns the verdict: `action` if a finding is sure enough, a flag if there is any."""
    if not findings or action is Action.ALLOW:
        return Action.ALLOW
    sure = any(finding.score >= ENFORCED_SCORE for finding in findings)
    return action if sure else Action.FLAG


def find_all(body: bytes, detectors: Sequence[Detector]) -> list[Finding]:
    """Returns every finding as byte offsets into `body`, sorted, not overlapping."""
    if not _is_json(body):
        return _in_string(body, 0, body.decode("utf-8", "surrogateescape"), detectors)
    return find_in_strings(body, detectors)


def find_in_strings(body: bytes, detectors: Sequence[Detector]) -> list[Finding]:
    """Returns the findings in the JSON strings of `body`, as byte offsets."""
    found: list[Finding] = []
    for leaf in leaves(body):
        raw = body[leaf.start : leaf.end]
        if suspected(raw, detectors):
            found += _in_string(raw, leaf.start, text_of(raw), detectors)
    return found


def _is_json(body: bytes) -> bool:
    """Says whether the strings of `body` can be told from the rest; too deep is still JSON."""
    if body[:64].lstrip()[:1] not in (b"{", b"[", b'"'):
        return False
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except RecursionError:
        return True
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def _in_string(raw: bytes, offset: int, text: str, detectors: Sequence[Detector]) -> list[Finding]:
    findings = merged(text, detectors)
    if not findings:
        return []
    places = byte_offsets(raw, [place for finding in findings for place in (finding.start, finding.end)])
    return [
        Finding(finding.rule, finding.score, offset + start, offset + end)
        for finding, start, end in zip(findings, places[::2], places[1::2], strict=True)
    ]


def merged(text: str, detectors: Sequence[Detector]) -> list[Finding]:
    """Returns all detectors' findings in `text`; those that overlap become one, named after the surest."""
    findings = [finding for detector in detectors for finding in detector.inspect(text)]
    if len(detectors) == 1 or len(findings) < 2:
        return findings
    kept: list[Finding] = []
    for finding in sorted(findings, key=lambda item: item.start):
        if not kept or finding.start >= kept[-1].end:
            kept.append(finding)
            continue
        last = kept.pop()
        surer = max(last, finding, key=lambda item: item.score)
        kept.append(Finding(surer.rule, surer.score, last.start, max(last.end, finding.end)))
    return kept


def splice(body: bytes, findings: Sequence[Finding]) -> bytes:
    """Replaces the spans of the sure findings by `[redacted:<rule>]`."""
    parts: list[bytes] = []
    at = 0
    for finding in findings:
        if finding.score >= ENFORCED_SCORE:
            parts += (body[at : finding.start], mark(finding))
            at = finding.end
    return b"".join((*parts, body[at:]))


def mark(finding: Finding) -> bytes:
    """What stands in a redacted finding's place; fits into a JSON string as it is."""
    return f"[redacted:{finding.rule}]".encode("ascii")
