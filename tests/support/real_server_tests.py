"""Tests of the engine `served` on a real server with a real model, SmolLM2.

A module that imports them has a fixture `keys`, the recipe of a chat LLM. The context of its server
is at most 2,048 tokens.
"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import generate_responses
import psutil
import pytest
import yaml
from projects import environment
from served_jobs import check_that_all_end, running

from aligners.configuration import recipes
from aligners.configuration.kinds.llms import LLMRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.completions import Completion, Decoding, Engine, Request
from aligners.core.errors import UserError
from aligners.core.rows import read_json, read_rows, write_rows
from aligners.judging.llm_judge import LLMJudge
from aligners.llms.engines import load_engine
from aligners.llms.generator import Generator, llm_prompt

QUESTIONS = [
    "What is the capital of France?",
    "Which planet is the largest one?",
    "How do I remove a coffee stain from a shirt?",
    "Explain in one sentence what a credit score measures.",
    "Name a free program for editing photos.",
    "Why is the sky blue?",
    "What should I pack for a week in the mountains?",
    "How many days does a leap year have?",
]
ROWS = [{"id": f"{number:016x}", "question": text} for number, text in enumerate(QUESTIONS)]
OUTPUT = Path("results/responses/questions/real/0.jsonl")
LEDGER = Path("results/.working/results+responses+questions+real/0.jsonl")
TOKENS = 24
NO_SERVER = "false {port}"
LoadOnce = Callable[[LLMRecipe], Engine]
WriteLLM = Callable[..., None]


@pytest.fixture(autouse=True)
def python_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the Python of the tests first on PATH, as the workflow does for its jobs."""
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")


@pytest.fixture(scope="module")
def load_once() -> LoadOnce:
    """Load an engine once for chat and once for plain text, since a server starts slowly."""
    engines: dict[bool, Engine] = {}

    def load(recipe: LLMRecipe) -> Engine:
        if recipe.chat not in engines:
            engines[recipe.chat] = load_engine(recipe)
        return engines[recipe.chat]

    return load


@pytest.fixture
def write_llm(
    keys: dict[str, Any], project: Path, monkeypatch: pytest.MonkeyPatch, load_once: LoadOnce
) -> WriteLLM:
    """Return a function that writes the recipe `real` with other values of some keys."""
    monkeypatch.setattr("aligners.llms.generator.load_engine", load_once)

    def write(**others: Any) -> None:
        recipe = {**keys, "responses": {"max_new_tokens": TOKENS}, **others}
        (project / "config/llms/real.yaml").write_text(yaml.safe_dump(recipe))
        recipes.read_recipe.cache_clear()

    write()
    write_rows(project / "questions.jsonl", ROWS)
    return write


def respond() -> list[dict[str, Any]]:
    """Return the responses to the questions."""
    questions = Path("questions.jsonl")
    generate_responses.main(llm="real", inputs=questions, shard=0, shards=1, seed=0, output=OUTPUT)
    return read_rows(OUTPUT)


