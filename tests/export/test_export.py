"""`aligners export`: the columns of each format, the card, the counts, and the errors."""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from datasets import load_dataset
from huggingface_hub import DatasetCard
from pages import tables
from tiny_models import load, make_model

from aligners.cli.main import main
from aligners.configuration import results
from aligners.core.errors import UserError
from aligners.core.rows import Row, read_rows, row_id, write_rows
from aligners.correction.input_format import PLAIN_FORMAT
from aligners.export.files import export_training_sets
from aligners.export.formats import FORMATS, FormatName
from aligners.publishing.licenses import non_commercial
from aligners.synthesis.training_sets import AlignerRowPlan, PairPlace, aligner_row, inspector_rows

SIZES = {"train": 5, "validation": 2, "test": 2}
# Braces and a label of the prompt are text like any other.
QUESTION, RESPONSE = "What is {response}?", "Answer: it is\nnothing, you fool."
CORRECTION = "It is nothing."


def pair(criterion: str, split: str, number: int) -> Row:
    """Return a pair; the first of each split is an identity pair."""
    question = f"{QUESTION} {split} {number}"
    response = CORRECTION if number == 0 else RESPONSE
    texts = {"question": question, "response": response, "aligned_response": CORRECTION}
    return {"id": row_id(question), "criterion": criterion, **texts}


