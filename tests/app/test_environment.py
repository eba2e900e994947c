"""The environment of a process: precedence, config vars, and what is not shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fungible.app.dotenv import parse_dotenv
from fungible.app.environment import compose, looks_secret, mask, parse_assignment, secrets_of, shown_value

pytestmark = pytest.mark.pure


def composed(dotenv: str = "", system: str = "", config: str = "", given: str = "") -> dict[str, str]:
    def pairs(text: str) -> dict[str, str]:
        return dict(word.split("=") for word in text.split())

    return compose(
        dotenv=parse_dotenv(dotenv, ".env"),
        operating_system=pairs(system),
        config=pairs(config),
        given=pairs(given),
    )


def test_given_wins_over_config_over_the_system_over_dotenv() -> None:
    everywhere = {"dotenv": "A=dotenv", "system": "A=system", "config": "A=config", "given": "A=given"}
    for name in ("given", "config", "system", "dotenv"):
        assert composed(**everywhere)["A"] == name
        del everywhere[name]
    assert composed(**everywhere) == {}


def test_all_are_joined() -> None:
    assert composed("A=1", "B=2", "C=3", "D=4") == {"A": "1", "B": "2", "C": "3", "D": "4"}


def test_the_number_of_servers_of_a_process_is_a_mere_default() -> None:
    given = "WEB_CONCURRENCY=1 PYTHONUNBUFFERED=1"
    assert composed(given=given)["WEB_CONCURRENCY"] == "1"
    for place in ("dotenv", "system", "config"):
        other = given.replace("1", "4").replace(" ", "\n" if place == "dotenv" else " ")
        there = composed(**{place: other}, given=given)
        assert there["WEB_CONCURRENCY"] == "4"
        assert there["PYTHONUNBUFFERED"] == "1"


def test_dotenv_refers_to_service_urls_config_vars_and_the_system() -> None:
    dotenv = "A=${STORE}/data\nB=${STAGE}\nC=${USER}\nD=${WEB_CONCURRENCY}"
    made = composed(dotenv, "USER=ann STORE=/old", "STAGE=test", "STORE=/store WEB_CONCURRENCY=1")
    assert [made[name] for name in "ABCD"] == ["/store/data", "test", "ann", "1"]


def test_the_names_of_an_outer_formation_are_not_inherited() -> None:
    assert composed("FUNGIBLE_RELEASE=x", "FUNGIBLE_PROCESS=web.1 FUNGIBLE_SOCKET=/s FUNGIBLE_URL=u") == {
        "FUNGIBLE_URL": "u"
    }
    assert composed(system="FUNGIBLE_PROCESS=web.1", given="FUNGIBLE_PROCESS=web.2") == {"FUNGIBLE_PROCESS": "web.2"}


def test_an_assignment_keeps_its_value_as_it_is() -> None:
    assert parse_assignment("A= b=${C} 'd' ") == ("A", " b=${C} 'd' ")
    assert parse_assignment("_a1=") == ("_a1", "")


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("SECRET_KEY", "x", True),
        ("API_TOKEN", "x", True),
        ("aws_secret_access_key", "x", True),
        ("STRIPE_APIKEY", "x", True),
        ("MYTOKEN", "x", True),
        ("DB_PASS", "x", True),
        ("PGPASSWORD", "x", True),
        ("SENTRY_DSN", "x", True),
        ("GOOGLE_CREDENTIALS", "{}", True),
        ("DATABASE_URL", "postgres://ann:pw@db/x", True),
        ("VALKEY_URL", "redis://:pw@db", True),
        ("PEM", "-----BEGIN EC PRIVATE KEY-----\nMHc\n", True),
        ("STORE_URL", "redis://h/0?password=hush", True),
        ("JWT", "x", True),
        ("SECRET_KEY", "", False),
        ("PEM", "-----BEGIN CERTIFICATE-----\nMHc\n", False),
        ("CACHE_KEY_PREFIX", "shop", False),
        ("PUBLIC_KEY", "x", False),
        ("TOKEN_TTL", "60", False),
        ("DATABASE_URL", "postgres://ann@db/x", False),
        ("VALKEY_URL", "unix:///run/x.sock", False),
        ("SITE", "http://example.com:80/a@b", False),
        ("PWD", "/home/ann", False),
        ("PATH", "/bin", False),
        ("KEYBOARD", "us", False),
        ("MONKEY", "x", False),
        ("PASSENGER", "x", False),
        ("TOKENIZERS_PARALLELISM", "false", False),
    ],
)
def test_what_looks_secret(name: str, value: str, secret: bool) -> None:
    assert looks_secret(name, value) is secret
    assert (shown_value(name, value) != value) is secret
    assert ":pw@" not in shown_value(name, value)


def test_a_url_is_shown_without_its_password() -> None:
    assert shown_value("DATABASE_URL", "postgres://ann:pw@db/x?pw=pw") == "postgres://ann:***@db/x?pw=pw"
    assert shown_value("API_TOKEN", "https://db/x") == "***"


def test_masking() -> None:
    secrets = secrets_of(
        {
            "SECRET_KEY": "abcdef-123456",
            "OTHER_KEY": "abcdef",
            "DATABASE_URL": "postgres://ann:hunter22@db/x",
            "PEM_KEY": "-----BEGIN-----\nMIIEvQIBADAN\n-----END-----\n",
            "USE_TOKEN": "true",
            "NAME": "almanac",
        }
    )
    assert mask("key abcdef-123456, abcdef.", secrets) == "key ***, ***."
    assert mask("at postgres://ann:hunter22@db/x or hunter22", secrets) == "at *** or ***"
    assert mask("line MIIEvQIBADAN", secrets) == "line ***"
    assert mask("true almanac", secrets) == "true almanac"


@given(st.dictionaries(st.sampled_from(["A_KEY", "B_TOKEN", "C"]), st.text(max_size=12)), st.text(max_size=20))
def test_no_long_secret_is_left(environment: dict[str, str], text: str) -> None:
    secrets = secrets_of(environment)
    masked = mask(text + "".join(environment.values()), secrets)
    assert not any(secret in masked for secret in secrets if "*" not in secret)


@pytest.mark.parametrize("piece", ["a", ":", "/", "://", "://a:b", "://:", "@"])
def test_long_values_are_judged_in_linear_time(piece: str) -> None:
    assert not looks_secret("A", piece * (130_000 // len(piece)))  # quadratic, it would run into the time-out
