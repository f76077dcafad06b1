"""Writes vectors/ledger.json, vectors/merkle.json and vectors/receipt.json, and forges logs for the tests.

A forged log is built frame by frame with the log's own key, so it can break any law on purpose and still be
signed. Only the sealed epoch key (HPKE draws its own randomness) differs from run to run.
"""

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tokenone import canonical
from tokenone.ledger import batch, chain, entry, merkle, receipt, segment

ORIGIN = "log.example/vectors"
SIGNING = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
AUDITOR = X25519PrivateKey.from_private_bytes(bytes(range(32, 64)))
PUBLIC = SIGNING.public_key().public_bytes_raw()
AT = 1_790_000_000_000_000


class Forge:
    """Builds the files of one slot's log."""

    def __init__(self, *, origin: str = ORIGIN, slot: int = 0, signing: Ed25519PrivateKey = SIGNING) -> None:
        self.origin, self.slot, self.signing = origin, slot, signing
        self.files: dict[str, bytes] = {}
        self.seq, self.link = 0, chain.genesis(origin, slot)
        self.boot, self.key = 0, chain.EpochKey(bytes(32))
        self.number = 0
        self.rows: list[tuple[int, bytes, bytes, bytes]] = []
        self.records: dict[int, bytes] = {}
        self.signed: list[tuple[batch.Statement, bytes, merkle.Tree]] = []

    def put(self, data: bytes) -> None:
        self.files[segment.name(self.number)] += data

    def begin(self, **changed: Any) -> None:
        """Begins a segment; `changed` falsifies its header."""
        self.number += 1
        self.files[segment.name(self.number)] = b""
        header = segment.Header(self.origin, self.slot, self.number, self.seq + 1, self.link)
        self.put(segment.frame(segment.HEADER, header._replace(**changed).encode()))

    def booted(self, open_: list[Any] | None = None, **changed: Any) -> None:
        """Adds a boot entry with a new epoch key."""
        self.boot += 1
        first = hashlib.sha256(bytes((self.boot,))).digest()
        self.key = chain.EpochKey(first)
        place = {"origin": self.origin, "slot": self.slot, "boot": self.boot}
        sealed = chain.seal(first, AUDITOR.public_key(), **place)
        fields = {
            "auditor": entry.b64(AUDITOR.public_key().public_bytes_raw()),
            "open": open_ or [],
            "origin": self.origin,
            "sealed": entry.b64(sealed),
            "signing": entry.b64(self.signing.public_key().public_bytes_raw()),
            "slot": self.slot,
        }
        self.add("boot", fields | changed)

    def members(self, kind: str, fields: dict[str, Any]) -> dict[str, Any]:
        salt = entry.b64(hashlib.sha256(b"salt" + bytes((self.slot,)) + self.seq.to_bytes(4)).digest()[:16])
        return entry.members(
            seq=self.seq + 1,
            kind=kind,
            at_us=AT + self.seq,
            boot=self.boot,
            epoch=self.key.epoch,
            salt=salt,
            fields=fields,
        )

    def add(self, kind: str, fields: dict[str, Any], **changed: Any) -> None:
        """Adds an entry; `changed` falsifies members of its record."""
        self.add_record(canonical.encode(self.members(kind, fields) | changed))

    def add_record(self, record: bytes, *, mac: bytes | None = None, erased: bool = False) -> None:
        """Adds stored bytes as they are."""
        self.seq += 1
        leaf = chain.leaf_of(record)
        self.link = chain.link_of(self.link, leaf)
        mac = mac or self.key.mac(self.link)
        kind, stored = segment.RECORD, record
        if erased:
            kind, stored = segment.ERASED, leaf + bytes(len(record) - 32)
        self.rows.append((kind, leaf, mac, self.link + mac + stored))
        self.records[self.seq] = record

    def intent(self, call: str, attempt: int = 1) -> None:
        self.add("intent", {"attempt": attempt, "call": call, "model": "gpt-4.1-mini"})

    def outcome(self, call: str, attempt: int = 1) -> None:
        self.add("outcome", {"attempt": attempt, "call": call, "status": 200})

    def close(self, **changed: Any) -> None:
        """Writes the records since the last batch and their batch frame; `changed` falsifies the statement."""
        for kind, _, _, payload in self.rows:
            self.put(segment.frame(kind, payload))
        tree = merkle.Tree([leaf for _, leaf, _, _ in self.rows])
        statement = batch.Statement(
            batch.key_id(self.signing.public_key()),
            self.origin,
            self.slot,
            self.seq - len(self.rows) + 1,
            len(self.rows),
            AT + self.seq,
            tree.root,
            self.link,
            hashlib.sha256(b"".join(mac for _, _, mac, _ in self.rows)).digest(),
        )._replace(**changed)
        payload = batch.sign(statement, self.signing)
        self.put(segment.frame(segment.BATCH, payload))
        self.signed.append((statement, payload[-64:], tree))
        self.rows = []

    def receipt(self, seq: int) -> str:
        """Returns the receipt of an entry in a closed batch."""
        for statement, signature, tree in self.signed:
            if statement.first <= seq <= statement.last:
                leaf = chain.leaf_of(self.records[seq])
                return receipt.encode(statement, signature, place=seq - statement.first, tree=tree, leaf=leaf)
        raise LookupError(seq)

    def write(self, directory: Path) -> Path:
        """Writes the slot's directory below `directory` and returns it."""
        place = directory / str(self.slot)
        place.mkdir(parents=True, exist_ok=True)
        for name, data in self.files.items():
            (place / name).write_bytes(data)
        return place


