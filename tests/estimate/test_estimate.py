"""The estimate of a run: the counted requests, the figures from a sample, and the output."""

import os
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import generate_pairs
import generate_questions
import generate_responses
import generate_topics
import pytest
from fake_engine import FakeEngine
from recipes import changed
from yaml_edits import set_keys

from aligners.cli.main import main
from aligners.configuration.criteria import load_question_types
from aligners.configuration.kinds.config import Config
from aligners.core.completions import Completion, Decoding, Failure, Request
from aligners.core.errors import UserError
from aligners.core.formats import count, duration
from aligners.core.rows import read_json, row_id, write_rows
from aligners.estimate import sample as sampling
from aligners.estimate.figures import bound, total
from aligners.estimate.figures import project as project_stage
from aligners.estimate.sample import Sample, ask, count_gpus, take_samples
from aligners.estimate.stages import (
    Stage,
    count_question_requests,
    dataset_rows,
    example_topics,
    load_experiment,
    make_stages,
)
from aligners.estimate.table import BOUNDS, SAMPLED, format_costs, print_estimate
from aligners.estimate.verdicts import verdicts_stages
from aligners.synthesis.pair_replies import STOP
from aligners.synthesis.task import Task, load_task

DEMO, PAPER = Path("config/demo.yaml"), Path("config/config.yaml")
TEACHER, BASE, CHAT = "closed-world-teacher", "closed-world-base", "closed-world-finetuned"
PRICES = {"input": 2.0, "output": 10.0, "currency": "EUR"}
# The token limits of the stages, by which tests recognise their requests.
TOPICS, QUESTIONS, PAIRS, RESPONSES = 300, 1000, 1500, 256


def requests_of(stages: Sequence[Stage]) -> dict[tuple[str, str], int]:
    """Return the number of requests by stage and LLM."""
    return {(stage.name, stage.llm): stage.requests for stage in stages}


# The requests of a run


def test_the_demo_is_counted(in_the_project: None) -> None:
    assert requests_of(make_stages(load_experiment(DEMO), 2)) == {
        ("topics", TEACHER): 3 * 3 * 20,  # criteria, rounds, question types
        ("questions", TEACHER): 3 * 287,  # 4300 hints, 15 in a prompt
        ("pairs", TEACHER): 3 * 4300,
        ("responses", BASE): 3 * 120 + 420,  # held-out questions, and a file of 420 rows
        ("responses", CHAT): 3 * 120 + 420,
    }


def test_the_paper_is_counted_except_for_a_dataset_of_the_hub(in_the_project: None) -> None:
    config = load_experiment(PAPER)
    assert requests_of(make_stages(config, 2)) == {
        ("topics", "falcon-40b"): 3 * 20 * 20,
        ("questions", "falcon-40b"): 3 * 10200,
        ("pairs", "falcon-40b"): 3 * 153000,
        **{("responses", llm): 3 * 5000 for llm in config.llms},
    }
    assert dataset_rows(config, "beavertails") is None


def test_rows_of_a_hub_dataset_that_its_recipe_limits_are_counted(project: Path) -> None:
    set_keys("config/datasets/beavertails.yaml", rows=700)
    config = load_experiment(PAPER)
    assert requests_of(make_stages(config, 2))["responses", "llama-2-13b"] == 3 * 5000 + 700


def test_verdicts_are_counted_in_both_orders_of_every_comparison(project: Path) -> None:
    set_keys("config/datasets/beavertails.yaml", rows=700)
    [stage] = verdicts_stages(load_experiment(PAPER), 4)
    # Orders x rows x base LLMs x backbones x (systems x references + intermediate corrections)
    assert stage.requests == 2 * (800 + 700) * 3 * 4 * (4 * 3 + 2)
    assert (stage.llm, stage.decoding.max_new_tokens) == ("gpt-4.1", 1)
    assert len(stage.examples) == 4
    assert all("{output_1}" not in str(example.prompt) for example in stage.examples)


