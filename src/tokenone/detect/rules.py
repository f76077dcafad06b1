"""The credentials that the secrets detector knows: one row each, grouped by the anchor that announces them.

Law: an anchor is a short literal that ends in (or goes on from) a character rare in prose, so that looking
for all of them is one pass. A rule's pattern is matched at the anchor alone, runs over each character at
most once (possessive quantifiers) and is followed by a check. Scores: 950 and more, cannot be chance; 700,
form and randomness agree; below 500, worth a flag only.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from tokenone.detect import checks
from tokenone.detect.key_block import PrivateKeyBlock
from tokenone.types import Finding

NEAR: Final = 160
"""How far around an anchor its context is looked for, in characters."""


def _always(_: str) -> bool:
    return True


def _random(bits: float) -> Callable[[str], bool]:
    return lambda text: checks.looks_random(text, bits)


class Finder(Protocol):
    """Looks at one place: `at` is the index behind an anchor. Returns the findings that start there."""

    def find(self, text: str, at: int) -> tuple[Finding, ...]: ...


@dataclass(frozen=True, slots=True)
class Rule:
    """Matches `pattern` from `back` characters before `at`; group 1, if there is one, is the secret."""

    name: str
    score: int
    back: int
    pattern: re.Pattern[str]
    check: Callable[[str], bool] = _always
    near: re.Pattern[str] | None = None
    """What must occur in the NEAR characters before `at`."""

    def find(self, text: str, at: int) -> tuple[Finding, ...]:
        match = self.pattern.match(text, at - self.back) if at >= self.back else None
        if match is None or (self.near and not self.near.search(text, max(0, at - NEAR), at)):
            return ()
        group = self.pattern.groups
        if not self.check(match[group]):
            return ()
        return (Finding(self.name, self.score, match.start(group), match.end(group)),)


class AwsKeyPair:
    """An access key id, and the secret key if one follows within NEAR characters."""

    _id = re.compile(r"A[KS]IA[A-Z2-7]{16}(?![A-Za-z0-9])")
    _secret = re.compile(r"(?<![A-Za-z0-9+/=])[A-Za-z0-9+/]{40}(?![A-Za-z0-9+/=])")

    def find(self, text: str, at: int) -> tuple[Finding, ...]:
        match = self._id.match(text, at - 4)
        if match is None or not checks.looks_random(match[0][4:], 2.6):
            return ()
        found = Finding("aws-access-key-id", 900, match.start(), match.end())
        secret = self._secret.search(text, match.end(), match.end() + NEAR)
        if secret is None or not checks.mixed(secret[0]) or not checks.looks_random(secret[0], 3.8):
            return (found,)
        return (found, Finding("aws-secret-key", 960, secret.start(), secret.end()))


@dataclass(frozen=True, slots=True)
class Anchor:
    """`trigger` is the rare character; `behind` what stands before it, `ahead` what follows, all as
    regular expressions of fixed width; an empty `ahead` means that 16 token characters follow, which are not
    part of the anchor. `bound` may not stand before `behind`."""

    trigger: str
    behind: str
    ahead: str
    bound: str
    finders: tuple[Finder, ...]
    strict: bool = False
    """Whether the bound is worth checking in raw bytes too (`sk-` ends many English words)."""


_WORD: Final = r"[A-Za-z0-9_\-]"
_BASE64: Final = r"[A-Za-z0-9+/=]"
_END: Final = rf"(?!{_WORD})"
_GAP: Final = r"""["'\\]{0,4}\s{0,4}(?:=>|[:=,(])?\s{0,4}["'\\]{0,4}"""
_AWS_SECRET: Final = rf"([A-Za-z0-9+/]{{40}})(?!{_BASE64})"


def _rule(name: str, score: int, back: int, pattern: str, check: Callable[[str], bool] = _always) -> Rule:
    return Rule(name, score, back, re.compile(pattern, re.ASCII), check)


def _context(name: str, near: str, pattern: str, check: Callable[[str], bool]) -> Rule:
    return Rule(name, 700, 0, re.compile(_GAP + pattern, re.ASCII), check, re.compile(near, re.ASCII))


_SK = (
    _rule("anthropic-key", 980, 3, rf"sk-ant-[a-z0-9]{{3,12}}-{_WORD}{{32,200}}+{_END}", _random(3.5)),
    _rule("openrouter-key", 980, 3, rf"sk-or-v1-[0-9a-f]{{64}}{_END}", _random(3.0)),
    _rule("openai-key", 990, 3, rf"sk-(?={_WORD}{{20,200}}?T3BlbkFJ){_WORD}{{48,300}}+{_END}", _random(3.5)),
    _rule("openai-key", 850, 3, rf"sk-(?:proj|svcacct|admin|None)-{_WORD}{{32,300}}+{_END}", _random(3.5)),
    _rule("sk-style-key", 700, 3, rf"sk-[A-Za-z0-9]{{32,96}}+{_END}", _random(3.2)),
)
_AWS_CONTEXT = _context("aws-secret-key", r"(?i)secret_?access_?key$", _AWS_SECRET, checks.mixed)
_COHERE = _context("cohere-key", r"(?i)\bco(?:here)?[._]", rf"([A-Za-z0-9]{{40}}){_END}", checks.mixed)
_AZURE = _context("azure-key", r"(?i)azure|ocp-apim", rf"([0-9a-f]{{32}}){_END}", _random(3.0))
_KEY_CONTEXT = (_AWS_CONTEXT, _COHERE, _AZURE)

ANCHORS: Final[tuple[Anchor, ...]] = (
    Anchor("-", "sk", "", _WORD, _SK, strict=True),
    Anchor("-", "xox[abeoprs]", "", _WORD, (
        _rule("slack-token", 960, 5, rf"xox[abeoprs]-(?=[0-9]+-?)[0-9A-Za-z\-]{{20,240}}+{_END}", _random(3.0)),)),
    Anchor("-", "xapp", "", _WORD, (
        _rule("slack-token", 960, 5, rf"xapp-\d-[A-Z0-9]{{8,12}}-\d{{10,14}}-[0-9a-f]{{40,80}}+{_END}"),)),
    Anchor("-", "glpat", "", _WORD, (
        _rule("gitlab-token", 960, 6, rf"glpat-{_WORD}{{20,300}}+(?:\.[0-9a-z]{{2}})?(?:\.[0-9a-z]{{9}})?{_END}",
              _random(3.2)),)),
    Anchor("-", "gl[dprs]t", "", _WORD, (
        _rule("gitlab-token", 900, 5, rf"gl[dprs]t-{_WORD}{{20,64}}+{_END}", _random(3.5)),)),
    Anchor("-", "pplx", "", _WORD, (
        _rule("perplexity-key", 950, 5, rf"pplx-[A-Za-z0-9]{{48}}{_END}", _random(3.5)),)),
    Anchor("-", "xai", "", _WORD, (_rule("xai-key", 950, 4, rf"xai-[A-Za-z0-9]{{80}}{_END}", _random(3.5)),)),
    Anchor("-", "GOCSPX", "", _WORD, (
        _rule("google-oauth-secret", 950, 7, rf"GOCSPX-{_WORD}{{28}}{_END}", _random(3.2)),)),
    Anchor("-", "bedrock-api-key", "", _WORD, (
        _rule("aws-bedrock-key", 950, 16, r"bedrock-api-key-[A-Za-z0-9+/]{100,4000}+={0,2}", _random(3.5)),)),
    Anchor("-", "----", "BEGIN ", "", (PrivateKeyBlock(),)),
    Anchor("-", "[Aa][Pp][Ii]", "[Kk][Ee][Yy]", "", (_AZURE,)),
    Anchor("-", "ubscription", "[Kk]ey", "", (_AZURE,)),
    Anchor("_", "gh[pousr]", "", _WORD, (
        _rule("github-token", 1000, 4, rf"gh[pousr]_[A-Za-z0-9]{{36}}{_END}", checks.github_checksum),)),
    Anchor("_", "github_pat", "", _WORD, (
        _rule("github-token", 980, 11, rf"github_pat_[A-Za-z0-9]{{22}}_[A-Za-z0-9]{{59}}{_END}", _random(3.5)),)),
    Anchor("_", "npm", "", _WORD, (
        _rule("npm-token", 1000, 4, rf"npm_[A-Za-z0-9]{{36}}{_END}", checks.github_checksum),)),
    Anchor("_", "[rs]k", "(?:live|test)_", _WORD, (
        _rule("stripe-key", 950, 8, rf"[rs]k_(?:live|test)_[A-Za-z0-9]{{20,247}}+{_END}", _random(3.2)),)),
    Anchor("_", "whsec", "", _WORD, (
        _rule("stripe-webhook-secret", 900, 6, r"whsec_[A-Za-z0-9+/]{32,64}+=?", _random(3.5)),)),
    Anchor("_", "hf", "", _WORD, (
        _rule("hugging-face-token", 950, 3, rf"hf_[A-Za-z0-9]{{34}}{_END}", _random(3.5)),)),
    Anchor("_", "gsk", "", _WORD, (_rule("groq-key", 950, 4, rf"gsk_[A-Za-z0-9]{{52}}{_END}", _random(3.5)),)),
    Anchor("_", "to", "(?:live|dev_)", _WORD, (
        _rule("tokenone-token", 1000, 7,
              rf"to_(?:live|dev)_[0-9a-hjkmnp-tv-z]{{20}}_[0-9A-Za-z]{{43}}_[0-9A-Za-z]{{6}}{_END}",
              checks.own_checksum),)),
    Anchor("_", "(?:[Aa][Pp][Ii]|[Ee][Ss][Ss])", "[Kk][Ee][Yy]", "", _KEY_CONTEXT),
    Anchor("I", "A[KS]", "A", r"[A-Za-z0-9]", (AwsKeyPair(),)),
    Anchor("I", "A", "za", _WORD, (_rule("google-api-key", 960, 4, rf"AIza{_WORD}{{35}}{_END}", _random(3.2)),)),
    Anchor("J", "ey", "[a-zA-Z0-9]", _WORD, (
        _rule("jwt", 900, 4, rf"eyJ{_WORD}{{10,4096}}+\.eyJ{_WORD}{{8,8192}}+\.{_WORD}{{16,2048}}+",
              checks.jwt_header),)),
    Anchor("Q", "JQ", "J99", "", (
        _rule("azure-key", 980, 58, rf"(?<!{_WORD})[A-Za-z0-9]{{52}}JQQJ99[A-Za-z0-9]{{26}}{_END}", _random(3.5)),)),
    Anchor("Q", "A", r"\.", _WORD, (
        _rule("google-api-key", 900, 3, rf"AQ\.{_WORD}{{40,120}}+{_END}", _random(4.0)),)),
    Anchor("9", "ya2", r"\.", _WORD, (
        _rule("google-oauth-token", 900, 5, rf"ya29\.{_WORD}{{40,2048}}+(?:\.{_WORD}{{1,512}}+)?", _random(3.8)),)),
    Anchor("Q", r"\d", "~", "", (
        _rule("azure-client-secret", 900, 6, r"(?<![\w~.\-])[A-Za-z0-9_~.\-]{3}\dQ~[A-Za-z0-9_~.\-]{31,34}(?![\w~.\-])",
              _random(3.8)),)),
    Anchor("K", "ABS", "", _WORD, (
        _rule("aws-bedrock-key", 960, 4, r"ABSK[A-Za-z0-9+/]{100,300}+={0,2}", _random(3.5)),)),
    Anchor("K", "Account", "ey=", "", (_rule("azure-storage-key", 960, 0, r"([A-Za-z0-9+/]{86}==)", _random(4.0)),)),
    Anchor("K", "Access", "ey", "", (_AWS_CONTEXT,)),
)  # fmt: skip
