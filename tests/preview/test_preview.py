"""`aligners preview`: the first rows of each stage, the prompts as sent, and the errors."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import generate_responses
import generate_topics
import pytest
from fake_engine import FakeEngine
from pages import blocks
from yaml_edits import set_keys

from aligners.cli.main import main
from aligners.cli.preview import print_preview
from aligners.configuration import results
from aligners.configuration.kinds.datasets import DatasetRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.completions import Completion, Decoding, Failure, Request
from aligners.core.errors import UserError
from aligners.core.rows import read_rows, write_rows
from aligners.estimate.stages import load_experiment
from aligners.evaluation.test_inputs import import_dataset
from aligners.preview import asking
from aligners.preview.asking import Ask, Batch, LLMProcesses, complete
from aligners.preview.stages import preview_stages

DEMO, REAL = Path("config/demo.yaml"), Path("config/real.yaml")
TEACHER, BASE, CHAT = "closed-world-teacher", "closed-world-base", "closed-world-finetuned"
WIDTH = 110
# The token limits of the stages, by which tests recognise their requests.
TOPICS, QUESTIONS, PAIRS, RESPONSES = 300, 1000, 1500, 512


@contextmanager
def same_process() -> Iterator[Ask]:
    """In place of a process for each LLM."""
    asking.loaded.clear()
    yield complete


@pytest.fixture
def demo(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demo's configuration without a judge, whose server takes seconds to start."""
    monkeypatch.setattr("aligners.cli.preview.separate_processes", same_process)
    set_keys(DEMO, judges=[])
    return DEMO


def shown(capsys: pytest.CaptureFixture[str], path: Path, rows: int = 2, **options: str) -> str:
    """Run the command, and return what it prints."""
    print_preview(path, options.get("criterion"), rows)
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out


def words(text: str) -> str:
    """Return a text with one blank between its words, as wrapped texts are compared."""
    return " ".join(text.split())


def titles(text: str) -> list[tuple[str, str]]:
    """Return the stages that were shown, with their LLMs."""
    return re.findall(r"^(\S.*?) · (\S+) ─+$", text, re.MULTILINE)


def stages(text: str) -> list[str]:
    """Return what is shown of each stage."""
    parts = re.split(r"^Asking .*$", text, flags=re.MULTILINE)
    return [part for part in parts if titles(part)]


# What is shown


