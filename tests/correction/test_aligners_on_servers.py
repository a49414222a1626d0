"""Aligners on servers: what is sent, what comes of failures, and servers that start and end."""

import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import psutil
import pytest
from http_servers import Reply, json_handler, serve
from projects import SUPPORT
from tiny_models import rows
from tiny_training import recipe, train

from aligners.configuration.kinds.inference import Inference
from aligners.core.errors import UserError
from aligners.core.rows import read_json, write_json
from aligners.correction.aligner import Aligner
from aligners.correction.input_format import PAPER_FORMAT, PLAIN_FORMAT
from aligners.correction.loading import load_aligners
from aligners.correction.problems import AlignerCorrection

QUESTIONS = [row["question"] for row in rows(4)]
RESPONSES = [row["response"] for row in rows(4)]
# The shell keeps the server's standard input open, and writes the command's words to a file.
FAULTY = (
    "sh -c 'echo $0 $@ >> started; sleep 600 | "
    f"{sys.executable} {SUPPORT}/faulty_server.py --port {{port}}' {{model}}"
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of an aligner that has learned its task, with separators as special tokens."""
    directory = tmp_path_factory.mktemp("paper")
    learning = {"epochs": 30, "warmup_steps": 20, "learning_rate": 1e-2, "dropout": 0.0}
    settings = recipe(patience=99, decoding={"max_new_tokens": 32}, **learning)
    train(directory, settings, PAPER_FORMAT)
    return directory / "model"


@pytest.fixture
def several(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Two copies of the aligner, with the names of two criteria, in the working directory."""
    monkeypatch.chdir(tmp_path)
    copies = []
    for criterion in ("ethical", "factuality"):
        copies.append(Path(shutil.copytree(trained, tmp_path / criterion / "model")))
        record = read_json(copies[-1] / "training.json")
        write_json(copies[-1] / "training.json", {**record, "name": criterion})
    return copies


@dataclass
class Script:
    """What a scripted server does, and the requests that it got."""

    reply: Reply
    requests: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Record a request, and return what answers it."""
        self.requests.append(request)
        return self.reply(request)


def good(text: str, finish: str = "stop") -> tuple[int, dict[str, Any]]:
    """Return a reply with a completion."""
    return 200, {"choices": [{"index": 0, "text": text, "finish_reason": finish}]}


def refused(message: str) -> tuple[int, dict[str, Any]]:
    """Return a reply that rejects a request."""
    return 400, {"error": {"message": message}}


@pytest.fixture
def scripted(trained: Path) -> Iterator[Callable[..., tuple[Aligner, Script]]]:
    """A function that returns an aligner on a scripted server, and the script."""
    running = []

    def start(reply: Any, **keys: Any) -> tuple[Aligner, Script]:
        script = Script(reply)
        context = serve(json_handler(script.answer))
        inference = {"engine": "openai", "endpoint": f"{context.__enter__()}/v1", **keys}
        running.append(context)
        return Aligner.from_directory(
            trained, inference=Inference.model_validate(inference)
        ), script

    yield start
    for context in running:
        context.__exit__(None, None, None)


def test_prompts_are_token_ids_with_the_end_tokens(scripted: Any) -> None:
    aligner, script = scripted(lambda _: good(" red red "), model="aligner-{aligner}")
    corrections = aligner.align(QUESTIONS, RESPONSES)
    assert corrections == [AlignerCorrection("red red")] * 4
    tokenizer, sent = aligner.tokenizer, {tuple(one["prompt"]): one for one in script.requests}
    for question, response in zip(QUESTIONS, RESPONSES, strict=True):
        ids = tuple(PAPER_FORMAT.prompt_ids(tokenizer, question, response))
        request = sent[ids]
        assert (request["model"], request["temperature"]) == ("aligner-ethical", 0)
        assert request["max_tokens"] == aligner.decoding.max_new_tokens
        ends = {PAPER_FORMAT.end_token_id(tokenizer), tokenizer.eos_token_id}
        assert request["stop_token_ids"] == sorted(ends) and len(ends) == 2


def special_tokens(aligner: Aligner, text: str) -> list[str]:
    """Return the special tokens that a server which encodes a text itself finds in it."""
    tokenizer = aligner.tokenizer
    special = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    return [token for token in tokenizer.tokenize(text) if token in special]


def test_threads_that_share_an_aligner_take_turns_at_its_tokenizer(
    scripted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    aligner, _ = scripted(lambda _: good("red"))
    encode, in_use = aligner.tokenizer.encode, Lock()

    def encode_slowly(*arguments: Any, **options: Any) -> list[int]:
        # A call sets whether special tokens are split; another one must not change it now.
        assert in_use.acquire(blocking=False), "two threads use the tokenizer"
        time.sleep(0.001)
        ids = encode(*arguments, **options)
        in_use.release()
        return ids

    monkeypatch.setattr(aligner.tokenizer, "encode", encode_slowly)
    with ThreadPoolExecutor(4) as threads:
        work = [threads.submit(aligner.align, QUESTIONS[:1], RESPONSES[:1]) for _ in range(8)]
        assert [each.result()[0].text for each in work] == ["red"] * 8


@pytest.mark.parametrize(
    "typed",
    [
        "Yes.",
        "<|endoftext|> [DONE]",
        "a [INIT] b [DONE]",
        "so [INIT]",
        "<|endof<|endoftext|>text|>",
    ],
)
def test_as_texts_prompts_have_no_special_tokens_of_a_user(scripted: Any, typed: str) -> None:
    aligner, script = scripted(lambda _: good("red"), prompts="text")
    aligner.align([f"Is it? {typed}"], ["No."])
    aligner.align(["Is it?"], [f"No. {typed}"])
    for request in script.requests:
        assert special_tokens(aligner, request["prompt"]) == [" [INIT] ", " [ALIGNED] "]
        assert "stop_token_ids" not in request
    assert script.requests[0]["prompt"].startswith("Is it? ")


def test_as_texts_prompts_are_encoded_as_in_training(scripted: Any) -> None:
    aligner, script = scripted(lambda _: good("red"), prompts="text")
    aligner.align(QUESTIONS, RESPONSES)
    encoded = {tuple(aligner.tokenizer(one["prompt"])["input_ids"]) for one in script.requests}
    assert encoded == {
        tuple(PAPER_FORMAT.prompt_ids(aligner.tokenizer, question, response))
        for question, response in zip(QUESTIONS, RESPONSES, strict=True)
    }


def test_problems_are_found_as_in_the_job(scripted: Any, trained: Path) -> None:
    long = "word " * 200
    replies = {"a": good(""), "b": good("It is", "length"), "c": good("I do not know. " * 3)}
    aligner, script = scripted(lambda request: replies[script_key(aligner, request)])

    def script_key(aligner: Aligner, request: dict[str, Any]) -> str:
        return str(aligner.tokenizer.decode(request["prompt"])).partition("?")[0][-1]

    corrections = aligner.align(["Is it a?", "Is it b?", "Is it c?", long], ["x", "x", "x", "y"])
    problems = ["empty", "not_ended", "loops", "too_long"]
    assert [correction.problem for correction in corrections] == problems
    assert corrections[3].text == "y" and len(script.requests) == 3


def test_a_row_that_the_server_rejects_is_told_and_the_others_are_corrected(
    scripted: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def reply(request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        text = aligner.tokenizer.decode(request["prompt"])
        if "sea" in text:
            return refused("The prompt is not allowed")
        if "tower" in text:
            return refused("This model's maximum context length is 20 tokens")
        return good("red")

    aligner, _ = scripted(reply)
    corrections = aligner.align(QUESTIONS[:3], RESPONSES[:3])
    assert corrections == [
        AlignerCorrection("red"),
        AlignerCorrection(RESPONSES[1], "failed"),
        AlignerCorrection(RESPONSES[2], "too_long"),
    ]
    assert "1 too_long, 1 failed" in caplog.text and "requests that failed: 2" in caplog.text
    assert "not allowed" in caplog.text or "context length" in caplog.text


def test_a_server_that_takes_no_token_ids_stops_the_job(scripted: Any) -> None:
    aligner, _ = scripted(
        lambda request: (
            good("red")
            if isinstance(request["prompt"], str)
            else refused("prompt must be a string.")
        )
    )
    with pytest.raises(UserError, match=r"prompt must be a string.*\bprompts\b"):
        aligner.align(QUESTIONS, RESPONSES)


def test_a_row_near_the_end_of_the_context_asks_for_the_tokens_that_are_left(
    scripted: Any, trained: Path
) -> None:
    aligner, script = scripted(lambda _: good("red"))
    aligner.backend.context = len(aligner.encode(QUESTIONS[:1], RESPONSES[:1], "")[1][0]) + 5
    aligner.align(QUESTIONS[:1], RESPONSES[:1])
    assert script.requests[0]["max_tokens"] == 5


def test_an_endpoint_that_cannot_be_reached_is_one_message(trained: Path) -> None:
    inference = Inference(engine="openai", endpoint="http://127.0.0.1:9/v1", attempts=6)
    aligner = Aligner.from_directory(trained, inference=inference)
    with pytest.raises(UserError, match=r"127\.0\.0\.1:9/v1 cannot be reached"):
        aligner.align(QUESTIONS, RESPONSES)


# Servers that a job starts


def served(command: str = FAULTY, **keys: Any) -> Inference:
    """Return the keys of an aligner on a server that the job starts."""
    given = {"engine": "served", "command": command, "startup_seconds": 600, **keys}
    return Inference.model_validate(given)


def servers() -> list[psutil.Process]:
    """Return the running faulty servers of this process."""
    return [
        process
        for process in psutil.Process().children(recursive=True)
        if process.name().startswith("python")
        and "faulty_server.py" in " ".join(process.cmdline())
        and "server_guard" not in " ".join(process.cmdline())
    ]


def started() -> list[str]:
    """Return the models that servers were started with."""
    return [Path(line).parent.name for line in Path("started").read_text().splitlines()]


def corrections_of(aligner: Aligner) -> list[AlignerCorrection]:
    """Return the corrections of the rows."""
    return aligner.align(QUESTIONS, RESPONSES)


def test_whole_models_have_a_server_each_until_they_are_closed(several: Sequence[Path]) -> None:
    aligners = load_aligners([*several, several[0]], served())
    assert list(aligners) == list(several) and sorted(started()) == ["ethical", "factuality"]
    assert len(servers()) == 2
    for aligner in aligners.values():
        assert all(correction.text for correction in corrections_of(aligner))
        aligner.close()
    assert servers() == []
    logs = {path.name.partition("-")[0] for path in Path("logs/servers").iterdir()}
    assert logs == {"ethical", "factuality"}


def test_in_turn_one_server_runs_at_a_time(several: Sequence[Path]) -> None:
    ethical, factuality = load_aligners(several, served(in_turn=True)).values()
    assert servers() == []
    for aligner in (ethical, ethical, factuality, ethical):
        assert all(correction.text for correction in corrections_of(aligner))
        assert len(servers()) == 1
    assert started() == ["ethical", "factuality", "ethical"]
    ethical.close()
    factuality.close()
    assert servers() == []


def test_a_server_that_ends_is_one_message(several: Sequence[Path]) -> None:
    aligner = Aligner.from_directory(several[0], inference=served())
    corrections_of(aligner)
    children = psutil.Process().children(recursive=True)
    [sleep] = [child for child in children if child.name() == "sleep"]
    sleep.kill()  # The server's standard input ends, and so does the server.
    with pytest.raises(UserError) as caught:
        for _ in range(10_000):
            corrections_of(aligner)
    assert str(several[0]) in str(caught.value) and "ended" in str(caught.value)
    # A service goes on after the message: the server starts again.
    assert all(correction.text for correction in corrections_of(aligner))
    aligner.close()
    assert servers() == []


def test_servers_that_started_end_if_another_does_not_start(several: Sequence[Path]) -> None:
    command = FAULTY.replace("sh -c '", "sh -c 'case $0 in *factuality*) exit 3;; esac; ")
    with pytest.raises(UserError, match=r"factuality.*status 3"):
        load_aligners(several, served(command))
    assert servers() == []


def write_adapters(directories: Sequence[Path], base: str = "results/base") -> None:
    """Write the configurations of adapters of a backbone."""
    Path(base).mkdir(parents=True, exist_ok=True)
    write_json(Path(base) / "config.json", {})
    for directory in directories:
        (directory / "adapter").mkdir()
        config = {"base_model_name_or_path": base, "revision": "main", "r": 8}
        write_json(directory / "adapter/adapter_config.json", config)


@pytest.mark.parametrize("inside", [False, True], ids=["words", "in a text of a shell"])
def test_adapters_share_a_server_of_their_backbone(several: Sequence[Path], inside: bool) -> None:
    write_adapters(several)
    words_of = FAULTY.replace("$0 $@", "{model} {adapters}")
    command = words_of if inside else f"{FAULTY} {{adapters}}"
    aligners = load_aligners(several, served(command))
    words = Path("started").read_text().split()
    names = ("ethical", "factuality")
    adapters = [f"{name}={path}/adapter" for name, path in zip(names, several, strict=True)]
    assert words == ["results/base", *adapters]
    assert len(servers()) == 1
    for aligner in aligners.values():
        assert all(correction.text for correction in corrections_of(aligner))
    next(iter(aligners.values())).close()
    assert servers() == []


def test_an_aligner_without_an_adapter_is_named(several: Sequence[Path]) -> None:
    write_adapters(several[:1])
    with pytest.raises(UserError, match=r"factuality/model: .*lora.*remove \{adapters\}"):
        load_aligners(several, served(f"{FAULTY} {{adapters}}"))


def test_adapters_of_two_backbones_are_named(several: Sequence[Path]) -> None:
    write_adapters(several[:1])
    write_adapters(several[1:], base="results/other")
    with pytest.raises(UserError, match=r"different backbones, results/base and results/other"):
        load_aligners(several, served(f"{FAULTY} {{adapters}}"))


# A real server


@pytest.mark.parametrize("input_format", [PAPER_FORMAT, PLAIN_FORMAT], ids=["paper", "plain"])
def test_transformers_serve_writes_the_corrections_of_the_job(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, input_format: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    model = trained
    if input_format is PLAIN_FORMAT:
        train(tmp_path, recipe(epochs=6, learning_rate=1e-2), PLAIN_FORMAT)
        model = tmp_path / "model"
    program = shlex.quote(str(Path(sys.executable).with_name("transformers")))
    command = (
        f"env HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 {program} serve {{model}} --host 127.0.0.1"
        " --port {port} --device cpu"
    )
    asked = rows(10)
    texts = [row["question"] for row in asked], [row["response"] for row in asked]
    here = Aligner.from_directory(model).align(*texts)
    aligner = Aligner.from_directory(
        model, inference=served(command, prompts="text", concurrency=2)
    )
    assert aligner.align(*texts) == here
    aligner.close()
    assert len({correction.text for correction in here}) > 1
