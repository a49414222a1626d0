"""Damaged rows and JSON files: each program gives one message with the file, or is not affected."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import apply_aligner
import apply_external
import apply_squad
import build_aligner_set
import build_inspector_set
import compare_systems
import compare_with_reported
import deduplicate_topics
import embed_questions
import filter_labels
import filter_pairs
import gather_pairs
import gather_responses
import generate_first_responses
import generate_pairs
import generate_questions
import generate_responses
import import_inputs
import join_imports
import judge_comparisons
import judge_reproduction
import numpy as np
import pytest
import sample_inputs
import score_closed_world
import score_similarity
import split_questions
import trace_thresholds
import train_aligner
import train_inspector
import write_alpaca_eval
import write_model_card
import write_tables
import yaml
from fake_engine import FakeEngine
from mutations import Mutation, mutate_json, mutate_rows
from projects import MINIATURE, make_project
from report_results import CHANGES, write_results
from turns import make_turn

from aligners.configuration import recipes, results, workflow_files
from aligners.configuration.experiment import Experiment, check_experiment
from aligners.configuration.experiment_checks import validate_experiment
from aligners.configuration.scored_results import ScoredResults
from aligners.core.errors import UserError
from aligners.core.rows import Row, read_json, read_rows, row_id, write_json, write_rows
from aligners.correction.input_format import load_format
from aligners.correction.problems import AlignerCorrection
from aligners.correction.squad import Result
from aligners.judging.judged_pairs import Verdict
from aligners.judging.record import check_judge, judge_identity
from aligners.llms.usage import Usage
from aligners.report.comparisons import comparisons_section
from aligners.report.costs import costs_section
from aligners.report.data import data_section
from aligners.report.figures.data import draw_data
from aligners.report.figures.inspectors import draw_inspectors
from aligners.report.models import aligners_section, inspectors_section
from aligners.report.squad import squads_section
from aligners.statistics.intervals import NO_ESTIMATE
from aligners.statistics.table_files import read_numbers
from aligners.statistics.tables import THRESHOLDS
from aligners.training.checkpoints import CHECKSUMS, last_complete_checkpoint

# A value that is no text, written as one.
AS_TEXT = re.compile(r"\b(None|nan|NaN)\b")
SIDES = ("train", "validation", "test")
TEXTS = [
    "Who painted the Mona Lisa?",
    "Is it right to eat meat?",
    "When do hummingbirds sleep?",
    "How do I learn to swim fast?",
    "Why is the sky so blue?",
    "Which river crosses Cuba?",
]


class Finished(Exception):
    """The program has read its files."""


def figures_of(
    draw: Callable[[Experiment, Path], object],
) -> Callable[[Experiment], object]:
    """Return a function that draws a section's figures."""
    return lambda experiment: draw(experiment, Path("figures"))


@dataclass
class Program:
    """A program, the files that it reads, and how it is run.

    Attributes:
        rows: the rows of a file, and the fields that the program needs.
        json: the content of a JSON file, or a function that returns it.
    """

    run: Callable[[], object]
    rows: dict[str, tuple[list[Row], Sequence[str]]]
    json: dict[str, Any] = field(default_factory=dict)


def row(number: int, **fields: Any) -> Row:
    """Return a row of a question."""
    text = TEXTS[number]
    return {"id": row_id(text), "question": text, **fields}