def test_the_stages_are_shown_in_the_order_of_a_run(
    demo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = shown(capsys, demo)
    assert titles(text) == [
        ("topics", TEACHER),
        ("questions", TEACHER),
        ("pairs", TEACHER),
        ("responses", BASE),
        ("responses", CHAT),
    ]
    assert "--criterion factuality, helpful" in words(text)
    for line in text.splitlines():
        assert len(line) <= WIDTH or line.startswith("Asking ")
    # The ledger in results/ is not the record of an experiment.
    assert [path.name for path in Path("results").iterdir()] == [".working"]


def test_prompts_and_completions_are_shown_as_they_are(
    demo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[Request, Completion | Failure]] = []

    @contextmanager
    def recording() -> Iterator[Ask]:
        def ask(batch: Batch) -> asking.Reply:
            reply = complete(batch)
            asked.extend((request, reply.results[request.id]) for request in batch.requests)
            return reply

        yield ask

    monkeypatch.setattr("aligners.cli.preview.separate_processes", recording)
    text = words(re.sub(r"^\w* +|^Asking.*", " ", shown(capsys, demo), flags=re.MULTILINE))
    assert len(asked) == 2 + 1 + 2 + 2 + 2
    for request, result in asked:
        assert isinstance(result, Completion)
        assert words(result.text) in text
        prompt = request.prompt
        contents = [prompt] if isinstance(prompt, str) else [each["content"] for each in prompt]
        for content in contents:
            # Of a second prompt, what the first has too is not repeated.
            last = content.split("\n\n")[-1]
            assert words(last) in text
    first = asked[3][0].prompt
    assert isinstance(first, str) and words(first) in text


def reply(request: Request, decoding: Decoding) -> str:
    """Reply as an LLM whose lists and pairs have defects; a prompt shows five examples."""
    if decoding.max_new_tokens == TOPICS:
        return (
            "6. Old dogs\n7. Cats\n8. A topic of too many words\n9. Cats\n10. Milk: how to buy it"
        )
    if decoding.max_new_tokens == QUESTIONS:
        return "6. Why do dogs bark at night?\n8. How do cats purr?"
    if decoding.max_new_tokens == PAIRS:
        return (
            " They bark, you fool.\n\nCritique: It insults the person who asks.\nCorrection: "
            "They bark at other dogs.\n\nNote: I removed the insult."
        )
    return "<think>Hm.</think>They bark."


@pytest.mark.parametrize(
    ("prompt", "stage"),
    [
        ("aligners.synthesis.topics.topics_prompt", "topics"),
        ("aligners.synthesis.questions.questions_prompt", "questions"),
        ("aligners.synthesis.pairs.pairs_prompt", "pairs"),
        ("aligners.evaluation.baselines.llm_prompt", "responses"),
    ],
)
def test_a_changed_prompt_changes_the_preview(
    demo: Path,
    engine: FakeEngine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    prompt: str,
    stage: str,
) -> None:
    engine.reply = reply
    monkeypatch.setattr(prompt, lambda *_: "Changed.")
    changed = [part for part in stages(shown(capsys, demo)) if "Changed." in part]
    assert {name for part in changed for name, _ in titles(part)} == {stage}


def test_what_the_parsers_drop_and_remove_is_shown(
    demo: Path, engine: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.reply = reply
    text = shown(capsys, demo, rows=1)
    topics, questions, pairs, responses, _ = stages(text)
    assert re.search(r"kept +3 of 5 \(1 shown\)\n +Old dogs\n", topics)
    assert re.search(
        r"dropped +2 of 5: 1 too_long, 1 duplicate \(1 shown\)\n +- too_long\n", topics
    )
    assert re.search(r"removed +1 explanation", topics)
    assert re.search(r"kept +2 of 15 \(1 shown\)\n +\[.+ \| .+\] Why do dogs bark", questions)
    assert re.search(r"dropped +13 of 15: 13 no_line \(1 shown\)\n +- no_line\n", questions)
    assert re.search(
        r"response +They bark, you fool\.\ncritique +It insults the person who asks\.\n"
        r"correction +They bark at other dogs\.\n",
        pairs,
    )
    assert re.search(r"removed .*1 note", pairs)
    assert re.search(r"kept +1 of 1\n +They bark\.\n", responses)
    assert re.search(r"removed +1 thought", responses)


def test_the_cost_of_a_stage_is_shown(
    demo: Path, engine: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    prices = {"input": 2.0, "output": 10.0, "currency": "EUR"}
    Path("config/llms/priced.yaml").write_text(
        "engine: openai\nmodel: m\nendpoint: http://127.0.0.1:9/v1\n", encoding="utf-8"
    )
    set_keys("config/llms/priced.yaml", prices=prices)
    set_keys(DEMO, teacher="priced")

    def counted(request: Request, decoding: Decoding) -> Completion:
        text = reply(request, decoding)
        return Completion(request.id, text, "stop", tokens_in=1000, tokens_out=100)

    engine.reply = counted
    topics, *_ = stages(shown(capsys, demo))
    assert "2 completions; tokens: 2 k in, 200 out; 0.006 EUR" in topics


def test_a_pair_that_the_filters_drop_is_shown_with_the_reason(
    demo: Path, engine: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    def code_first(request: Request, decoding: Decoding) -> str:
        if decoding.max_new_tokens == PAIRS and "purr" in str(request.prompt):
            return " def purr():\n    return 1\nCritique: It is code.\nCorrection: With the throat."
        return reply(request, decoding)

    engine.reply = code_first
    assert re.search(r"- code\nresponse +def purr\(\):", shown(capsys, demo))


def test_given_responses_are_shown_to_the_teacher(
    demo: Path, engine: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    set_keys(DEMO, responses_by=[BASE])
    engine.reply = reply
    text = shown(capsys, demo)
    assert titles(text)[2:4] == [("first_responses", BASE), ("pairs", TEACHER)]
    assert re.search(r"Input: Why do dogs bark at night\?\n +Response: They bark\.\n", text)


def test_own_pairs_are_shown_as_they_are_read_and_no_teacher_is_asked(
    demo: Path, engine: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rows(
        Path("resources/criteria/brief/pairs.jsonl"),
        [
            {"question": "Why do dogs bark?", "response": "They bark.", "aligned_response": ""},
            {
                "question": "Why do cats purr?",
                "response": "They purr because they are content, as everybody knows.",
                "aligned_response": "They purr because they are content.",
            },
        ],
    )
    set_keys(DEMO, criteria=["brief"], teacher=None, datasets=["synthetic_mixed"])
    engine.reply = lambda *_: "Of joy."
    text = shown(capsys, demo)
    assert titles(text) == [("responses", BASE), ("responses", CHAT)]
    assert "import brief" in text and "Rows of kind corrections." in text
    assert re.search(
        r"kept +1 of 2\nquestion +Why do cats purr\?\nresponse +They purr because",
        text,
    )
    assert re.search(r"dropped +1 of 2: 1 empty\n +- empty\n", text)
    assert re.search(r"Why do cats purr\?\n(.*\n)+?kept +1 of 1\n +Of joy\.", text)


def test_a_judge_is_shown_a_correction_and_its_response(
    demo: Path, engine: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    set_keys(DEMO, judges=["closed-world", "pairrm"])

    def judge(request: Request, decoding: Decoding) -> Completion | str:
        if not decoding.top_logprobs:
            return reply(request, decoding)
        return Completion(request.id, "m", "stop", first_token_logprobs={"m": -0.1, "M": -3.0})

    engine.reply = judge
    text = shown(capsys, demo, rows=1)
    verdicts = text[text.index("verdicts of closed-world") :]
    assert verdicts.index("They bark at other dogs.") < verdicts.index("They bark, you fool.")
    assert "the correction is better (preference for the correction: 0.95)" in verdicts
    assert "verdicts of pairrm" in verdicts


# The ledger


def test_a_run_does_not_send_the_requests_of_the_preview_again(
    demo: Path, engine: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.reply = reply
    shown(capsys, demo)
    asked, loaded = len(engine.asked), engine.loaded
    first = shown(capsys, demo)
    assert (len(engine.asked), engine.loaded) == (asked, loaded)
    assert first == shown(capsys, demo)
    given = {"teacher": TEACHER, "synthesis": "closed-world", "seed": 0}
    output = results.TOPICS.path(criterion="ethical")
    generate_topics.main(criterion="ethical", rounds=1, output=output, **given)
    assert len(engine.asked) - asked == 20 - 2
    name = "closed_world_categories"
    rows = import_dataset(name, load_recipe(DatasetRecipe, name))
    write_rows(Path("inputs.jsonl"), (row for row, reason in rows if reason is None))
    asked = len(engine.asked)
    output = results.RESPONSES_SHARD.path(dataset=name, llm=BASE, shard="0")
    generate_responses.main(
        llm=BASE, inputs=Path("inputs.jsonl"), shard=0, shards=1, seed=0, output=output
    )
    assert len(engine.asked) - asked == len(read_rows(Path("inputs.jsonl"))) - 2


# Errors


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """Run the command, which has to fail, and return its message: one line."""
    monkeypatch.setattr("sys.argv", ["aligners", "preview", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    message = str(stopped.value)
    assert message.startswith("error: ") and "\n" not in message
    return message


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--config", "config/dmo.yaml"], ["config/dmo.yaml"]),
        (["--config", "config/demo.yaml", "--rows", "0"], ["--rows 0"]),
        (
            ["--config", "config/demo.yaml", "--criterion", "kind"],
            ["--criterion kind", "ethical, factuality, helpful"],
        ),
    ],
)
def test_a_mistake_gets_one_message(
    demo: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], parts: list[str]
) -> None:
    message = run(monkeypatch, *arguments)
    for part in parts:
        assert part in message


def test_a_missing_key_is_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the real engine, in a process of its own."""
    monkeypatch.delenv("PRICED_KEY", raising=False)
    Path("config/llms/priced.yaml").write_text(
        "engine: openai\nmodel: m\nendpoint: http://127.0.0.1:9/v1\nkey_variable: PRICED_KEY\n",
        encoding="utf-8",
    )
    set_keys(DEMO, teacher="priced")
    assert "PRICED_KEY" in run(monkeypatch, "--config", str(DEMO))


REFUSAL = "I'm sorry, but I can't help with that."


@pytest.mark.parametrize(
    ("stage", "limit"), [("topics", TOPICS), ("questions", QUESTIONS), ("pairs", PAIRS)]
)
def test_an_llm_that_refuses_is_shown_and_ends_the_preview(
    demo: Path,
    engine: FakeEngine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stage: str,
    limit: int,
) -> None:
    def refuse(request: Request, decoding: Decoding) -> str:
        return REFUSAL if decoding.max_new_tokens == limit else reply(request, decoding)

    engine.reply = refuse
    message = run(monkeypatch, "--config", str(demo))
    for part in (f"error: {stage}: no row is left", TEACHER, REFUSAL):
        assert part in message
    text = capsys.readouterr().out
    assert titles(text)[-1][0] == stage
    assert re.search(f"completion +{re.escape(REFUSAL)}", text)


def test_requests_that_fail_are_shown_with_their_cause(
    demo: Path,
    engine: FakeEngine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_keys(f"config/llms/{TEACHER}.yaml", require_all=False)

    def fail(request: Request, decoding: Decoding) -> Failure | str:
        if decoding.max_new_tokens == PAIRS:
            return Failure(request.id, "refused", "content policy")
        return reply(request, decoding)

    engine.reply = fail
    message = run(monkeypatch, "--config", str(demo))
    assert "pairs: no row is left" in message and "2 refused" in message
    assert re.search("failed +content policy", capsys.readouterr().out)


def test_a_lack_of_memory_is_one_message(
    demo: Path, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_out_of_memory(request: Request, decoding: Decoding) -> str:
        raise RuntimeError("out of memory\nat some place")

    engine.reply = run_out_of_memory
    message = run(monkeypatch, "--config", str(demo))
    assert message == f"error: topics of {TEACHER}: out of memory"


def die(batch: Batch) -> None:
    """End like a killed process."""
    os._exit(9)


def test_a_killed_llm_is_named(in_the_project: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "complete", die)
    processes = LLMProcesses()
    batch = Batch("topics", TEACHER, Path("results/x/preview.jsonl"), [], Decoding(1))
    with pytest.raises(UserError, match=f"topics: the process of {TEACHER} was killed"):
        processes.ask(batch)


def test_each_llm_has_a_process_of_its_own(project: Path) -> None:
    """With the real processes: that of the LLM before has ended."""
    seen = []
    processes = LLMProcesses()

    def ask(batch: Batch) -> asking.Reply:
        before = processes.pool
        reply = processes.ask(batch)
        seen.append((batch.llm, processes.pool is before))
        return reply

    set_keys(DEMO, judges=[])
    for _ in preview_stages(load_experiment(DEMO), "ethical", 1, ask):
        pass
    processes.close()
    assert seen == [
        (TEACHER, False),
        (TEACHER, True),
        (TEACHER, True),
        (BASE, False),
        (CHAT, False),
    ]


def test_the_documents_show_what_is_printed(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [block] = [block for block in blocks("docs/engines.md") if "Asking" in block.text]
    printed = words(shown(capsys, demo, rows=1))
    for part in block.text.split("[...]"):
        assert words(part) in printed