def test_verdicts_are_counted_for_every_training_seed(project: Path) -> None:
    set_keys("config/datasets/beavertails.yaml", rows=700)
    [stage] = verdicts_stages(changed(load_experiment(PAPER), seeds=[0, 1, 2]), 4)
    # The intermediate corrections are those of the first seed.
    assert stage.requests == 2 * (800 + 700) * 3 * 4 * (4 * 3 * 3 + 2)


def test_verdicts_on_a_data_set_of_unknown_size_are_counted_as_a_full_sample(
    in_the_project: None,
) -> None:
    config = changed(load_experiment(PAPER), datasets=["beavertails"])
    [stage] = verdicts_stages(config, 4)
    assert stage.requests == 2 * 800 * 3 * 4 * (4 * 3 + 2)


def test_a_judge_that_is_no_llm_has_no_requests(project: Path) -> None:
    assert verdicts_stages(changed(load_experiment(DEMO), judges=["pairrm"]), 4) == []


def test_hints_without_a_question_are_sent_again(in_the_project: None) -> None:
    config = changed(load_experiment(DEMO), criteria=["ethical"], questions_per_criterion=100)
    assert count_question_requests(config) == 7
    assert count_question_requests(config, 0.5) == 7 + 4 + 2  # 100, 50 and 25 hints
    assert count_question_requests(config, 1.0) == 3 * 7


def test_first_responses_are_divided_among_their_llms_and_given_to_the_teacher(
    in_the_project: None,
) -> None:
    config = changed(load_experiment(DEMO), responses_by=[BASE, CHAT])
    stages = make_stages(config, 3)
    requests = requests_of(stages)
    assert requests["first_responses", BASE] == requests["first_responses", CHAT] == 3 * 4300 / 2
    assert requests["pairs", TEACHER] == 3 * 4300
    assert requests["responses", BASE] == 3 * 120 + 420
    [first, _, pairs] = stages[2:5]
    assert first.decoding.max_new_tokens == 512
    assert len(first.examples) == len(pairs.examples) == 3
    for example in pairs.examples:
        assert re.search(r"\nInput: .+\nResponse: .+\nCritique:\Z", str(example.prompt))


def test_a_configuration_is_merged_over_the_default(project: Path) -> None:
    Path("config/mine.yaml").write_text("name: mine\nshards: {pairs: 3}\ntopic_rounds: 1\n")
    config = load_experiment(Path("config/mine.yaml"))
    default = load_experiment(PAPER)
    assert (config.shards.pairs, config.shards.responses) == (3, default.shards.responses)
    differ = {key for key, value in default if value != getattr(config, key)}
    assert differ == {"name", "shards", "topic_rounds"}


def ethical_task() -> Task:
    """Return the task of the demo's teacher for the criterion ethical."""
    return load_task("ethical", TEACHER, "closed-world", 0)


def run_stage(name: str, config: Config, stage: Stage) -> None:
    """Run the program of a stage on the same topics and questions as the estimate's examples."""
    given = {"synthesis": config.synthesis, "teacher": config.teacher, "seed": 0}
    seeds = load_question_types("ethical")
    texts = [seed.question for kind in seeds for seed in kind.questions]
    inputs = Path("questions.jsonl")
    write_rows(inputs, [{"id": row_id(text), "question": text} for text in texts])
    if name == "topics":
        generate_topics.main(criterion="ethical", rounds=1, output=Path("t.jsonl"), **given)
    elif name == "questions":
        write_rows(Path("topics.jsonl"), example_topics(ethical_task()))
        paths = {"topics": Path("topics.jsonl"), "output": Path("q.jsonl"), "table": Path("q.csv")}
        generate_questions.main(criterion="ethical", questions=100, **paths, **given)
    elif name == "pairs":
        options = {"questions": [inputs], "shard": 0, "shards": 1, "output": Path("p.jsonl")}
        generate_pairs.main(criterion="ethical", **options, **given)
    else:
        output = Path("a.jsonl")
        generate_responses.main(
            llm=stage.llm, inputs=inputs, shard=0, shards=1, seed=0, output=output
        )


