"""The configuration: file, then environment; a misspelt name is refused; messages name fields, never values."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tokenone.config import Settings, check_listeners, load, settings_of
from tokenone.errors import ConfigRefused
from tokenone.secret import reveal


def test_nothing_set_gives_the_defaults_of_a_single_machine(tmp_path: Path) -> None:
    settings = settings_of({}, {})
    assert (settings.profile, settings.gateway.workers, settings.gateway.listen) == (
        "single",
        1,
        "127.0.0.1:8484",
    )
    assert settings.roots.uris()["vault"] == "local:roots/vault.root"
    assert settings.egress.allow == ()


def test_the_environment_lies_over_the_file() -> None:
    file = tomllib.loads('profile = "production"\n[gateway]\nworkers = 2\nbody_mib = 8\n')
    told = {"TOKENONE_GATEWAY__WORKERS": "4", "TOKENONE_EGRESS__ALLOW": '["10.0.0.0/8"]', "HOME": "/home/x"}
    settings = settings_of(file, told)
    assert (settings.profile, settings.gateway.workers, settings.gateway.body_mib) == ("production", 4, 8)
    assert settings.egress.allow == ("10.0.0.0/8",)


def test_paths_and_the_passphrase_have_their_own_types() -> None:
    settings = settings_of(
        {"gateway": {"tls_cert": "/etc/cert.pem"}, "roots": {"passphrase": "a long passphrase"}}, {}
    )
    assert settings.gateway.tls_cert == Path("/etc/cert.pem")
    assert settings.roots.passphrase is not None
    assert reveal(settings.roots.passphrase) == b"a long passphrase"


@pytest.mark.parametrize(
    ("file", "environment", "named"),
    [
        ({"gatway": {}}, {}, "gatway"),
        ({"gateway": {"worker": 2}}, {}, "gateway.worker"),
        ({}, {"TOKENONE_GATEWAY__WORKER": "2"}, "gateway.worker"),
        ({}, {"TOKENONE_GATEWAI__WORKERS": "2"}, "gatewai"),
        ({"gateway": {"workers": 0}}, {}, "gateway.workers"),
        ({"gateway": {"workers": 65}}, {}, "gateway.workers"),
        ({}, {"TOKENONE_GATEWAY__WORKERS": "many"}, "gateway.workers"),
        ({"gateway": {"idle_seconds": 0}}, {}, "gateway.idle_seconds"),
        ({"profile": "hobby"}, {}, "profile"),
        ({"gateway": 5}, {"TOKENONE_GATEWAY__WORKERS": "1"}, "gateway"),
        ({}, {"TOKENONE_CONSOLE__ALLOW_PLAINTEXT_INTAKE": "perhaps"}, "console.allow_plaintext_intake"),
    ],
)
def test_what_is_not_allowed_is_refused_by_name(
    file: dict[str, object], environment: dict[str, str], named: str
) -> None:
    with pytest.raises(ConfigRefused, match=named):
        settings_of(file, environment)


def test_a_refusal_never_quotes_the_value() -> None:
    with pytest.raises(ConfigRefused) as refused:
        settings_of({"roots": {"passphrase": ["hush hush hush"]}}, {})
    assert "hush" not in str(refused.value)
    with pytest.raises(ConfigRefused) as refused:
        settings_of({"gateway": {"workers": "hush-hush"}}, {})
    assert "hush" not in str(refused.value)


def test_a_file_that_is_not_toml_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tokenone.toml").write_text("[gateway\n")
    with pytest.raises(ConfigRefused, match=r"tokenone\.toml"):
        load(tmp_path)


@pytest.mark.parametrize(
    "gateway",
    [
        {"listen": "0.0.0.0:8484"},
        {"listen": "8484"},
        {"listen": "127.0.0.1:http"},
        {"listen": "127.0.0.1:70000"},
        {"tls_cert": "/x.pem"},
    ],
)
def test_plain_http_stays_on_loopback_and_a_certificate_needs_its_key(gateway: dict[str, str]) -> None:
    settings: Settings = settings_of({"gateway": gateway}, {})
    with pytest.raises(ConfigRefused, match="gateway"):
        check_listeners(settings)