def honest() -> Forge:
    """A lawful log: two boots, a rotation, a crash closed as unknown, an epoch that moved on."""
    log = Forge()
    log.begin()
    log.booted()
    log.close()
    log.intent("a")
    log.intent("b")
    log.close()
    log.outcome("a")
    log.key.advance()
    log.add("note", {"text": 'späte Worte \u2028 "quoted" \\ and\ttab'})
    log.close()
    log.begin()
    log.add("carry", {"open": [["b", 1]]})
    log.close()
    log.booted(open_=[["b", 1]])
    log.add("outcome", {"attempt": 1, "call": "b", "cause": "unknown"})
    log.intent("c")
    log.close()
    return log


def unlawful() -> dict[str, tuple[int, Forge]]:
    """Logs that are wrong in one way each, by name: the check that must find it, and the log."""
    found: dict[str, tuple[int, Forge]] = {}

    def case(name: str, check: int) -> Forge:
        log = Forge()
        log.begin()
        log.booted()
        found[name] = (check, log)
        return log

    _unlawful_bytes(case)
    _unlawful_stories(case)
    return found


def _unlawful_bytes(case: Callable[[str, int], Forge]) -> None:
    log = case("a space in a record", 2)
    log.add_record(canonical.encode(log.members("note", {})).replace(b":", b": ", 1))
    log.close()
    log = case("a float in a record", 2)
    log.add_record(canonical.encode(log.members("note", {"x": 1})).replace(b'"x":1', b'"x":1.5'))
    log.close()
    log = case("a member too many", 2)
    log.add("note", {}, zeal=1)
    log.close()
    log = case("a key twice", 2)
    log.add_record(canonical.encode(log.members("note", {"x": 1})).replace(b'"x":1', b'"x":1,"x":1'))
    log.close()
    log = case("a batch that counts one more", 4)
    log.close(size=2)
    log = case("a batch over another root", 4)
    log.close(root=bytes(32))
    log = case("a batch of another log", 4)
    log.close(origin="log.example/other")
    log = case("MACs other than signed", 4)
    log.close(macs=bytes(32))


def _unlawful_stories(case: Callable[[str, int], Forge]) -> None:
    log = case("a seq given twice", 5)
    log.add("note", {}, seq=1)
    log.close()
    log = case("an epoch that goes back", 5)
    log.key.advance_to(2)
    log.add("note", {})
    log.add("note", {}, epoch=1)
    log.close()
    log = case("a boot that counts down", 5)
    log.boot = 0
    log.booted()
    log.close()
    log = case("a record erased in silence", 5)
    log.add_record(canonical.encode(log.members("note", {})), erased=True)
    log.close()
    log = case("a second outcome", 6)
    for step in (log.intent, log.outcome, log.outcome):
        step("a")
    log.close()
    log = case("an outcome without intent", 6)
    log.outcome("a")
    log.close()
    log = case("an intent left open by a boot", 6)
    log.intent("a")
    log.booted(open_=[["a", 1]])
    log.intent("b")
    log.close()
    log = case("a boot that hides an open intent", 6)
    log.intent("a")
    log.booted()
    log.close()
    log = case("a recovery of nothing", 7)
    log.add("recovery", {"cause": "damage", "last_link": "00", "last_seq": 0, "next_seq": 9, "offset": 0})
    log.close()
    log = case("a MAC under another key", 8)
    log.add_record(canonical.encode(log.members("note", {})), mac=bytes(32))
    log.close()