QUESTIONS = [row(n, criterion="ethical", question_type="a", topic="T") for n in range(6)]
ASKED = ("id", "question")
SPLIT = [row(n, group=row_id(TEXTS[n]), split=SIDES[n % 3]) for n in range(5)]
SPLIT_DROPPED = [row(5, reason="near_several_splits")]
OWN_DATA = [
    row(n, kind="labels", question_id=row_id(TEXTS[n]), response="It is so.", label=n % 2)
    for n in range(1, 5)
]
PAIRS = [
    row(n, criterion="ethical", response="It is so.", critique="Bad.",
        aligned_response=f"I think it is number {n}.", similarity=0.5)
    for n in range(5)
]  # fmt: skip
PAIR = (*ASKED, "response", "aligned_response")
TOPICS = [
    {"id": row_id(name), "criterion": "ethical", "question_type": kind, "topic": name, "round": 0}
    for name, kind in zip(["Old age", "Rivers", "Cats", "Trade"], "abab", strict=True)
]
INPUTS = [row(n, dataset="d", category="c", category_id="2367"[n % 4]) for n in range(6)]
RESPONSES = [row(n, response=f"It is {n}. Yes.") for n in range(6)]
RESPONSE = (*ASKED, "response")
FIRST_RESPONSES = [{**each, "response_by": "closed-world-base"} for each in RESPONSES]
TURN = make_turn("ethical", {"ethical": 0.1}, {"ethical": 0.9}, text="No, 1. Yes.")
ALIGNED = [
    row(n, response=f"It is {n}. Yes.", aligned_response=f"No, {n}. Yes.",
        scores={"ethical": 0.1}, reason=None,
        trace=[TURN, {**TURN, "aligned_response": f"No, {n}. Yes."}])
    for n in range(6)
]  # fmt: skip
SQUAD = ("id", "response", "aligned_response", "scores", "trace")
SET = [
    row(
        n,
        question_id="q",
        response="It is so.",
        aligned_response="No.",
        identity=False,
        label=n % 2,
    )
    for n in range(3)
]
VERDICTS = [
    row(n, category="c", category_id="2", first_order=0.9, second_order=0.8, length=5,
        reference_length=6 + n, unchanged=False, identical=False)
    for n in range(6)
]  # fmt: skip
VERDICT = ("id", "category", "category_id", "first_order", "second_order", "length",
           "reference_length", "unchanged", "identical")  # fmt: skip
OURS, THEIRS = (
    [{"instruction": each["question"], "output": each[name], "generator": "g"} for each in ALIGNED]
    for name in ("aligned_response", "response")
)
NAMES = {"judge": "closed-world", "dataset": "d", "llm": "closed-world-base", "backbone": "b",
         "system": "squad", "reference": "base", "criterion": "ethical",
         "inspector": "i"}  # fmt: skip
PAPER = {**NAMES, "system": "squad-paper"}
COMPARED = json.dumps({"backbone": ["b"], "system": ["squad"], "reference": ["base"]})
COUNTS = {"in": 5, "out": 4, "dropped": {"timeout": 1}, "replaced": {"note": 1}}
USAGE = Usage().summary()


def at(pattern: results.ResultPath, **names: str) -> str:
    """Return the path of a result."""
    return pattern.path(**{**NAMES, **names}).as_posix()


def options(*names: str) -> dict[str, Path]:
    """Return paths of outputs by option."""
    return {name: Path("out", f"{name}.jsonl") for name in names}


def sides_of_set() -> dict[str, Path]:
    """Return the outputs of a training set."""
    return options(*SIDES, "counts", "dropped")


def shards(rows: list[Row], fields: Sequence[str]) -> dict[str, tuple[list[Row], Sequence[str]]]:
    """Return the files of a single shard, of which the last row was dropped."""
    *kept, last = rows
    dropped = [{name: last[name] for name in ASKED} | {"reason": "timeout"}]
    return {"0.jsonl": (kept, fields), "0.dropped.jsonl": (dropped, (*ASKED, "reason"))}


