"""The squad fails, is slow, or its process ends: every request is answered in the chosen mode."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx2
import pytest
from running_apps import wait_for
from scripted_squad import COMMAND
from served_squads import Served, chat_body, serve_squad

from aligners.serving.models.client import FIRST_DELAY

REFUSE = {"x-aligners-on-error": "refuse"}
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serve_squad(timeout=1.0) as running:
        yield running


def ready(served: Served) -> None:
    """Wait until the process answers; one that hangs is killed first."""
    wait_for(lambda: served.service.squad.is_ready and not served.service.squad.pending)


@pytest.mark.parametrize(
    ("response", "cause"),
    [
        ("bad, and cuda memory is short", "squad_error"),
        ("bad, and nonsense squad", "squad_error"),
        ("bad, and kill the process", "model_process"),
        ("bad, and hang the process", "timeout"),
        ("bad, and unanswered squad", "timeout"),
        ("bad, and late squad", "overload"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_the_original_response_is_given_and_counted(
    served: Served, response: str, cause: str, stream: bool
) -> None:
    ready(served)
    line = f'aligners_failures_total{{cause="{cause}",mode="original"}}'
    before = served.metric(line)
    answer = served.ask(f"say: {response}", stream=stream)
    assert answer.status_code == 200
    assert answer.headers["x-aligners-action"] == "failed"
    assert answer.headers["x-aligners-reason"] == cause
    assert "bad, and" in answer.text
    assert served.metric(line) == before + 1


@pytest.mark.parametrize(
    ("response", "cause"),
    [("bad, and cuda memory is short", "squad_error"), ("kill the process", "model_process")],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_request_can_ask_for_no_answer_instead(
    served: Served, response: str, cause: str, stream: bool
) -> None:
    ready(served)
    answer = served.ask(f"say: {response}", stream=stream, headers=REFUSE)
    assert answer.status_code == 503
    assert answer.headers["x-aligners-action"] == "refused"
    error = answer.json()["error"]
    assert error["code"] == cause
    assert "bad, and" not in answer.text
    if cause == "squad_error":
        assert "criterion ethical" in error["message"]
        # What failed is for the log: it can name servers, keys and files.
        assert "out of memory" not in answer.text


def test_a_request_cannot_make_a_strict_server_lax() -> None:
    with serve_squad(on_error="refuse") as served:
        assert served.ask("say: cuda memory").status_code == 503
        answer = served.ask(headers={"x-aligners-on-error": "original"})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "x-aligners-on-error")


def test_one_failed_choice_refuses_the_whole_answer(served: Served) -> None:
    ready(served)
    answer = served.ask("say: cuda memory", n=2, headers=REFUSE)
    assert answer.status_code == 503


def test_the_process_is_started_again(served: Served) -> None:
    ready(served)
    restarts = served.metric("aligners_model_process_restarts_total")
    served.ask("say: kill the process")
    ready(served)
    assert served.ask("say: bad").json()["choices"][0]["message"]["content"] == "good"
    assert served.metric("aligners_model_process_restarts_total") == restarts + 1


def test_all_that_wait_are_answered_when_the_process_is_killed() -> None:
    with serve_squad() as served, ThreadPoolExecutor(20) as threads:
        answers = [threads.submit(served.ask, "say: bad and hang the process") for _ in range(20)]
        wait_for(lambda: len(served.service.squad.pending) == 20)
        assert served.service.squad.process is not None
        os.kill(served.service.squad.process.pid, signal.SIGKILL)
        for answer in answers:
            assert answer.result(30).headers["x-aligners-reason"] == "model_process"


def test_a_process_that_answers_nothing_is_killed() -> None:
    with serve_squad(timeout=0.5) as served:
        served.ask("say: hang the process")
        wait_for(lambda: served.metric("aligners_model_process_restarts_total") == 1)
        ready(served)
        assert served.ask("say: bad").headers["x-aligners-action"] == "corrected"


def test_a_process_that_hangs_is_killed_also_if_all_clients_leave() -> None:
    with serve_squad(timeout=1.0) as served:
        row = {"question": "q", "response": "hang the process"}
        for _ in range(200):
            with suppress(httpx2.ReadTimeout):
                httpx2.post(f"{served.url}/v1/align", json=row, timeout=0.2)
            if served.metric("aligners_model_process_restarts_total"):
                break
        else:
            raise AssertionError("it still runs")


def test_a_process_that_waits_for_servers_of_aligners_is_not_killed() -> None:
    with serve_squad(timeout=0.5) as served:
        for _ in range(4):
            answer = served.ask("say: unanswered squad")
            assert answer.headers["x-aligners-reason"] == "timeout"
        # Rows that nobody waits for any more are taken back.
        wait_for(lambda: not served.service.squad.pending)
        assert served.ask("say: bad").headers["x-aligners-action"] == "corrected"
        assert served.metric("aligners_model_process_restarts_total") == 0


def test_before_the_squad_is_loaded_the_server_lives_and_is_not_ready() -> None:
    with serve_squad((*COMMAND, "3600"), wait=False) as served:
        assert served.client.get("/health").status_code == 200
        assert served.client.get("/ready").status_code == 503
        answer = served.ask()
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "not_ready")
        assert answer.headers["retry-after"]
        assert served.record.begun == 0
        assert served.client.get("/v1/squad").status_code == 503


def test_ready_asks_only_the_squad(served: Served) -> None:
    ready(served)
    begun = served.record.begun
    assert served.client.get("/ready").json() == {"ready": True}
    assert served.record.begun == begun


def test_a_full_queue_is_told_before_the_upstream_is_asked() -> None:
    with serve_squad(max_queue=2) as served, ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(served.ask, "say: hang the process") for _ in range(2)]
        wait_for(lambda: len(served.service.squad.pending) == 2)
        begun = served.record.begun
        answer = served.ask()
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "overloaded")
        assert int(answer.headers["retry-after"]) >= 1
        assert served.record.begun == begun
        assert served.metric("aligners_queue_length") == 2
        assert served.service.squad.process is not None
        os.kill(served.service.squad.process.pid, signal.SIGKILL)
        for each in waiting:
            each.result(30)


def test_each_request_that_is_let_in_has_room_when_its_response_is_there() -> None:
    with serve_squad(max_queue=2, delay=0.5) as served, ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(served.ask, ["say: bad"] * 20))
        codes = Counter(answer.status_code for answer in answers)
        assert codes[200] >= 2 and codes[429] == 20 - codes[200] > 0
        assert {answer.headers.get("x-aligners-action") for answer in answers} <= {
            "corrected",
            None,
        }
        # All room is free again, also after an error of the upstream and a client that left.
        served.ask(fault="500")
        served.ask(fault="closes", stream=True)
        with pytest.raises(httpx2.ReadTimeout):
            body = chat_body("say: bad", fault="slow", stream=True)
            httpx2.post(f"{served.url}{CHAT}", json=body, timeout=0.5)
        wait_for(lambda: served.service.taken == 0)


def test_more_choices_than_can_wait_are_told_before_the_upstream_is_asked() -> None:
    with serve_squad(max_queue=2) as served:
        for stream in (False, True):
            answer = served.ask(n=3, stream=stream)
            assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_many_rows")
        assert served.record.begun == 0


def test_responses_that_nobody_waits_for_any_more_take_room() -> None:
    with serve_squad(max_queue=1) as served:
        row = {"question": "q", "response": "hang the process"}
        with pytest.raises(httpx2.ReadTimeout):
            httpx2.post(f"{served.url}/v1/align", json=row, timeout=0.2)
        wait_for(lambda: served.service.squad.overdue() == 1 and served.service.taken == 0)
        answer = served.ask()
        assert answer.status_code == 429
        assert "has 1 of at most 1 responses" in answer.json()["error"]["message"]
        assert served.service.squad.process is not None
        os.kill(served.service.squad.process.pid, signal.SIGKILL)
        wait_for(lambda: not served.service.squad.pending)
        ready(served)
        assert served.ask().headers["x-aligners-action"] == "unchanged"


def test_too_many_requests_at_once_are_told() -> None:
    with serve_squad(max_requests=1) as served:
        thread = threading.Thread(target=served.ask, args=("say: slow squad",))
        thread.start()
        wait_for(lambda: served.service.squad.pending)
        answer = served.ask()
        thread.join()
        assert answer.status_code == 429
        assert answer.headers["retry-after"]


def test_a_client_that_leaves_cancels_the_request_to_the_upstream(served: Served) -> None:
    for stream in (False, True):
        cancelled = served.record.cancelled
        with pytest.raises(httpx2.ReadTimeout):
            body = chat_body("say: bad", fault="slow", stream=stream)
            httpx2.post(f"{served.url}{CHAT}", json=body, timeout=0.5)
        wait_for(lambda before=cancelled: served.record.cancelled == before + 1)


def test_a_client_that_leaves_while_the_squad_works_is_forgotten(served: Served) -> None:
    ready(served)
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.post(f"{served.url}{CHAT}", json=chat_body("say: slow squad"), timeout=0.2)
    wait_for(lambda: not served.service.squad.pending)
    assert served.ask().status_code == 200


def test_delays_between_restarts_grow_while_nothing_is_answered() -> None:
    with serve_squad() as served:
        seconds = []
        for _ in range(3):
            ready(served)
            begun = time.monotonic()
            served.ask("say: kill the process")
            ready(served)
            seconds.append(time.monotonic() - begun)
        assert seconds[2] >= 4 * FIRST_DELAY
