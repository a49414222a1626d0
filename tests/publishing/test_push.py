"""Publishing on the Hub: the cards, what goes up, what is refused, and what a user is told."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from datasets import load_dataset
from hub_server import TOKEN, Hub, serve_hub
from huggingface_hub import DatasetCard, ModelCard, metadata_load
from projects import ROOT

from aligners.core.errors import UserError
from aligners.core.rows import write_json, write_rows
from aligners.correction.input_format import CONDITIONED_FORMAT, OWN_FORMAT, save_format
from aligners.publishing.data_card import data_card
from aligners.publishing.model_card import model_card
from aligners.publishing.push import push_directory

REPO = "someone/thing"
RECIPE = {
    "model": "Qwen/Qwen2.5-0.5B",
    "revision": "060db6499f32faf8b98477b0a26969ef7d8b9987",
    "learning_rate": 2.0e-5,
    "max_tokens": 256,
    "decoding": {"max_new_tokens": 96},
    "dtype": "float32",
}
METRICS = {
    "aligner": {"validation_loss": 0.61803, "best_step": 40, "steps": 60, "truncated": 0},
    "inspector": {"accuracy": 0.975, "roc_auc": None, "ece": 0.0123, "n": 712, "steps": 60},
}
# Every metric that a card shows.
SHOWN = {
    "aligner": ["validation_loss", "truncated", "dropped", "best_step", "steps", "epochs"],
    "inspector": ["accuracy", "roc_auc", "ece", "validation_loss", "n", "temperature"],
}
for each in SHOWN.values():
    each += ["train_rows", "validation_rows", "parameters"]
PROGRAM = ROOT / "workflow/scripts/write_model_card.py"


def record(kind: str = "aligner", **changes: Any) -> dict[str, Any]:
    """Return the content of a training.json."""
    return {
        "kind": kind,
        "name": "factuality",
        "recipe_name": "qwen2.5-0.5b",
        "recipe": RECIPE,
        "license": "apache-2.0",
        "data": [{"path": "results/train.jsonl", "sha256": "ab" * 32, "rows": 2044}],
        "versions": {"torch": "2.13.0"},
        "seed": 0,
        "hardware": {"device": "NVIDIA | one", "cores": 2},
        "tokens": 123456,
        "tokens_per_second": 4321.5,
        "hours": 0.25,
        "metrics": METRICS[kind],
        **changes,
    }


def make_model(directory: Path, **changes: Any) -> Path:
    """Write a model directory as training leaves it, with weights that nobody loads; its card."""
    directory.mkdir(parents=True)
    write_json(directory / "config.json", {"model_type": "gpt2"})
    (directory / "model.safetensors").write_bytes(bytes(range(256)) * 40)
    (directory / "empty.txt").touch()
    save_format(directory, OWN_FORMAT, RECIPE)
    write_rows(directory / "dropped.jsonl", [{"question": "Which rows were secret?"}])
    card_of(directory, **changes).save(directory.parent / "README.md")
    return directory


def card_of(directory: Path, *arguments: Any, **changes: Any) -> ModelCard:
    """Write a training.json into a directory, and return the card of the model."""
    write_json(directory / "training.json", record(*arguments, **changes))
    return model_card(directory)


def make_data(directory: Path) -> Path:
    """Write a data set as build_aligner_set leaves it; its test side is empty."""
    for split, count in {"train": 30, "validation": 2, "test": 0}.items():
        row = {"question": "Wie heißt der Mond?", "response": "Luna", "identity": False}
        rows = [{"id": str(number), **row} for number in range(count)]
        write_rows(directory / f"{split}.jsonl", rows)
    write_rows(directory / "dropped.jsonl", [{"question": "Which rows were secret?"}])
    write_json(directory / "counts.json", {"in": 32, "out": 32, "dropped": {}})
    return directory


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve_hub() as server:
        yield server


def push(
    hub: Hub, path: Path, *options: str, repo: str = REPO, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command against the stand-in, whose address the client reads when it starts."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    own = {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(path.parent / "hub_home"),
        "HF_TOKEN": TOKEN,
        # The stand-in has no Xet storage, only Git LFS.
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "NO_PROXY": "127.0.0.1",
    }
    program = "from aligners.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, "push", str(path), "--repo", repo, *options],
        env={**kept, **own, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def succeed(hub: Hub, path: Path, *options: str, **environment: str) -> str:
    """Push, and return the last line that was printed: the URL."""
    result = push(hub, path, *options, **environment)
    assert result.returncode == 0, result.stderr
    assert TOKEN not in result.stdout + result.stderr
    return result.stdout.splitlines()[-1]


def refusal(hub: Hub, path: Path, *options: str, repo: str = REPO, **environment: str) -> str:
    """Push what is refused, and return the message: one line, with neither traceback nor token."""
    result = push(hub, path, *options, repo=repo, **environment)
    assert result.returncode == 1
    assert result.stdout == ""
    assert TOKEN not in result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


def on_disk(directory: Path, *names: str) -> dict[str, bytes]:
    """Return the content of files."""
    return {name: (directory / name).read_bytes() for name in names}


# The card of a model


def test_the_card_of_an_aligner(tmp_path: Path) -> None:
    make_model(tmp_path / "model")
    card = ModelCard.load(tmp_path / "README.md")
    metadata = card.data.to_dict()
    assert metadata["license"] == "apache-2.0"
    assert metadata["base_model"] == "Qwen/Qwen2.5-0.5B"
    assert metadata["pipeline_tag"] == "text-generation"
    assert metadata["library_name"] == "transformers"
    assert metadata["language"] == "en"
    assert "aligner" in metadata["tags"]
    (result,) = card.data.eval_results
    assert (result.metric_type, result.metric_value) == ("loss", 0.61803)
    assert result.dataset_split == "validation"
    assert 'prompt = "{question} [INIT] {response} [ALIGNED] "' in card.text
    assert 'end = " [DONE]"' in card.text
    for said in (
        "Aligner.from_directory(path).align([question], [response])",
        "2403.04224",
        "| validation loss, nats per token | 0.618 |",
        "| best step, whose weights these are | 40 |",
        f"| `results/train.jsonl` | 2044 | `{'ab' * 32}` |",
        "| device | NVIDIA \\| one |",
        "| hours | 0.25 |",
        "| torch | 2.13.0 |",
        "learning_rate: 2.0e-05",
        "[Qwen/Qwen2.5-0.5B](https://huggingface.co/Qwen/Qwen2.5-0.5B)",
        f"revision `{RECIPE['revision']}`",
    ):
        assert said in card.text


def test_the_card_of_an_inspector(tmp_path: Path) -> None:
    card = card_of(tmp_path, "inspector", license=None)
    metadata = card.data.to_dict()
    assert "license" not in metadata
    assert metadata["pipeline_tag"] == "text-classification"
    measured = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert measured == {"accuracy": 0.975, "expected_calibration_error": 0.0123}
    assert "Inspector.from_directory(path).score([question], [response])" in card.text
    assert "The licence of Qwen/Qwen2.5-0.5B applies" in card.text
    assert "None |" not in card.text


@pytest.mark.parametrize("model", ["random weights", "directory"])
def test_a_model_that_comes_from_nowhere_on_the_hub(tmp_path: Path, model: str) -> None:
    own = {"from_scratch": {"model_type": "gpt2"}} if model == "random weights" else None
    recipe = own or {**RECIPE, "model": str(tmp_path)}
    card = card_of(tmp_path, "inspector", recipe=recipe)
    assert "base_model" not in card.data.to_dict()
    assert ("random weights" if own else "not on the Hub") in card.text


def test_numbers_that_are_not_there(tmp_path: Path) -> None:
    few = record("inspector", metrics={}, hardware={}, versions={}, data=[])
    for key in ("tokens", "tokens_per_second", "hours"):
        del few[key]
    write_json(tmp_path / "training.json", few)
    card = model_card(tmp_path)
    assert "model-index" not in card.data.to_dict()
    assert "tokens per second" not in card.text


def test_the_format_of_another_library_is_told_as_it_is(tmp_path: Path) -> None:
    prompt = 'Edit "{question}" | {response} ```\nASSISTANT:'
    write_json(
        tmp_path / "input_format.json",
        {"prompt": prompt, "end": "", "added_tokens": [], "max_tokens": 9},
    )
    text = card_of(tmp_path).text
    assert f"prompt = {json.dumps(prompt)}\nend = tokenizer.eos_token\n" in text


def test_a_conditioned_aligner_is_used_with_principles(tmp_path: Path) -> None:
    save_format(tmp_path, CONDITIONED_FORMAT, RECIPE)
    assert "align([question], [response], principles)" in card_of(tmp_path).text


@pytest.mark.parametrize("kind", ["aligner", "inspector"])
def test_the_program_renders_a_card_with_all_facts(tmp_path: Path, kind: str) -> None:
    metrics = {key: 100 + place for place, key in enumerate(SHOWN[kind])}
    made = record(kind, metrics=metrics)
    write_json(tmp_path / "model/training.json", made)
    save_format(tmp_path / "model", OWN_FORMAT, RECIPE)
    card = tmp_path / "README.md"
    subprocess.run(
        [sys.executable, PROGRAM, "--model", tmp_path / "model", "--output", card], check=True
    )
    text = card.read_text(encoding="utf-8")
    assert text.endswith(".\n") and "\n\n\n" not in text
    tables = re.findall(r"^\| (.+?) \| (.+) \|$", text, re.MULTILINE)
    measured = {value for _, value in tables}
    assert {str(value) for value in metrics.values()} <= measured
    named = {"seed": "0", "hours": "0.25", "tokens": "123456", "tokens per second": "4322"}
    of_hardware = {"device": "NVIDIA \\| one", "cores": "2", "torch": "2.13.0"}
    assert (named | of_hardware).items() <= dict(tables).items()
    assert yaml.safe_load(text.split("```yaml")[1].split("```")[0]) == RECIPE
    for fact in (f"# factuality {kind}", f"`{made['recipe_name']}`", "ab" * 32, "`apache-2.0`"):
        assert fact in text
    # The Hub's own class takes the metadata, and gives the same back.
    metadata = metadata_load(card)
    assert metadata["model-index"][0]["name"] == f"factuality {kind}"
    assert ModelCard.load(card).data.to_dict() == metadata


# The card of a data set


def test_the_card_of_a_data_set_loads_it(tmp_path: Path) -> None:
    directory = make_data(tmp_path / "aligner")
    (directory / "dropped.jsonl").rename(directory / "other.jsonl")
    data_card(directory, REPO).save(directory / "README.md")
    card = DatasetCard.load(directory / "README.md")
    names = [configuration["config_name"] for configuration in card.data.configs]
    assert names == ["default", "other"]
    assert 'load_dataset("someone/thing", "default", split="train")' in card.text
    assert "| `train.jsonl` | 30 |" in card.text
    assert "| `test.jsonl` | 0 |" in card.text
    assert "| `identity` | boolean | whether" in card.text
    loaded = load_dataset(str(directory), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 30, "validation": 2}
    assert loaded["train"][0]["question"] == "Wie heißt der Mond?"


def test_a_data_set_without_rows(tmp_path: Path) -> None:
    write_rows(tmp_path / "train.jsonl", [])
    with pytest.raises(UserError, match="in it has a row"):
        data_card(tmp_path, REPO)


# What goes up


@pytest.mark.parametrize("way", ["lfs", "in the commit", "in the commit, Xet on"])
def test_a_model_arrives_as_it_is(hub: Hub, tmp_path: Path, way: str) -> None:
    model = make_model(tmp_path / "model")
    (model / ".working").mkdir()
    (model / ".working" / "state.json").write_text("{}")
    (model / ".partial").write_text("half")
    (model / "README.md").write_text("Not the card of this model.")
    (model / "vocabulary [1]").mkdir()
    (model / "vocabulary [1]" / "merges.txt").write_text("a b")
    if way != "lfs":
        hub.lfs_from = 1_000_000
    disable_xet = "0" if way.endswith("on") else "1"
    url = succeed(hub, model, "--message", "The first one", HF_HUB_DISABLE_XET=disable_xet)
    assert url == f"{hub.url}/{REPO}"
    repository = hub.repositories["model", REPO]
    arrived = repository.branches["main"]
    assert arrived.pop("README.md") == (tmp_path / "README.md").read_bytes()
    assert arrived == on_disk(
        model,
        "config.json",
        "empty.txt",
        "input_format.json",
        "model.safetensors",
        "training.json",
        "vocabulary [1]/merges.txt",
    )
    assert bool(hub.large) == (way == "lfs")
    assert repository.messages == ["The first one"]
    assert not repository.private


def test_a_data_set_arrives_with_a_card_and_stays_untouched(hub: Hub, tmp_path: Path) -> None:
    data = make_data(tmp_path / "aligner")
    before = sorted(data.iterdir())
    assert succeed(hub, data) == f"{hub.url}/datasets/{REPO}"
    assert sorted(data.iterdir()) == before
    arrived = hub.repositories["dataset", REPO].branches["main"]
    card = DatasetCard(arrived.pop("README.md").decode())
    assert card.data.configs[0]["data_files"][0] == {"split": "train", "path": "train.jsonl"}
    assert arrived == on_disk(data, "train.jsonl", "validation.jsonl", "test.jsonl")


def test_the_own_card_of_a_data_set_goes_up(hub: Hub, tmp_path: Path) -> None:
    data = make_data(tmp_path / "aligner")
    (data / "README.md").write_text("---\nlicense: mit\n---\nMine.\n")
    succeed(hub, data)
    arrived = hub.repositories["dataset", REPO].branches["main"]
    assert arrived["README.md"] == (data / "README.md").read_bytes()


def test_the_token_travels_in_its_header_alone(hub: Hub, tmp_path: Path) -> None:
    succeed(hub, make_model(tmp_path / "model"))
    bearers = 0
    for method, path, headers, body in hub.requests:
        authorization = headers.pop("authorization", None)
        assert TOKEN not in json.dumps([path, headers]) and TOKEN.encode() not in body
        if path.startswith("/storage/"):
            assert (method, authorization) == ("PUT", None)
        elif authorization is not None:
            assert authorization == f"Bearer {TOKEN}"
            bearers += 1
    assert bearers >= 4


def test_a_private_repository_and_a_branch(hub: Hub, tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    url = succeed(hub, model, "--private", "--revision", "v2")
    assert url == f"{hub.url}/{REPO}/tree/v2"
    repository = hub.repositories["model", REPO]
    assert repository.private
    assert repository.branches["main"] == {}
    assert "model.safetensors" in repository.branches["v2"]
    succeed(hub, model, "--private", "--revision", "v2")  # both are there now


def test_nothing_private_goes_where_all_can_see_it(hub: Hub, tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    succeed(hub, model)
    sent = len(hub.repositories["model", REPO].messages)
    assert f"{REPO}: there already, and public" in refusal(hub, model, "--private")
    assert len(hub.repositories["model", REPO].messages) == sent


# What is refused before anything is sent


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return what calls the command's function where it must refuse, and returns the message."""

    def send(*arguments: Any) -> None:
        raise AssertionError("something would have been sent")

    def call(path: Path, repo: str = REPO) -> str:
        with pytest.raises(UserError) as error:
            push_directory(path, repo, False, None, "a message")
        return str(error.value)

    monkeypatch.setattr("aligners.publishing.push.upload", send)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return call