@pytest.mark.parametrize("number", range(5), ids=["topics", "questions", "pairs", "base", "chat"])
def test_examples_are_requests_that_the_programs_send(
    project: Path, engine: FakeEngine, number: int
) -> None:
    set_keys(DEMO, criteria=["ethical"], questions_per_criterion=100)
    config = load_experiment(DEMO)
    stage = make_stages(config, 7)[number]
    sent: list[tuple[Any, Decoding]] = []

    def record(request: Request, decoding: Decoding) -> str:
        sent.append((request.prompt, decoding))
        return ""

    engine.reply = record
    with suppress(UserError):  # The replies are empty, so no topic and no question is left.
        run_stage(stage.name, config, stage)
    assert len(stage.examples) == 7
    assert len({request.id for request in stage.examples}) == 7
    assert all((request.prompt, stage.decoding) in sent for request in stage.examples)


@pytest.mark.parametrize(
    ("number", "prompt"),
    [
        (0, "aligners.synthesis.topics.topics_prompt"),
        (1, "aligners.synthesis.questions.questions_prompt"),
        (2, "aligners.synthesis.pairs.pairs_prompt"),
        (3, "aligners.evaluation.baselines.llm_prompt"),
    ],
)
def test_a_changed_prompt_changes_the_estimate(
    in_the_project: None, monkeypatch: pytest.MonkeyPatch, number: int, prompt: str
) -> None:
    monkeypatch.setattr(prompt, lambda *_: "Changed.")
    stage = make_stages(load_experiment(DEMO), 3)[number]
    assert [request.prompt for request in stage.examples] == 3 * ["Changed."]


def test_examples_alternate_between_criteria(in_the_project: None) -> None:
    for stage in make_stages(load_experiment(DEMO), 6)[:3]:
        criteria = [request.id.split("/")[0] for request in stage.examples]
        assert criteria == 2 * ["ethical", "factuality", "helpful"]


def test_example_hints_mix_the_question_types(in_the_project: None) -> None:
    topics = example_topics(ethical_task())
    assert len({row["question_type"] for row in topics[:15]}) > 5
    assert len(topics) == len({(row["question_type"], row["topic"]) for row in topics}) == 100


def test_pairs_stop_before_the_next_question(in_the_project: None) -> None:
    assert make_stages(load_experiment(DEMO), 1)[2].decoding.stop == (STOP,)


# The figures of a run


def stage_of(llm: str = TEACHER, requests: int = 100) -> Stage:
    """Return a stage with two examples of 8 and 16 characters."""
    examples = [Request("a", 8 * "x"), Request("b", [{"role": "user", "content": 16 * "x"}])]
    return Stage("pairs", llm, requests, Decoding(max_new_tokens=50), examples)


def sample_of(gpus: int = 0, **usage: Any) -> Sample:
    """Return a sample of four completions in two seconds."""
    sums = {"completions": 4, "tokens_in": 40, "tokens_out": 80, "job_seconds": 2.0}
    return Sample({**sums, "tokens_per_second": 40.0, **usage}, {}, gpus)


def test_without_a_sample_figures_are_bounds(in_the_project: None) -> None:
    figures = bound(stage_of())
    assert (figures.tokens_in, figures.tokens_out, figures.sampled) == (100 * 3, 100 * 50, 0)
    assert (figures.seconds, figures.gpu_hours, figures.cost) == (None, None, None)


def test_a_sample_is_scaled_to_all_requests(in_the_project: None) -> None:
    figures = project_stage(stage_of(), sample_of())
    assert (figures.tokens_in, figures.tokens_out, figures.sampled) == (1000, 2000, 4)
    assert (figures.seconds, figures.tokens_per_second) == (50.0, 40.0)
    assert (figures.gpu_hours, figures.cost) == (None, None)