PROGRAMS = {
    "generate_questions": Program(
        lambda: generate_questions.main(
            criterion="ethical", teacher="closed-world-teacher", synthesis="closed-world",
            topics=Path("topics.jsonl"), questions=4, seed=0, **options("output", "table"),
        ),
        {"topics.jsonl": (TOPICS, ("question_type", "topic"))},
    ),
    "deduplicate_topics": Program(
        lambda: deduplicate_topics.main(
            topics=Path("topics.jsonl"), synthesis="closed-world", seed=0, **options("output")
        ),
        {"topics.jsonl": (TOPICS, ("id", "question_type", "topic"))},
    ),
    "split_questions": Program(
        lambda: split_questions.main(
            questions=[Path("questions.jsonl")], earlier=[Path("split.jsonl")],
            synthesis="closed-world", shares=(0.4, 0.3, 0.3), **options("output"),
        ),
        {"questions.jsonl": (QUESTIONS, ASKED),
         "split.jsonl": (SPLIT, (*ASKED, "group", "split"))},
    ),
    "generate_pairs": Program(
        lambda: generate_pairs.main(
            criterion="ethical", teacher="closed-world-teacher", synthesis="closed-world",
            questions=[Path("questions.jsonl")], shard=0, shards=1, seed=0, **options("output"),
        ),
        {"questions.jsonl": (QUESTIONS, ASKED)},
    ),
    "generate_pairs of given responses": Program(
        lambda: generate_pairs.main(
            criterion="ethical", teacher="closed-world-teacher", synthesis="closed-world",
            questions=[Path("questions.jsonl")], shard=0, shards=1, seed=0,
            responses=(Path("0.jsonl"),), **options("output"),
        ),
        {"questions.jsonl": (QUESTIONS, ASKED),
         "0.jsonl": (FIRST_RESPONSES[:5], ("id", "response", "response_by")),
         "0.dropped.jsonl": ([row(5, reason="timeout")], ("id",))},
    ),
    "generate_first_responses": Program(
        lambda: generate_first_responses.main(
            llm="closed-world-base", responses_by=["closed-world-base"],
            questions=[Path("questions.jsonl")], shard=0, shards=1, seed=0, **options("output"),
        ),
        {"questions.jsonl": (QUESTIONS, ASKED)},
    ),
    "generate_responses": Program(
        lambda: generate_responses.main(
            llm="closed-world-base", inputs=Path("inputs.jsonl"), shard=0, shards=1, seed=0,
            **options("output"),
        ),
        {"inputs.jsonl": (INPUTS, ASKED)},
    ),
    "gather_pairs": Program(
        lambda: gather_pairs.main(
            questions=[Path("questions.jsonl")], shards=[Path("0.jsonl")], **options("output")
        ),
        {"questions.jsonl": (QUESTIONS[:5], ASKED),
         **shards(PAIRS, (*PAIR, "criterion", "critique"))},
        {"0.usage.json": USAGE, "0.counts.json": COUNTS},
    ),
    "gather_responses": Program(
        lambda: gather_responses.main(
            inputs=Path("inputs.jsonl"), shards=[Path("0.jsonl")], **options("output")
        ),
        {"inputs.jsonl": (INPUTS, ASKED), **shards(RESPONSES, RESPONSE)},
        {"0.usage.json": USAGE, "0.counts.json": COUNTS},
    ),
    "filter_pairs": Program(
        lambda: filter_pairs.main(
            criterion="ethical", pairs=Path("pairs.jsonl"), split=Path("split.jsonl"),
            synthesis="closed-world", **options("output"),
        ),
        {"pairs.jsonl": (PAIRS, PAIR), "split.jsonl": (SPLIT, ("id", "split")),
         "split.dropped.jsonl": (SPLIT_DROPPED, ("id", "reason"))},
    ),
    "join_imports": Program(
        lambda: join_imports.main(
            criterion="ethical", imports=[Path("rows.jsonl")],
            questions=(Path("questions.jsonl"),), **options("output"),
        ),
        {"rows.jsonl": (OWN_DATA, (*ASKED, "response", "label")),
         "questions.jsonl": (QUESTIONS[:1], ("id",))},
    ),
    "filter_labels": Program(
        lambda: filter_labels.main(
            criterion="ethical", own_data=Path("rows.jsonl"), split=Path("split.jsonl"),
            synthesis="closed-world", **options("output"),
        ),
        {"rows.jsonl": (OWN_DATA, (*ASKED, "response", "label")),
         "split.jsonl": (SPLIT, ("id", "split"))},
    ),
    "score_similarity": Program(
        lambda: score_similarity.main(
            criterion="ethical", pairs=Path("pairs.jsonl"), encoder="all-minilm-l6-v2-packaged",
            **options("output", "histogram"),
        ),
        {"pairs.jsonl": (PAIRS, ("id", "response", "aligned_response"))},
    ),
    "build_aligner_set": Program(
        lambda: build_aligner_set.main(
            pairs=Path("pairs.jsonl"), split=Path("split.jsonl"), identity_share=0.2, rows=9,
            least_similarity="{}", seed=0, **sides_of_set(),
        ),
        {"pairs.jsonl": (PAIRS, PAIR), "split.jsonl": (SPLIT, ("id", "split"))},
    ),
    "build_inspector_set": Program(
        lambda: build_inspector_set.main(
            criterion="ethical", similarity=Path("pairs.jsonl"), split=Path("split.jsonl"),
            pairs=9, seed=0, **sides_of_set(),
        ),
        {"pairs.jsonl": (PAIRS, (*PAIR, "similarity")), "split.jsonl": (SPLIT, ("id", "split"))},
    ),
    "sample_inputs": Program(
        lambda: sample_inputs.main(
            dataset="d", criteria=["ethical"], splits=[Path("split.jsonl")],
            synthesis="closed-world", rows=9, seed=0, **options("output"),
        ),
        {"split.jsonl": (SPLIT, (*ASKED, "split"))},
    ),
    "import_inputs": Program(
        lambda: import_inputs.main(
            dataset="mine", splits=[Path("split.jsonl")], synthesis="closed-world",
            **options("output"),
        ),
        {"split.jsonl": (SPLIT[:3], (*ASKED, "split")),
         "mine.jsonl": ([{"question": f"{text} Why?"} for text in TEXTS], ())},
        {"mine.json": [{"question": f"{text} Why?"} for text in TEXTS]},
    ),
    "train_aligner": Program(
        lambda: train_aligner.main(
            backbone="llama-closed-world", train=[Path("train.jsonl")],
            validation=[Path("validation.jsonl")], rows=9, seed=0, input_format="", criteria=[],
            fingerprint="f", model=Path(at(results.ALIGNER, aligner="ethical")),
            **options("metrics", "losses"),
        ),
        {name: (SET, PAIR) for name in ("train.jsonl", "validation.jsonl")},
    ),
    "train_inspector": Program(
        lambda: train_inspector.main(
            inspector="bert-closed-world", seed=0, fingerprint="f",
            model=Path(at(results.INSPECTOR)),
            **{side: Path(f"{side}.jsonl") for side in SIDES},
            **options("metrics", "test_scores", "losses"),
        ),
        {f"{side}.jsonl": (SET, (*RESPONSE, "question_id", "label")) for side in SIDES},
    ),
    "apply_aligner": Program(
        lambda: apply_aligner.main(
            criteria=["ethical"], backbone="llama-closed-world", model=Path("model"),
            responses=Path("responses.jsonl"), **options("output"),
        ),
        {"responses.jsonl": (RESPONSES, RESPONSE)},
    ),
    "apply_external": Program(
        lambda: apply_external.main(
            external="ji-et-al", model=[Path("model")], responses=Path("responses.jsonl"),
            **options("output"),
        ),
        {"responses.jsonl": (RESPONSES, RESPONSE)},
    ),
    "apply_squad": Program(
        lambda: apply_squad.main(
            squad=Path("squad"), backbone="llama-closed-world", llm="closed-world-base",
            responses=Path("responses.jsonl"), **options("output"),
        ),
        {"responses.jsonl": (RESPONSES, RESPONSE)},
    ),
    "write_alpaca_eval": Program(
        lambda: write_alpaca_eval.main(
            dataset="d", inputs=Path("inputs.jsonl"), system="s", aligned=Path("aligned.jsonl"),
            reference="base", reference_answers=Path("responses.jsonl"),
            reference_field="response", failed=[Path("failed.jsonl")], rows=9, seed=0,
            **options("model_outputs", "reference_outputs"),
        ),
        {"inputs.jsonl": (INPUTS, ASKED),
         "aligned.jsonl": (ALIGNED[1:], ("id", "response", "aligned_response")),
         "responses.jsonl": (RESPONSES[1:], ("id", "response")),
         "failed.jsonl": ([row(0, reason="timeout")], ("id", "reason"))},
    ),
    "judge_comparisons": Program(
        lambda: judge_comparisons.main(
            judge="closed-world", dataset="d", llm="closed-world-base",
            names=json.dumps({**json.loads(COMPARED), "traced": ["b"]}),
        ),
        {at(results.INPUTS): (INPUTS, (*ASKED, "category", "category_id")),
         at(results.RESPONSES): (RESPONSES, ("id", "response")),
         at(results.ALIGNED): (ALIGNED, SQUAD)},
        {at(results.MODEL_OUTPUTS): OURS, at(results.REFERENCE_OUTPUTS): THEIRS},
    ),
    "judge_reproduction": Program(
        lambda: judge_reproduction.main(
            judge="closed-world", dataset="d", llm="closed-world-base", names=COMPARED
        ),
        {at(results.INPUTS): (INPUTS, (*ASKED, "category", "category_id")),
         at(results.RESPONSES): (RESPONSES, ("id", "response"))},
        {at(results.MODEL_OUTPUTS, **PAPER): OURS, at(results.REFERENCE_OUTPUTS, **PAPER): THEIRS},
    ),
    "compare_systems": Program(
        lambda: compare_systems.main(
            judge="closed-world", dataset="d", llm="closed-world-base", names=COMPARED, seed=0
        ),
        {at(results.VERDICTS): (VERDICTS, VERDICT)},
        {at(results.MODEL_OUTPUTS): OURS, at(results.REFERENCE_OUTPUTS): THEIRS},
    ),
    "trace_thresholds": Program(
        lambda: trace_thresholds.main(
            squad=Path("squad.jsonl"), verdicts=Path("verdicts.jsonl"), turns=Path("turns.jsonl"),
            seed=0, **options("output"),
        ),
        {"squad.jsonl": (ALIGNED, SQUAD), "verdicts.jsonl": (VERDICTS, VERDICT),
         "turns.jsonl": ([{**each, "turns": 1} for each in VERDICTS], VERDICT)},
    ),
    "compare_with_reported": Program(
        lambda: compare_with_reported.main(
            judge="closed-world",
            names=json.dumps({"dataset": ["d"], "llm": ["closed-world-base"],
                              "backbone": ["b"], "reference": ["base"]}),
        ),
        {at(results.REPRODUCED_VERDICTS, **PAPER): (VERDICTS, VERDICT)},
    ),
    "write_tables": Program(
        lambda: write_tables.main(
            judge="closed-world",
            names=json.dumps({**json.loads(COMPARED), "dataset": ["d"],
                              "llm": ["closed-world-base"], "traced": []}),
        ),
        {},
        {at(results.COMPARISON): {
            **{name: NAMES[name] for name in results.COMPARISON.fields},
            "outcomes": {"wins": 1, "ties": 0, "losses": 0, "unusable": 0},
            "length_controlled": {"rate": None, "reason": "too few"},
            "by_category": {"c": {"value": 0.5, "low": 0.4, "high": 0.6, "n": 9}},
            "mean_length": 5.0, "mean_reference_length": None,
            "alpaca_eval": {"rate": None, "standard_error": None, "reason": "other questions"},
            **{rate: asdict(NO_ESTIMATE)
               for rate in ("win_rate", "flip_rate", "copy_rate", "harm_rate", "longer_won")},
         },
         at(results.PAIRED_TESTS): [{
            "backbone": "b", "reference": "base", "first": "squad", "second": "ethical",
            "difference": {"value": 0.1, "low": 0.0, "high": 0.2, "n": 9}, "p_value": 0.5,
            "adjusted": 0.5,
         }]},
    ),
    "score_closed_world": Program(
        lambda: score_closed_world.main(
            scored=ScoredResults(
                ["ethical"], "i", "b", ["d"], ["closed-world-base"], ["squad"], []
            ),
            teacher="closed-world-teacher", seeds=[0], **options("output"),
        ),
        {at(results.SPLIT): (SPLIT, (*ASKED, "split")),
         at(results.FILTERED_PAIRS): (PAIRS, (*ASKED, "criterion")),
         at(results.PAIRS.beside("dropped.jsonl")): (
             [row(5, criterion="ethical", reason="no_critique")], (*ASKED, "criterion", "reason")),
         at(results.FILTERED_PAIRS.beside("dropped.jsonl")): (
             [row(4, criterion="ethical", reason="code")], (*ASKED, "criterion", "reason")),
         at(results.RESPONSES): (RESPONSES, RESPONSE),
         at(results.RESPONSES, llm="closed-world-finetuned"): (RESPONSES, ("id", "response")),
         at(results.ALIGNED): (ALIGNED, ("id", "aligned_response", "scores"))},
        {at(results.INSPECTOR_METRICS): {
            "accuracy": 0.9, "roc_auc": None, "ece": 0.1, "n": 9, "threshold": 0.5}},
    ),
    "write_model_card": Program(
        lambda: write_model_card.main(
            model=Path("model"), criteria=["ethical"], **options("output")
        ),
        {},
        {"model/training.json": {
            "kind": "inspector", "name": "ethical", "recipe_name": "bert", "license": "mit",
            "recipe": {"model": "a/b", "revision": "c"}, "versions": {"torch": "2"},
            "hardware": {"device": "cpu"}, "metrics": {"accuracy": 0.5}, "seed": 0,
            "data": [{"path": "train.jsonl", "rows": 5, "sha256": "ab"}],
         }},
    ),
    "check_experiment": Program(
        lambda: check_experiment("demo"), {}, {"results/experiment.json": {"name": "demo"}}
    ),
    "check_judge": Program(
        lambda: check_judge("closed-world"),
        {},
        {"results/judged/closed-world/d/l.judge.json": lambda: {
            "identity": judge_identity("closed-world"), "served_models": ["m"],
        }},
    ),
    "load_format": Program(
        lambda: load_format(Path("model")),
        {},
        {"model/input_format.json": {
            "prompt": "{question}", "end": "", "added_tokens": ["a"], "max_tokens": 9,
            "decoding": {"max_new_tokens": 9, "repetition_penalty": 1.0}, "dtype": "float32",
         }},
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The directory of all runs, with the recipes; models, encoders and judges are stand-ins."""
    project = make_project(tmp_path_factory.mktemp("project"))
    engine = FakeEngine()
    engine.reply = lambda request, _: f"6. Is it {request.id}?\n7. Is it 7?"
    aligner = SimpleNamespace(
        align=lambda _, texts: [AlignerCorrection(f"{text} Yes.") for text in texts],
        for_criterion=lambda _: aligner.align,
    )
    squad = nullcontext(
        SimpleNamespace(
            gated=True,
            align=lambda _, texts, **__: [Result(f"{text} Yes.", {}) for text in texts],
        )
    )

    def embed(texts: Sequence[str]) -> Any:
        return np.ones((len(texts), 1))

    judge = SimpleNamespace(
        judge=lambda shown: dict.fromkeys(shown, Verdict(0.9, "m")),
        usage=Usage(),
        served_models=[],
    )

    def finish(*arguments: Any) -> Any:
        raise Finished(arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        patch.setattr(os, "fsync", lambda _: None)  # Most of the time, for files that are small.
        patch.setattr(workflow_files, "WORKFLOW", project)
        patch.setattr("aligners.llms.generator.load_engine", engine.load)
        patch.setattr(apply_aligner.Aligner, "from_directory", lambda *_, **__: aligner)
        patch.setattr(apply_squad.Squad, "load", lambda *_, **__: squad)
        patch.setattr(score_similarity, "load_encoder", lambda _: None)
        patch.setattr(embed_questions, "embedder", lambda _: embed)
        patch.setattr(score_similarity, "plot_histogram", lambda *_: None)
        patch.setattr(score_similarity, "cosine_similarities", lambda _, a, *__: [0.5 for _ in a])
        for module in (judge_comparisons, judge_reproduction):
            patch.setattr(module, "load_judge", lambda *_: judge)
        for module, name in (
            (train_aligner, "train_aligner"),
            (train_inspector, "train_inspector"),
        ):
            patch.setattr(module, name, finish)
        Path("config/datasets/mine.yaml").write_text("{source: file, path: mine.jsonl}")
        recipes.read_recipe.cache_clear()
        yield project
        recipes.read_recipe.cache_clear()


def write_files(program: Program) -> None:
    """Write the files of a program as they should be, and remove what was written before."""
    for name in ("out", "results"):
        shutil.rmtree(name, ignore_errors=True)
    for path, (rows, _) in program.rows.items():
        write_rows(Path(path), rows)
    for path, value in program.json.items():
        write_json(Path(path), value() if callable(value) else value)


def written_texts() -> str:
    """Return all that a program has written."""
    files = [path for path in Path("out").rglob("*") if path.is_file()]
    return "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in files)


def find_fault(program: Program, path: str, mutation: Mutation) -> str | None:
    """Run a program with a damaged file; return what is wrong with how it ends, or None."""
    shutil.rmtree("out", ignore_errors=True)
    whole = Path(path).read_bytes()
    Path(path).write_bytes(mutation.content)
    try:
        with suppress(Finished):
            program.run()
    except UserError as error:
        message = str(error)
        if "\n" in message:
            return f"several lines: {message}"
        where = path if mutation.line is None else f"{path}, line {mutation.line}"
        return None if mutation.line is None or where in message else f"no {where!r}: {message}"
    except Exception as error:
        return f"traceback: {type(error).__name__}: {error}"
    finally:
        Path(path).write_bytes(whole)
    if mutation.line is not None:
        return "no message"
    found = AS_TEXT.search(written_texts())
    return f"{found[0]!r} is written as a text" if found else None


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_damaged_file_gives_one_message(directory: Path, name: str) -> None:
    program = PROGRAMS[name]
    write_files(program)
    with suppress(Finished):
        program.run()
    contents = {path: json.loads(Path(path).read_text(encoding="utf-8")) for path in program.json}
    damaged = [
        *((path, each) for path, (rows, needs) in program.rows.items()
          for each in mutate_rows(rows, needs, path == "turns.jsonl")),
        *((path, each) for path, value in contents.items() for each in mutate_json(value)),
    ]  # fmt: skip
    faults = [
        f"{path}, {mutation.name}: {fault}"
        for path, mutation in damaged
        if (fault := find_fault(program, path, mutation))
    ]
    assert len(damaged) > 15
    assert not faults, f"{len(faults)} of {len(damaged)}:\n" + "\n".join(faults)


@pytest.mark.parametrize("left", [0, 3])
def test_verdicts_that_lack_a_question_are_an_error(directory: Path, left: int) -> None:
    program = PROGRAMS["compare_systems"]
    write_files(program)
    path = at(results.VERDICTS)
    write_rows(Path(path), VERDICTS[:left])
    missing = {row["id"] for row in VERDICTS[left:]}
    with pytest.raises(UserError, match=path) as error:
        program.run()
    assert any(key in str(error.value) for key in missing)


def test_a_checkpoint_with_damaged_checksums_is_not_used(tmp_path: Path) -> None:
    for mutation in mutate_json({"model.safetensors": "0"}):
        checkpoint = tmp_path / "checkpoint-5"
        checkpoint.mkdir()
        (checkpoint / CHECKSUMS).write_bytes(mutation.content)
        if mutation.content != b"{}":
            assert last_complete_checkpoint(tmp_path) is None, mutation.name
        shutil.rmtree(checkpoint, ignore_errors=True)


# The report

PAIRS_OF_REPORT = ("id", "question", "response", "critique", "aligned_response")
SECTIONS: dict[str, tuple[Callable[[Experiment], object], Sequence[str]]] = {
    "synthetic/ethical/questions.counts.json": (data_section, ()),
    "synthetic/ethical/pairs_filtered.jsonl": (data_section, PAIRS_OF_REPORT),
    "synthetic/ethical/pairs.dropped.jsonl": (data_section, ("id", "reason")),
    "synthetic/ethical/pairs_similarity.jsonl": (figures_of(draw_data), ("id", "similarity")),
    "inspectors/bert-miniature/ethical/metrics.json": (inspectors_section, ()),
    "inspectors/bert-miniature/ethical/model/training.json": (inspectors_section, ()),
    "inspectors/bert-miniature/ethical/test_scores.jsonl": (
        figures_of(draw_inspectors), ("id", "label", "score")),
    "aligners/gpt2-miniature/ethical/metrics.json": (aligners_section, ()),
    "aligned/synthetic_mixed/closed-world-base/gpt2-miniature/squad.jsonl": (
        squads_section, (*PAIR, "scores", "trace")),
    "inputs/synthetic_mixed.jsonl": (squads_section, ("id", "category")),
    "judged/closed-world/synthetic_mixed/closed-world-base/gpt2-miniature/squad/base/"
    "verdicts.jsonl": (squads_section, VERDICT),
    "judged/closed-world/synthetic_mixed/closed-world-base/gpt2-miniature/squad/base/"
    "comparison.json": (comparisons_section, ()),
    "judged/closed-world/synthetic_mixed/closed-world-base/paired_tests.json": (
        comparisons_section, ()),
    "closed_world/scorecard.json": (comparisons_section, ()),
    "synthetic/ethical/pairs.usage.json": (lambda _: costs_section(Path("logs")), ()),
}  # fmt: skip


@pytest.fixture(scope="module")
def experiment(directory: Path) -> Iterator[Experiment]:
    """An experiment with small results. Only reading is tested, because drawing takes long."""
    shutil.rmtree("results", ignore_errors=True)
    write_results(by_products=True)
    config = yaml.safe_load(Path(MINIATURE).read_text(encoding="utf-8")) | CHANGES
    with pytest.MonkeyPatch.context() as patch:
        for name in ("data.draw_counts", "data.draw_similarity", "inspectors.draw_inspector"):
            patch.setattr(f"aligners.report.figures.{name}", lambda *_: None)
        yield Experiment(validate_experiment(config, Path(MINIATURE)))


@pytest.mark.parametrize("name", SECTIONS)
def test_a_damaged_file_of_the_report_gives_one_message(experiment: Experiment, name: str) -> None:
    make, needs = SECTIONS[name]
    path = f"results/{name}"
    program = Program(lambda: make(experiment), {})
    program.run()
    if path.endswith(".jsonl"):
        rows = read_rows(Path(path))
        damaged = list(mutate_rows(rows, needs, repeated_ids=path.endswith(".dropped.jsonl")))
    else:
        damaged = list(mutate_json(read_json(Path(path))))
    faults = [
        f"{mutation.name}: {fault}"
        for mutation in damaged
        if (fault := find_fault(program, path, mutation))
    ]
    assert not faults, f"{len(faults)} of {len(damaged)}:\n" + "\n".join(faults)


@pytest.mark.parametrize(
    "content",
    ["", "offset\n1\n", "a,b\n1\n1,2,3\n", f"{','.join(THRESHOLDS)}\n1,1,1,half,1,1,8\n"],
)
def test_a_damaged_table_of_thresholds_gives_one_message(tmp_path: Path, content: str) -> None:
    path = tmp_path / "thresholds.csv"
    path.write_text(content)
    with pytest.raises(UserError, match=r"thresholds\.csv"):
        read_numbers(path, THRESHOLDS)