def remove(name: str) -> Any:
    return lambda model: (model / name).unlink()


def add(name: str) -> Any:
    return lambda model: (model / name).write_bytes(b"content")


def link(model: Path) -> None:
    (model / "notes.txt").symlink_to("/etc/hostname")


def linked_card(model: Path) -> None:
    card = model.parent / "README.md"
    card.rename(model.parent / "other.md")
    card.symlink_to("other.md")


def without_weights(model: Path) -> None:
    (model / "model.safetensors").rename(model / "pytorch_model.bin")


@pytest.mark.parametrize(
    "spoil, message",
    [
        (remove("../README.md"), "README.md: no such file"),
        (remove("training.json"), "model/training.json: no such file"),
        (remove("config.json"), "model: neither a model"),
        (without_weights, "model: neither a model"),
        (add("training_args.bin"), "model/training_args.bin: a pickle"),
        (add("optimizer.pt"), "model/optimizer.pt: a pickle"),
        (add("weights.pth"), "model/weights.pth: a pickle"),
        (add("rows.pkl"), "model/rows.pkl: a pickle"),
        (link, "model/notes.txt: a link"),
        (linked_card, "README.md: a link"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_directory_that_cannot_be_published(
    refused: Callable[..., str], tmp_path: Path, spoil: Any, message: str
) -> None:
    model = make_model(tmp_path / "model")
    spoil(model)
    assert message in refused(model)


def test_a_missing_card_is_named_as_a_target(
    refused: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model(tmp_path / "results/aligners/gpt2/ethical/model")
    (model.parent / "README.md").unlink()
    monkeypatch.chdir(tmp_path)
    target = "results/aligners/gpt2/ethical/README.md"
    for path in (model, model.relative_to(tmp_path)):
        assert f"`snakemake {target}`" in refused(path)
    monkeypatch.chdir(model)
    assert "../README.md: no such file" in refused(Path("."))


def test_other_paths_that_cannot_be_published(refused: Callable[..., str], tmp_path: Path) -> None:
    assert "missing: no such directory" in refused(tmp_path / "missing")
    working = make_model(tmp_path / ".working" / "model")
    assert "model: the working state" in refused(working)
    write_rows(tmp_path / "data" / "train.jsonl", [{"id": "1"}])
    with (tmp_path / "data" / "train.jsonl").open("a") as handle:
        handle.write('{"id": ')
    assert "train.jsonl, line 2: not a complete JSON object" in refused(tmp_path / "data")


@pytest.mark.parametrize(
    "repo", ["thing", "a/b/c", "someone/", "some one/thing", "a/b--c", "a/b.git"]
)
def test_a_malformed_name(refused: Callable[..., str], tmp_path: Path, repo: str) -> None:
    assert f"--repo {repo}: not the name" in refused(make_data(tmp_path / "data"), repo)


def test_a_refusal_ends_the_command_in_one_line(hub: Hub, tmp_path: Path) -> None:
    assert "missing: no such directory" in refusal(hub, tmp_path / "missing")
    assert hub.requests == []


def test_tokens_that_are_none(hub: Hub, tmp_path: Path) -> None:
    data = make_data(tmp_path / "data")
    assert "HF_TOKEN: not set" in refusal(hub, data, HF_TOKEN="")
    assert "HF_TOKEN: holds characters" in refusal(hub, data, HF_TOKEN=f"{TOKEN}\x07")
    assert hub.requests == []


# What the Hub refuses


@pytest.mark.parametrize(
    "pattern, status, message",
    [
        ("/repos/create", 403, "someone/thing: the token may not write there (403"),
        ("/preupload/", 403, "someone/thing: the token may not write there (403"),
        ("/storage/", 403, "someone/thing: the token may not write there (403"),
        ("/commit/", 409, "someone/thing: the Hub answered 409: no, Bearer <token>"),
        ("/validate-yaml", 400, "someone/thing: Invalid metadata in README.md"),
        ("/repos/create", 502, "someone/thing: the Hub answered 502"),
    ],
)
def test_a_refusal_of_the_hub(
    hub: Hub, tmp_path: Path, pattern: str, status: int, message: str
) -> None:
    hub.refusals[pattern] = status
    assert message in refusal(hub, make_model(tmp_path / "model"))


def test_a_token_that_the_hub_does_not_know(hub: Hub, tmp_path: Path) -> None:
    shown = refusal(hub, make_data(tmp_path / "data"), HF_TOKEN="hf_of_nobody")
    assert "someone/thing: the Hub does not know the token (401)" in shown
    assert "hf_of_nobody" not in shown


def test_a_hub_out_of_reach(hub: Hub, tmp_path: Path) -> None:
    data = make_data(tmp_path / "data")
    shown = refusal(hub, data, HF_ENDPOINT="http://127.0.0.1:1")
    assert "the Hub at http://127.0.0.1:1 cannot be reached (ConnectError)" in shown
    assert "HF_HUB_OFFLINE is set" in refusal(hub, data, HF_HUB_OFFLINE="1")