def test_gpu_hours_are_the_time_on_all_gpus(in_the_project: None) -> None:
    figures = project_stage(stage_of(), sample_of(gpus=2, job_seconds=144.0))
    assert figures.seconds == 3600.0
    assert figures.gpu_hours == 2.0


@pytest.mark.parametrize(
    ("engine_keys", "gpus"),
    [
        ({"engine": "transformers", "revision": "r"}, 2),
        ({"engine": "served", "revision": "r", "command": "serve {port}"}, 2),
        ({"engine": "openai", "endpoint": "http://127.0.0.1:9/v1"}, 0),
    ],
)
def test_gpus_count_only_for_llms_on_this_machine(
    project: Path, monkeypatch: pytest.MonkeyPatch, engine_keys: dict[str, Any], gpus: int
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    Path("config/llms/new.yaml").write_text("model: m\n", encoding="utf-8")
    set_keys("config/llms/new.yaml", **engine_keys)
    assert count_gpus("new") == gpus


@pytest.mark.parametrize(
    ("limits", "seconds"),
    [
        ({}, 50.0),
        ({"requests_per_minute": 60}, 100.0),
        ({"requests_per_minute": 600}, 50.0),
        # A request counts as 3 tokens of its prompt plus its limit of 50 tokens.
        ({"tokens_per_minute": 530}, 600.0),
    ],
)
def test_limits_per_minute_set_the_shortest_time(
    project: Path, limits: dict[str, Any], seconds: float
) -> None:
    write_endpoint(**limits)
    assert project_stage(stage_of("priced"), sample_of()).seconds == pytest.approx(seconds)


def test_the_total_has_one_sum_per_currency(project: Path) -> None:
    write_endpoint()
    rows = [project_stage(stage_of("priced"), sample_of()), bound(stage_of())]
    assert total(rows) == {
        "requests": 200,
        "tokens_in": 1300,
        "tokens_out": 7000,
        "seconds": 50.0,
        "gpu_hours": None,
        "costs": {"EUR": pytest.approx(1000 * 2e-6 + 2000 * 1e-5)},
    }


# The command


def write_endpoint(**keys: Any) -> None:
    """Write the recipe of an LLM behind an endpoint, with prices."""
    Path("config/llms/priced.yaml").write_text(
        "engine: openai\nmodel: m\nendpoint: http://127.0.0.1:9/v1\n", encoding="utf-8"
    )
    set_keys("config/llms/priced.yaml", prices=PRICES, **keys)


@pytest.fixture
def priced(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration whose teacher has prices; samples run in the process of the test."""
    write_endpoint()
    monkeypatch.setattr("aligners.estimate.table.take_samples", ask)
    path = Path("config/priced.yaml")
    shutil.copy(DEMO, path)
    set_keys(
        path,
        name="priced",
        teacher="priced",
        criteria=["ethical", "helpful"],
        datasets=["synthetic_mixed"],
        questions_per_criterion=150,
        judges=[],
    )
    return path


def reply(request: Request, decoding: Decoding) -> Completion:
    """Reply with 100 tokens to 1000; in the stage questions, with a line for every third hint."""
    lines = ""
    if decoding.max_new_tokens == QUESTIONS:
        assert isinstance(request.prompt, str)
        first = int(request.prompt.rsplit("\n", 1)[1].removesuffix("."))
        lines = "\n".join(f"{number}. Is it so?" for number in range(first, first + 15, 3))
    return Completion(request.id, lines, "stop", tokens_in=1000, tokens_out=100)


def estimated(path: Path, sample: int) -> dict[str, Any]:
    """Run the command and return the figures in its file."""
    print_estimate(path, sample, Path("figures.json"))
    figures: dict[str, Any] = read_json(Path("figures.json"))
    return figures


def test_a_sample_gives_tokens_and_cost(priced: Path, engine: FakeEngine) -> None:
    engine.reply = reply
    figures = estimated(priced, 3)
    keys = ("stage", "llm", "engine", "requests", "sampled", "tokens_in", "tokens_out")
    # 150 hints, of which two thirds are sent again: 100, then 67.
    questions = 2 * (10 + 7 + 5)
    expected = [
        ("topics", "priced", "openai", 2 * 3 * 20),
        ("questions", "priced", "openai", questions),
        ("pairs", "priced", "openai", 2 * 150),
        ("responses", BASE, "closed-world", 2 * 120),
        ("responses", CHAT, "closed-world", 2 * 120),
    ]
    assert [tuple(row[key] for key in keys) for row in figures["stages"]] == [
        (*row, 3, 1000 * row[3], 100 * row[3]) for row in expected
    ]
    # A request costs 1000 times 2 and 100 times 10 millionths of a euro.
    priced_requests = 120 + questions + 300
    assert [row["cost"] for row in figures["stages"]] == [
        *(pytest.approx(0.003 * row[3]) for row in expected[:3]),
        *(None, None),
    ]
    assert figures["total"]["costs"] == {"EUR": pytest.approx(0.003 * priced_requests)}
    assert figures["total"]["requests"] == priced_requests + 480
    assert figures["notes"] == []


def test_each_llm_is_loaded_once_and_no_request_is_sent_twice(
    priced: Path, engine: FakeEngine
) -> None:
    engine.reply = reply
    first = estimated(priced, 3)
    assert (len(engine.asked), engine.loaded) == (5 * 3, 3)
    assert estimated(priced, 3) == first
    assert (len(engine.asked), engine.loaded) == (5 * 3, 3)
    estimated(priced, 4)
    assert len(engine.asked) == 5 * 4


def test_without_a_sample_nothing_is_sent_or_written(
    priced: Path, engine: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    print_estimate(priced, 0, None)
    assert engine.loaded == 0
    assert not Path("results").exists()
    shown = capsys.readouterr().out
    assert "≤ 36 k" in shown  # 120 requests for topics with 300 tokens each
    explanation = " ".join(shown.split())
    assert BOUNDS in explanation
    assert SAMPLED.split(":")[0] not in explanation


def test_a_dataset_of_unknown_size_gets_a_note(
    in_the_project: None, capsys: pytest.CaptureFixture[str]
) -> None:
    print_estimate(PAPER, 0, None)
    shown = " ".join(capsys.readouterr().out.split())
    assert "beavertails: " in shown
    assert "rows in config/datasets/beavertails.yaml" in shown
    assert "synthetic_mixed" not in shown


def test_a_note_says_how_often_topics_are_repeated(
    in_the_project: None, capsys: pytest.CaptureFixture[str]
) -> None:
    print_estimate(PAPER, 0, None)
    shown = " ".join(capsys.readouterr().out.split())
    # 20 rounds for 20 question types, with 40 topics a prompt; 153,000 questions.
    assert "each is asked 9.6 times, because 400 prompts" in shown
    assert "topic_rounds" in shown


def test_an_unavailable_llm_has_bounds_and_a_reason(
    priced: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the real engines, and a separate process for each LLM."""
    monkeypatch.setattr("aligners.estimate.table.take_samples", take_samples)
    monkeypatch.delenv("PRICED_KEY", raising=False)
    set_keys("config/llms/priced.yaml", key_variable="PRICED_KEY")
    with pytest.raises(UserError) as stopped:
        print_estimate(priced, 2, Path("figures.json"))
    figures = read_json(Path("figures.json"))
    topics, *_, base, _ = figures["stages"]
    assert [row["sampled"] for row in figures["stages"]] == [0, 0, 0, 2, 2]
    assert (topics["tokens_out"], topics["seconds"]) == (120 * TOPICS, None)
    assert topics["cost"] > topics["tokens_out"] * 1e-5
    assert 0 < base["tokens_out"] < base["requests"] * RESPONSES
    assert figures["notes"] == [str(stopped.value)]
    for part in ("topics, questions, pairs of priced", "http://127.0.0.1:9/v1", "PRICED_KEY"):
        assert part in str(stopped.value)
    shown = " ".join(capsys.readouterr().out.split())
    assert BOUNDS in shown
    assert SAMPLED.format(sample=2) in shown
    # The ledger in results/ is not the record of an experiment.
    assert [path.name for path in Path("results").iterdir()] == [".working"]


def test_a_failed_stage_keeps_the_samples_of_the_others(priced: Path, engine: FakeEngine) -> None:
    def run_out_of_memory(request: Request, decoding: Decoding) -> Completion:
        if decoding.max_new_tokens == PAIRS:
            raise RuntimeError("out of memory\nat some place")
        return reply(request, decoding)

    engine.reply = run_out_of_memory
    with pytest.raises(UserError, match=r": pairs of priced \(out of memory\)\Z"):
        print_estimate(priced, 2, Path("figures.json"))
    figures = read_json(Path("figures.json"))
    assert [row["sampled"] for row in figures["stages"]] == [2, 2, 0, 2, 2]


def test_the_status_tells_whether_all_stages_were_measured(
    priced: Path, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["aligners", "estimate", "--config", str(priced), "--sample=1"])
    engine.reply = reply
    main()
    set_keys("config/llms/priced.yaml", key_variable="PRICED_KEY", model="other")
    engine.reply = lambda request, _: Failure(request.id, "refused", "no credit")
    with pytest.raises(SystemExit) as stopped:
        main()
    [line] = str(stopped.value).splitlines()
    assert "topics, questions, pairs of priced" in line and "no credit" in line


def die(llm: str, stages: Sequence[Stage]) -> None:
    """End like a killed process."""
    os._exit(9)


def test_a_killed_llm_does_not_end_the_estimate(
    in_the_project: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "ask", die)
    samples, problem = take_samples(BASE, [])
    assert samples == {}
    assert problem


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--config", "config/dmo.yaml"], ["config/dmo.yaml"]),
        (["--config", "config/demo.yaml", "--sample", "-1"], ["--sample", "-1"]),
        (["--config", "config/wrong.yaml"], ["config/wrong.yaml", "topic_round", "topic_rounds"]),
    ],
)
def test_a_mistake_gets_one_message(
    project: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], parts: list[str]
) -> None:
    Path("config/wrong.yaml").write_text("topic_round: 3\n", encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["aligners", "estimate", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    message = str(stopped.value)
    assert message.startswith("error: ") and "\n" not in message
    for part in parts:
        assert part in message


def test_a_sample_without_any_completion_measures_nothing(priced: Path, engine: FakeEngine) -> None:
    set_keys("config/llms/priced.yaml", require_all=False)
    engine.reply = lambda request, _: Failure(request.id, "timeout", "no reply")
    stages = make_stages(load_experiment(priced), 2)
    samples, problem = ask("priced", stages[:1])
    assert samples == {}
    assert "topics" in problem


# The output


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1 k"),
        (12_900, "12.9 k"),
        (999_499, "999 k"),
        (999_500, "1 M"),
        (671_234_567, "671 M"),
        (5_000_000_000, "5 B"),
        (1_234_000_000_000, "1,234 B"),
    ],
)
def test_counts_have_three_digits(number: int, text: str) -> None:
    assert count(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.52, "0.52 s"),
        (34, "34 s"),
        (90, "1.5 min"),
        (2700, "45 min"),
        (5400, "1.5 h"),
        (259_200, "3.0 days"),
    ],
)
def test_durations_have_a_suitable_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_money_and_gpu_hours_are_joined() -> None:
    assert format_costs(None, {}) == "-"
    assert format_costs(1.5, {}) == "1.50 GPU h"
    assert (
        format_costs(0.25, {"USD": 1234.5, "EUR": 0.0042})
        == "1,234.50 USD + 0.0042 EUR + 0.25 GPU h"
    )