def make_sets(criterion: str, origin: Callable[[int], Row] = lambda number: {}) -> None:
    """Write the training sets of a criterion as the workflow does, with fields of the origin."""
    for split, size in SIZES.items():
        pairs = [pair(criterion, split, number) for number in range(size)]
        plans = [
            AlignerRowPlan(PairPlace(row["id"], 0, not number), not number)
            for number, row in enumerate(pairs)
        ]
        sets = {
            "aligner": [
                {**aligner_row(row, plan), **origin(number)}
                for number, (row, plan) in enumerate(zip(pairs, plans, strict=True))
            ],
            "inspector": [
                {**row, **origin(number)}
                for number, each in enumerate(pairs)
                for row in inspector_rows(each)
            ],
        }
        for kind, rows in sets.items():
            write_rows(results.TRAINING_SET.path(criterion=criterion, kind=kind, side=split), rows)


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with results of two criteria; the working directory."""
    monkeypatch.chdir(tmp_path)
    make_sets("ethical")
    make_sets("helpful")
    write_rows(Path("results/synthetic/all"), [])
    return tmp_path


def exported(name: FormatName, criterion: str = "ethical") -> Row:
    """Return the second training row of an export, which is no identity row."""
    export_training_sets(criterion, name, Path(f"out-{name}"))
    rows = read_rows(Path(f"out-{name}/train.jsonl"), needs=("id",))
    [row] = [row for row in rows if f"{QUESTION} train 1" in str(row)][-1:]
    return row


PROMPT = f"Question: {QUESTION} train 1\nAnswer: {RESPONSE}\nCorrected answer:"


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("prompt-completion", {"prompt": PROMPT, "completion": f" {CORRECTION}"}),
        (
            "preference",
            {"prompt": f"{QUESTION} train 1", "chosen": CORRECTION, "rejected": RESPONSE},
        ),
        (
            "unpaired-preference",
            {"prompt": f"{QUESTION} train 1", "completion": CORRECTION, "label": True},
        ),
        (
            "alpaca",
            {
                "instruction": (
                    "Correct the answer to the question. If it needs no correction, repeat it."
                ),
                "input": f"Question: {QUESTION} train 1\nAnswer: {RESPONSE}",
                "output": CORRECTION,
            },
        ),
        (
            "messages",
            {
                "messages": [
                    {"role": "user", "content": PROMPT},
                    {"role": "assistant", "content": CORRECTION},
                ]
            },
        ),
    ],
)
def test_a_row_has_the_columns_of_its_format(made: Path, name: FormatName, columns: Row) -> None:
    row = exported(name)
    assert {key: row[key] for key in columns} == columns
    assert row.keys() - columns.keys() == {"id", "criterion"}
    assert row["criterion"] == "ethical"


def test_the_prompts_are_those_of_the_workflow_s_own_training(made: Path) -> None:
    row = exported("prompt-completion")
    _, tokenizer = load(make_model("gpt2", made / "model"))
    asked = PLAIN_FORMAT.prompt_ids(tokenizer, f"{QUESTION} train 1", RESPONSE)
    assert tokenizer.encode(row["prompt"]) == asked
    corrected = PLAIN_FORMAT.completion_ids(tokenizer, CORRECTION)
    assert [*tokenizer.encode(row["completion"]), tokenizer.eos_token_id] == corrected


@pytest.mark.parametrize("name", FORMATS)
def test_datasets_loads_an_export_by_its_card(made: Path, name: FormatName) -> None:
    """All criteria, of which only some rows have a known origin."""
    make_sets("helpful", lambda number: {"license": "MIT", "original_id": 7} if number else {})
    export_training_sets("all", name, Path("out"))
    loaded = load_dataset(str(made / "out"), cache_dir=str(made / "cache"))
    each = {"preference": -1, "unpaired-preference": -1}.get(name, 0)
    factor = 2 if name == "unpaired-preference" else 1
    assert {split: len(rows) for split, rows in loaded.items()} == {
        split: 2 * (factor * size + each) for split, size in SIZES.items()
    }
    assert Counter(loaded["train"]["criterion"]).keys() == {"ethical", "helpful"}
    origins = {(row["criterion"], row["license"], row["original_id"]) for row in loaded["train"]}
    assert {("ethical", "", ""), ("helpful", "MIT", "7")} <= origins
    card = DatasetCard.load(made / "out/README.md")
    assert f"all, {name}" == card.data.pretty_name
    for column in loaded["train"].column_names:
        # Every column is explained.
        assert re.search(rf"^\| `{column}` \| .+ \| .{{5,}} \|$", card.text, re.MULTILINE)
    assert "ethical, helpful" in card.text
    assert "| MIT |" in card.text
    assert "commercial" not in card.text


def test_identity_rows_are_no_preferences_and_are_counted(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, "ethical", "--as", "preference", "--output", "out")
    rows = read_rows(Path("out/train.jsonl"))
    assert len(rows) == SIZES["train"] - 1
    assert all(row["chosen"] != row["rejected"] for row in rows)
    shown = capsys.readouterr().out
    assert re.search(r"^ *train +4 +1 identity *$", shown, re.MULTILINE)
    assert "the correction equals the response" in shown


def test_non_commercial_data_are_named_in_the_card_and_on_the_terminal(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_sets("helpful", lambda number: {"license": "CC BY-NC 4.0" if number == 1 else "MIT"})
    run(monkeypatch, "helpful", "--as", "alpaca", "--output", "out")
    shown = capsys.readouterr().out
    for text in ("3 rows have the licence CC BY-NC 4.0", "6 rows have the licence MIT"):
        assert text in shown
    [warning] = [line for line in shown.splitlines() if "commercial" in line]
    assert "CC BY-NC 4.0" in warning and "MIT" not in warning
    card = DatasetCard.load(made / "out/README.md").text
    assert "**Not for commercial use:**" in card
    assert "| CC BY-NC 4.0 | 3 |" in card


@pytest.mark.parametrize(
    ("license", "found"),
    [
        ("CC BY-NC 4.0", True),
        ("cc-by-nc-sa-3.0", True),
        ("Llama, non-commercial", True),
        ("NonCommercial Research", True),
        ("ncsa", False),
        ("Apache-2.0", False),
        ("Bounce 1.0", False),
    ],
)
def test_licences_for_non_commercial_use(license: str, found: bool) -> None:
    assert non_commercial([license, license]) == ([license] if found else [])


def test_a_split_without_rows_has_no_file(made: Path) -> None:
    path = results.TRAINING_SET.path(criterion="ethical", kind="aligner", side="test")
    write_rows(path, read_rows(path)[:1])
    export_training_sets("ethical", "preference", Path("out"))
    assert {file.name for file in Path("out").iterdir()} == {
        "README.md",
        "train.jsonl",
        "validation.jsonl",
    }


# Errors


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    """Run the command."""
    monkeypatch.setattr("sys.argv", ["aligners", "export", *arguments])
    main()


def remove_the_set() -> None:
    results.TRAINING_SET.path(criterion="helpful", kind="aligner", side="test").unlink()


def leave_identities() -> None:
    for split in SIZES:
        path = results.TRAINING_SET.path(criterion="helpful", kind="aligner", side=split)
        write_rows(path, read_rows(path)[:1])


def fill_the_directory() -> None:
    Path("out").mkdir()
    Path("out/README.md").write_text("Mine.", encoding="utf-8")


def damage() -> None:
    path = results.TRAINING_SET.path(criterion="helpful", kind="aligner", side="test")
    path.write_text('{"id": "1", "question": "Why?"}\n', encoding="utf-8")


MISSING = "results/synthetic/helpful/aligner/test.jsonl"


@pytest.mark.parametrize(
    ("prepare", "criterion", "parts"),
    [
        (remove_the_set, "helpful", [f"{MISSING}: no such file", f"snakemake {MISSING}"]),
        (remove_the_set, "all", [f"snakemake {MISSING}"]),
        (lambda: None, "helpfull", ["results/synthetic/helpfull/aligner/train.jsonl"]),
        (leave_identities, "helpful", ["preference of helpful", "3 identity"]),
        (fill_the_directory, "helpful", ["--output out"]),
        (damage, "helpful", [f"{MISSING}, line 1", "response"]),
    ],
)
def test_a_mistake_gets_one_message(
    made: Path,
    monkeypatch: pytest.MonkeyPatch,
    prepare: Callable[[], Any],
    criterion: str,
    parts: list[str],
) -> None:
    prepare()
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, criterion, "--as", "preference", "--output", "out")
    message = str(stopped.value)
    assert message.startswith("error: ") and "\n" not in message
    for part in parts:
        assert part in message
    # Nothing half-written is left, and nothing is replaced.
    kept = [path.name for path in Path().glob("out*/*")] + [path.name for path in Path().glob(".*")]
    assert kept == (["README.md"] if prepare is fill_the_directory else [])


def test_without_results_the_target_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="snakemake results/synthetic/all"):
        export_training_sets("all", "alpaca", Path("out"))


# Other trainers


def test_trl_accepts_the_exports(made: Path) -> None:
    """Its trainers read and tokenize the rows."""
    trl = pytest.importorskip("trl")
    model, tokenizer = load(make_model("gpt2", made / "model"))
    trainers = {
        "prompt-completion": (trl.SFTTrainer, trl.SFTConfig),
        "preference": (trl.DPOTrainer, trl.DPOConfig),
        "unpaired-preference": (trl.KTOTrainer, trl.KTOConfig),
    }
    for name, (trainer, settings) in trainers.items():
        export_training_sets("all", name, Path(name))
        rows = load_dataset(str(made / name), cache_dir=str(made / "cache"))["train"]
        options = settings(output_dir=str(made / "trained"), use_cpu=True, report_to="none")
        made_trainer = trainer(model, args=options, train_dataset=rows, processing_class=tokenizer)
        assert len(made_trainer.train_dataset) == len(rows)


def test_the_documents_name_every_format() -> None:
    [table] = [table for table in tables("docs/publishing.md") if "`--as`" in table.columns]
    assert table.column("`--as`") == [f"`{name}`" for name in get_args(FormatName)]