def ledger_vectors() -> dict[str, Any]:
    erased = Forge()
    erased.begin()
    erased.booted()
    erased.add_record(canonical.encode(erased.members("note", {"text": "gone"})), erased=True)
    erased.add("erasure", {"seqs": [2]})
    erased.close()
    good = {"two boots and two segments": honest(), "an erased record": erased}
    return {
        "about": "Ledger files (docs/spec/ledger.md). `check` is the one that must find the fault.",
        "origin": ORIGIN,
        "public": PUBLIC.hex(),
        "auditor_private": AUDITOR.private_bytes_raw().hex(),
        "good": [_case(name, log, seq=log.seq, link=log.link.hex()) for name, log in good.items()],
        "bad": [_case(name, log, check=check) for name, (check, log) in unlawful().items()],
        "good_records": [
            {"record": record.hex(), "leaf": chain.leaf_of(record).hex()}
            for record in honest().records.values()
        ],
    }


def _case(name: str, log: Forge, **facts: Any) -> dict[str, Any]:
    files = {file: data.hex() for file, data in log.files.items()}
    return {"name": name, "slot": log.slot, **facts, "files": files}


CLASSIC = (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)  # fmt: skip
# Published with the certificate-transparency project's tests; not computed here.
CLASSIC_ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
CLASSIC_PATH = (
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
)


def merkle_vectors() -> dict[str, Any]:
    leaves = [chain.leaf_of(bytes.fromhex(text)) for text in CLASSIC]
    good = [
        {"leaf": leaves[place].hex(), "place": place, "size": size, "root": CLASSIC_ROOTS[size - 1],
         "path": [step.hex() for step in merkle.Tree(leaves[:size]).path(place)]}
        for place, size in ((0, 1), (0, 8), (5, 8), (2, 3), (4, 5), (6, 7), (1, 2))
    ]  # fmt: skip
    bad = [
        good[1] | {"why": "a path too short", "path": good[1]["path"][:-1]},
        good[1] | {"why": "a path too long", "path": [*good[1]["path"], "00" * 32]},
        good[1] | {"why": "another place", "place": 1},
        good[1] | {"why": "a place beyond the tree", "place": 8},
        good[3] | {"why": "another size", "size": 4},
        good[2] | {"why": "another leaf", "leaf": good[1]["leaf"]},
        good[2] | {"why": "steps swapped", "path": list(reversed(good[2]["path"]))},
    ]
    roots = [{"leaves": list(CLASSIC[: n + 1]), "root": root} for n, root in enumerate(CLASSIC_ROOTS)]
    roots.append({"leaves": [], "root": hashlib.sha256(b"").hexdigest()})
    about = "RFC 6962 trees; `roots` and the path of place 0 in 8 are certificate-transparency's own."
    return {"about": about, "classic_path": list(CLASSIC_PATH), "roots": roots, "good": good, "bad": bad}


def receipt_vectors() -> dict[str, Any]:
    log = honest()
    good = []
    for seq in (1, 2, 3, 8):
        text = log.receipt(seq)
        good.append({"seq": seq, "receipt": text, "record": log.records[seq].hex()})
    raw = entry.unb64(good[1]["receipt"])
    other = Forge(signing=Ed25519PrivateKey.from_private_bytes(bytes(32)))
    other.begin()
    other.booted()
    other.close()
    place = 10 + raw[9] + 4 + 8 + 4 + 8 + 3
    bad: list[dict[str, Any]] = [
        {"why": "not base64url", "receipt": "?" + good[0]["receipt"][1:]},
        {"why": "padding", "receipt": good[0]["receipt"] + "="},
        {"why": "another version", "receipt": entry.b64(b"\x02" + raw[1:])},
        {"why": "cut short", "receipt": entry.b64(raw[:-1])},
        {"why": "a byte too many", "receipt": entry.b64(raw + b"\x00")},
        {"why": "another place", "receipt": entry.b64(_with(raw, place, raw[place] ^ 1))},
        {"why": "a changed signature", "receipt": entry.b64(_with(raw, len(raw) - 1, raw[-1] ^ 1))},
        {"why": "another log's key", "receipt": other.receipt(1)},
        {"why": "another record", "receipt": good[0]["receipt"], "record": good[1]["record"]},
        {"why": "nothing", "receipt": ""},
    ]
    about = "Receipts (docs/spec/receipt.md), under `public`."
    return {"about": about, "public": PUBLIC.hex(), "good": good, "bad": bad}


def _with(raw: bytes, at: int, value: int) -> bytes:
    return raw[:at] + bytes((value,)) + raw[at + 1 :]


def main() -> int:
    vectors = Path(__file__).parent.parent / "vectors"
    for name, made in (
        ("ledger", ledger_vectors()),
        ("merkle", merkle_vectors()),
        ("receipt", receipt_vectors()),
    ):
        text = json.dumps(made, indent=1, ensure_ascii=True)
        (vectors / f"{name}.json").write_text(text + "\n", encoding="ascii")
    return 0


if __name__ == "__main__":
    sys.exit(main())
