"""Keys, and what is refused without them."""

import base64
import logging
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from served_squads import CHAT, Served, chat_body, serve_squad

from aligners.core.errors import UserError
from aligners.serving.app import build_app
from aligners.serving.options import ServeOptions

KEY, OTHER = "sk-first-key", "sk-second-key"
ROUTES = [
    ("GET", "/ready"),
    ("GET", "/metrics"),
    ("GET", "/v1/models"),
    ("GET", "/v1/squad"),
    ("GET", "/v1/unknown"),
    ("GET", "/nowhere"),
    ("POST", CHAT),
    ("POST", "/v1/align"),
    ("POST", "/v1/inspect"),
    ("POST", "/beta/litellm_basic_guardrail_api"),
]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    path = tmp_path_factory.mktemp("keys") / "keys.txt"
    path.write_text(f"# of the team\n{KEY}\n\n  {OTHER}  \n")
    with serve_squad(key_file=path) as running:
        yield running


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_route_needs_a_key(guarded: Served, method: str, path: str) -> None:
    for headers, code in (({}, "missing_key"), (bearer("sk-wrong"), "invalid_key")):
        answer = guarded.client.request(method, path, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, code)
        assert answer.json()["error"]["type"] == "authentication_error"


def test_health_needs_no_key(guarded: Served) -> None:
    assert guarded.client.get("/health").json() == {"status": "ok"}


@pytest.mark.parametrize(
    "headers",
    [
        bearer(KEY),
        bearer(OTHER),
        {"x-api-key": KEY},
        {"authorization": "Basic " + base64.b64encode(f"me:{KEY}".encode()).decode()},
    ],
)
def test_each_key_is_accepted_in_each_form(guarded: Served, headers: dict[str, str]) -> None:
    assert guarded.client.get("/v1/squad", headers=headers).status_code == 200


@pytest.mark.parametrize("key", [KEY[:-1], KEY + "x", KEY.upper(), "\xe9"])
def test_similar_keys_are_wrong(guarded: Served, key: str) -> None:
    headers = {"authorization": f"Bearer {key}".encode("latin-1")}
    assert guarded.client.get("/v1/squad", headers=headers).status_code == 401


@pytest.mark.parametrize("name", ["key", "api_key", "API-KEY", "access_token"])
def test_a_key_in_the_url_is_refused(
    guarded: Served, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = guarded.client.post(f"{CHAT}?{name}={KEY}", json={}, headers=bearer(KEY))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "key_in_query")
    assert KEY not in answer.text
    ours = [record.getMessage() for record in caplog.records if "aligners" in record.name]
    assert not any(KEY in message for message in ours)


def test_the_upstream_never_gets_a_key_of_the_server(guarded: Served) -> None:
    headers = {**bearer(KEY), "x-api-key": KEY, "cookie": "a=b"}
    answer = guarded.client.post(CHAT, json=chat_body("say: fine"), headers=headers)
    assert answer.status_code == 200
    sent = guarded.record.headers[-1]
    assert not {"authorization", "x-api-key", "cookie"} & sent.keys()


def test_the_upstream_gets_its_own_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSTREAM_KEY", "sk-upstream")
    with serve_squad(upstream_key_variable="UPSTREAM_KEY") as served:
        served.ask(headers=bearer("sk-of-the-client"))
        assert served.record.headers[-1]["authorization"] == "Bearer sk-upstream"


def test_without_keys_the_upstream_gets_that_of_the_client() -> None:
    with serve_squad() as served:
        served.ask(headers=bearer("sk-of-the-client"))
        assert served.record.headers[-1]["authorization"] == "Bearer sk-of-the-client"


def test_web_pages_of_other_sites_are_refused() -> None:
    with serve_squad() as served:
        answer = served.ask(headers={"origin": "https://evil.example"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "cross_origin")
        answer = served.ask(headers={"host": "evil.example"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "unknown_host")
        assert served.ask(headers={"origin": served.url}).status_code == 200
        assert served.record.begun == 1


def test_an_origin_that_is_no_url_is_another_site() -> None:
    with serve_squad() as served:
        answer = served.ask(headers={"origin": "http://["})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "cross_origin")


def test_keys_of_the_environment_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALIGNERS_KEYS", f" {KEY}, {OTHER}")
    with serve_squad() as served:
        assert served.client.get("/v1/squad").status_code == 401
        assert served.client.get("/v1/squad", headers=bearer(OTHER)).status_code == 200


def test_another_address_needs_keys() -> None:
    with pytest.raises(UserError, match=r"--host 0\.0\.0\.0.*--key-file"):
        build_app(ServeOptions(squad="x", host="0.0.0.0"))


@pytest.mark.parametrize(
    ("text", "message"),
    [("# none\n\n", "no key"), ("sk-\xe9\n", "character"), ("a b\n", "character")],
)
def test_a_key_file_that_cannot_be_used_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "keys.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=rf"keys\.txt: .*{message}"):
        build_app(ServeOptions(squad="x", key_file=path))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"upstream": "127.0.0.1:8080"}, "--upstream"),
        ({"upstream": "ftp://127.0.0.1/v1"}, "--upstream"),
        ({"upstream": "http://127.0.0.1:99999/v1"}, "99999/v1: no port 99999"),
        ({"upstream": "http://127.0.0.1:0/v1"}, "no port 0"),
        ({"upstream": "http://me:secret@127.0.0.1/v1"}, "--upstream"),
        ({"upstream": "http://127.0.0.1/v1", "upstream_key_variable": "NOT_SET"}, "NOT_SET"),
        ({"upstream": "http://127.0.0.1/v1", "upstream_key_variable": ""}, "variable ''"),
        ({"pass_through": ("/v1/chat/completions",)}, "--pass-through"),
        ({"pass_through": ("/v1//chat/completions",)}, "--pass-through"),
        ({"pass_through": ("embeddings",)}, "--pass-through"),
        ({"pass_through": ("/v1/../slots",)}, "--pass-through"),
        ({"pass_through": ("/v1/align",)}, "--pass-through"),
        ({"pass_through": ("/v1/",)}, "--pass-through"),
        ({"timeout": 0.0}, "--timeout"),
        ({"max_queue": -1}, "--max-queue"),
        ({"max_body_mb": math.inf}, "--max-body-mb inf"),
        ({"max_body_mb": math.nan}, "--max-body-mb nan"),
        ({"shutdown_seconds": math.inf}, "--shutdown-seconds inf"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(options: dict[str, object], named: str) -> None:
    with pytest.raises(UserError, match=named) as error:
        build_app(ServeOptions(squad="x", **options))
    assert "secret" not in str(error.value)
