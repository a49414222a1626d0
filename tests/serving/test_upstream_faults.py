"""The upstream is down, slow, closes in the middle, or answers nonsense."""

import pytest
from served_squads import Served, serve_squad


@pytest.fixture(scope="module")
def served() -> Served:
    with serve_squad() as running:
        yield running


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_errors_of_the_upstream_pass_with_status_and_body(served: Served, status: int) -> None:
    answer = served.ask(fault=str(status))
    assert answer.status_code == status
    assert answer.json()["error"] == {
        "message": "the upstream says no",
        "type": "some_error",
        "param": None,
        "code": "no",
    }
    assert answer.headers["retry-after"] == "7"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("html", "upstream_nonsense"),
        ("no_choices", "upstream_nonsense"),
        ("empty_choices", "upstream_nonsense"),
        ("list", "upstream_nonsense"),
        ("redirect", "upstream_nonsense"),
        ("closes", "upstream_closed"),
    ],
)
def test_nonsense_of_the_upstream_is_a_bad_gateway(served: Served, fault: str, code: str) -> None:
    answer = served.ask(fault=fault)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, code)
    assert served.metric(f'aligners_upstream_errors_total{{code="{code}"}}') > 0


def test_an_error_with_the_status_of_a_success_is_an_error(served: Served) -> None:
    answer = served.ask(fault="error_200")
    assert answer.status_code == 502
    assert answer.json()["error"]["message"] == "the upstream says no"


def test_an_upstream_that_is_down_is_told() -> None:
    with serve_squad(upstream="http://127.0.0.1:9/v1") as served:
        for stream in (False, True):
            answer = served.ask(stream=stream)
            assert answer.status_code == 502
            assert answer.json()["error"]["code"] == "upstream_unreachable"


def test_a_slow_upstream_is_a_timeout() -> None:
    with serve_squad(upstream_timeout=0.4) as served:
        for fault, stream in (("slow", False), ("slow", True), ("hangs", True)):
            answer = served.ask(fault=fault, stream=stream)
            assert (answer.status_code, answer.json()["error"]["code"]) == (504, "upstream_timeout")


def test_an_answer_that_is_too_large_is_told() -> None:
    with serve_squad(max_body_mb=0.01) as served:
        question = "say: " + 3000 * "long "
        for stream in (False, True):
            answer = served.ask("say: " + 9000 * "x", n=2, stream=stream)
            assert answer.status_code == 502
            assert answer.json()["error"]["code"] == "upstream_too_large"
        assert served.ask(question).status_code == 413


def test_without_an_upstream_there_are_no_chat_completions() -> None:
    with serve_squad(upstream=None) as served:
        answer = served.ask()
        assert (answer.status_code, answer.json()["error"]["code"]) == (501, "no_upstream")
        assert served.client.get("/v1/models").status_code == 501
        assert served.client.get("/v1/squad").json()["upstream"] is False
        body = {"question": "what", "response": "bad"}
        assert served.client.post("/v1/align", json=body).json()["aligned_response"] == "good"


def test_a_path_passes_the_squad_by_only_if_it_is_named() -> None:
    with serve_squad(pass_through=("/v1/embeddings",)) as served:
        body = {"input": "text"}
        assert served.client.post("/v1/embeddings", json=body).json()["got"] == body
        for path in ("/v1/completions", "/v1/responses", "/v1/embeddings/", "/v1/embeddings/x"):
            answer = served.client.post(path, json=body)
            assert (answer.status_code, answer.json()["error"]["code"]) == (501, "path_not_served")