def test_a_chat_llm_responds_and_a_second_run_starts_no_server(
    write_llm: WriteLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    responses = respond()
    assert [row["id"] for row in responses] == [row["id"] for row in ROWS]
    assert "Jupiter" in responses[1]["response"]
    usage = read_json(OUTPUT.with_suffix(".usage.json"))
    assert usage["completions"] == len(ROWS)
    assert len(ROWS) < usage["tokens_out"] <= len(ROWS) * TOKENS
    content = OUTPUT.read_bytes()
    write_llm(command=NO_SERVER)
    monkeypatch.setattr("aligners.llms.generator.load_engine", load_engine)
    assert respond() == responses and OUTPUT.read_bytes() == content


def test_a_base_llm_continues_a_text(write_llm: WriteLLM) -> None:
    write_llm(chat=False, responses={"max_new_tokens": TOKENS, "stop": ["\n"]})
    responses = respond()
    texts = [row["response"] for row in responses]
    # SmolLM2 is a chat LLM, and often ends a plain text at once.
    assert len(texts) == len(ROWS) and any(texts)
    assert not any("\n" in text for text in texts)


def test_a_prompt_that_is_too_long_is_the_failure_of_its_row(write_llm: WriteLLM) -> None:
    generator = Generator("real", OUTPUT)
    texts = {**{row["id"]: row["question"] for row in ROWS[:3]}, "f" * 16: "word " * 4000}
    requests = [
        Request(number, llm_prompt(generator.recipe, text)) for number, text in texts.items()
    ]
    with pytest.raises(UserError, match=r"1 of 4 rows .*\(1 prompt_too_long\).*ffff.*context"):
        generator.complete_all(requests, Decoding(TOKENS), "test")
    assert len(LEDGER.read_text().splitlines()) == 1 + 3  # the header, and the other rows


def write_judge(project: Path, prompt: str, **labels: str) -> None:
    """Write a judge with log-probabilities."""
    (project / "prompt.txt").write_text(prompt)
    judge = {"llm": "real", "prompt": "prompt.txt", "labels": labels, "most_unusable": 0.5}
    (project / "config/judges/real.yaml").write_text(yaml.safe_dump(judge))
    recipes.read_recipe.cache_clear()


SHOWN = [(row["question"], f"Answer {n}.", "I do not know.") for n, row in enumerate(ROWS)]


def test_parameters_that_the_server_uses_pass_the_check(write_llm: WriteLLM) -> None:
    write_llm()
    decoding = Decoding(TOKENS, 0.7, repetition_penalty=1.1, top_p=0.9, top_k=20)
    request = Request("0" * 16, QUESTIONS[0])
    [completion] = Generator("real", OUTPUT).complete_all([request], decoding, "").values()
    assert isinstance(completion, Completion) and completion.text


def test_a_penalty_that_the_server_ignores_stops_the_job(write_llm: WriteLLM) -> None:
    write_llm()
    generator = Generator("real", OUTPUT)
    other = {"repetition_penalty": "repeat_penalty", "repeat_penalty": "repetition_penalty"}
    ignored = other[generator.recipe.penalty_parameter]  # type: ignore[attr-defined]
    write_llm(penalty_parameter=ignored)
    with pytest.raises(UserError, match=f"ignores the parameter {ignored}"):
        engine = load_engine(load_recipe(LLMRecipe, "real"))
        list(engine([Request("0" * 16, QUESTIONS[0])], Decoding(TOKENS, repetition_penalty=1.1)))


def test_a_verdict_is_read_from_log_probabilities(write_llm: WriteLLM, project: Path) -> None:
    """SmolLM2 is no judge, but it does write one of two words where nothing else can follow."""
    write_judge(
        project,
        "True or false: {output_1} {output_2} {instruction} True or false?",
        first="True",
        second="False",
    )
    verdicts = LLMJudge("real", OUTPUT).judge(SHOWN)
    preferences = [verdict.preference for verdict in verdicts.values()]
    read = [preference for preference in preferences if preference is not None]
    assert len(read) >= len(SHOWN) / 2
    assert all(0 < preference < 1 for preference in read) and len(set(read)) > 1


def test_replies_that_are_no_verdicts_stop_the_judge(write_llm: WriteLLM, project: Path) -> None:
    write_judge(
        project,
        "{instruction} {output_1} {output_2} Write about the sea.",
        first="m",
        second="M",
    )
    with pytest.raises(UserError, match=r"8 of 8 .*config/judges/real\.yaml"):
        LLMJudge("real", OUTPUT).judge(SHOWN)


def start(project: Path) -> subprocess.Popen[str]:
    """Start the job that generates the responses."""
    options = ["--inputs", "questions.jsonl", "--shard", "0", "--shards", "1", "--seed", "0"]
    program = "workflow/scripts/generate_responses.py"
    return subprocess.Popen(
        [sys.executable, program, "--llm", "real", *options, "--output", str(OUTPUT)],
        cwd=project,
        env={**environment(project), "JOB_OF_TEST": str(project)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_a_completion(job: subprocess.Popen[str]) -> None:
    """Wait until the ledger has a completion after its header."""
    deadline = time.monotonic() + 900
    while not LEDGER.exists() or LEDGER.read_bytes().count(b"\n") < 2:
        assert job.poll() is None, job.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def check_the_rest_is_generated(project: Path, kept: list[bytes]) -> None:
    """Check that the next job sends only the requests that have no completion."""
    missing = len(ROWS) - len(kept)
    job = start(project)
    _, messages = job.communicate(timeout=900)
    assert job.returncode == 0, messages
    assert f"{missing} of {len(ROWS)} completions are missing" in messages
    lines = LEDGER.read_bytes().splitlines()[1:]
    assert lines[: len(kept)] == kept and len(lines) == len(ROWS)
    texts = {json.loads(line)["id"]: json.loads(line)["text"] for line in lines}
    for row in read_rows(OUTPUT):
        assert row["response"] == texts[row["id"]].strip()


def test_a_server_that_is_killed_stops_the_job(write_llm: WriteLLM, project: Path) -> None:
    write_llm(concurrency=1)
    job = start(project)
    wait_for_a_completion(job)
    [guard] = psutil.Process(job.pid).children()
    [server] = guard.children()
    server.kill()
    _, messages = job.communicate(timeout=900)
    assert job.returncode == 1
    kept = LEDGER.read_bytes().splitlines()[1:]
    assert 1 <= len(kept) < len(ROWS)
    [message] = [line for line in messages.splitlines() if line.startswith("error: ")]
    assert "the server of" in message and "SIGKILL" in message
    assert "Traceback" not in messages
    check_that_all_end(project)
    check_the_rest_is_generated(project, kept)


def test_a_killed_job_ends_its_server(write_llm: WriteLLM, project: Path) -> None:
    write_llm(concurrency=1)
    job = start(project)
    wait_for_a_completion(job)
    assert len(running(project)) >= 3  # the job, the guard and the server
    job.send_signal(signal.SIGKILL)
    job.communicate(timeout=900)
    check_that_all_end(project)
    kept = LEDGER.read_bytes().rpartition(b"\n")[0].splitlines()[1:]
    assert 1 <= len(kept) < len(ROWS)
    check_the_rest_is_generated(project, kept)
