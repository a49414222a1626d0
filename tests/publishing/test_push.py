"""Publishing on the Hub: the cards, the published files, and the errors."""

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
from recipes import make_recipe

from aligners.configuration.kinds.backbones import BackboneRecipe
from aligners.core.errors import UserError
from aligners.core.rows import write_json, write_rows
from aligners.correction.input_format import (
    PAPER_FORMAT,
    InputFormat,
    conditioned,
    save_format,
)
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
    "inspector": {"accuracy": 0.975, "roc_auc": None, "ece": 0.0123, "brier": 0.02, "n": 712},
}
# Every metric that a card shows.
SHOWN_FOR_BOTH = ["validation_loss", "train_rows", "validation_rows", "parameters"]
SHOWN = {
    "aligner": [*SHOWN_FOR_BOTH, "truncated", "dropped", "best_step", "steps", "epochs"],
    "inspector": [
        *(*SHOWN_FOR_BOTH, "accuracy", "roc_auc", "ece", "brier", "n"),
        *("temperature", "calibration_rows", "threshold"),
    ],
}
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
    """Write a model directory as training does, but with made-up weights, and its card."""
    directory.mkdir(parents=True)
    write_json(directory / "config.json", {"model_type": "gpt2"})
    (directory / "model.safetensors").write_bytes(bytes(range(256)) * 40)
    (directory / "empty.txt").touch()
    save_format(directory, PAPER_FORMAT, make_recipe(BackboneRecipe, **RECIPE))
    write_rows(directory / "dropped.jsonl", [{"question": "Which rows were secret?"}])
    card_of(directory, **changes).save(directory.parent / "README.md")
    return directory


def card_of(directory: Path, kind: str = "aligner", **changes: Any) -> ModelCard:
    """Write a training.json into a directory, and return the card of the model."""
    write_json(directory / "training.json", record(kind, **changes))
    return model_card(directory, ["en"])


def make_data(directory: Path) -> Path:
    """Write a data set as build_aligner_set does; its test split is empty."""
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
    hub: Hub, path: Path, *options: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command against the fake Hub; its client reads the address when it starts."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    settings = {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(path.parent / "hub_home"),
        "HF_TOKEN": TOKEN,
        # The fake Hub has no Xet storage, only Git LFS.
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "NO_PROXY": "127.0.0.1",
    }
    program = "from aligners.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, "push", str(path), "--repo", REPO, *options],
        env={**inherited, **settings, **environment},
        capture_output=True,
        text=True,
        timeout=600,
    )


def push_url(hub: Hub, path: Path, *options: str, **environment: str) -> str:
    """Push, and return the last line that was printed, which is the URL."""
    result = push(hub, path, *options, **environment)
    assert result.returncode == 0, result.stderr
    assert TOKEN not in result.stdout + result.stderr
    return result.stdout.splitlines()[-1]


def push_error(hub: Hub, path: Path, *options: str, **environment: str) -> str:
    """Push, which has to fail, and return the message: one line without traceback and token."""
    result = push(hub, path, *options, **environment)
    assert result.returncode == 1
    assert result.stdout == ""
    assert TOKEN not in result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


def read_files(directory: Path, *names: str) -> dict[str, bytes]:
    """Return the content of files by name."""
    return {name: (directory / name).read_bytes() for name in names}


# The card of a model


def test_the_card_of_an_aligner_has_metadata_use_and_training_record(tmp_path: Path) -> None:
    make_model(tmp_path / "model")
    card = ModelCard.load(tmp_path / "README.md")
    metadata = card.data.to_dict()
    assert metadata["license"] == "apache-2.0"
    assert metadata["base_model"] == "Qwen/Qwen2.5-0.5B"
    assert metadata["pipeline_tag"] == "text-generation"
    assert metadata["library_name"] == "transformers"
    assert metadata["language"] == ["en"]
    assert "aligner" in metadata["tags"]
    (result,) = card.data.eval_results
    assert (result.metric_type, result.metric_value) == ("loss", 0.61803)
    assert result.dataset_split == "validation"
    assert 'prompt = "{question} [INIT] {response} [ALIGNED] "' in card.text
    assert 'end = " [DONE]"' in card.text
    for text in (
        "Aligner.from_directory(path).align([question], [response])",
        "2403.04224",
        "| validation loss, nats per token | 0.618 |",
        "| best step (the step of these weights) | 40 |",
        f"| `results/train.jsonl` | 2044 | `{'ab' * 32}` |",
        "| device | NVIDIA \\| one |",
        "| hours | 0.25 |",
        "| torch | 2.13.0 |",
        "learning_rate: 2.0e-05",
        "[Qwen/Qwen2.5-0.5B](https://huggingface.co/Qwen/Qwen2.5-0.5B)",
        f"revision `{RECIPE['revision']}`",
    ):
        assert text in card.text


def test_the_card_of_an_inspector_has_metrics_use_and_licence(tmp_path: Path) -> None:
    card = card_of(tmp_path, "inspector", license=None)
    metadata = card.data.to_dict()
    assert "license" not in metadata
    assert metadata["pipeline_tag"] == "text-classification"
    measured = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert measured == {
        "accuracy": 0.975,
        "expected_calibration_error": 0.0123,
        "brier_score": 0.02,
    }
    assert "inspector.score([question], [response])" in card.text
    assert "The licence of Qwen/Qwen2.5-0.5B applies" in card.text
    assert "None |" not in card.text


@pytest.mark.parametrize("model", ["random weights", "directory"])
def test_a_model_that_did_not_start_from_the_hub_has_no_base_model(
    tmp_path: Path, model: str
) -> None:
    from_scratch = {"from_scratch": {"model_type": "gpt2"}}
    recipe = from_scratch if model == "random weights" else {**RECIPE, "model": str(tmp_path)}
    card = card_of(tmp_path, "inspector", recipe=recipe)
    assert "base_model" not in card.data.to_dict()
    assert ("random weights" if model == "random weights" else "not on the Hub") in card.text


def test_missing_numbers_are_left_out_of_the_card(tmp_path: Path) -> None:
    incomplete = record("inspector", metrics={}, hardware={}, versions={}, data=[])
    for key in ("tokens", "tokens_per_second", "hours"):
        del incomplete[key]
    write_json(tmp_path / "training.json", incomplete)
    card = model_card(tmp_path, ["en"])
    assert "model-index" not in card.data.to_dict()
    assert "tokens per second" not in card.text


def test_the_card_names_the_languages_and_a_licence_that_forbids_commerce(tmp_path: Path) -> None:
    free = {"path": "results/train.jsonl", "sha256": "ab" * 32, "rows": 7, "licenses": ["MIT"]}
    bound = {**free, "path": "results/validation.jsonl", "licenses": ["CC BY-NC 4.0", "MIT"]}
    write_json(tmp_path / "training.json", record("inspector", data=[free, bound]))
    card = model_card(tmp_path, ["de", "en"])
    assert card.data.to_dict()["language"] == ["de", "en"]
    assert (
        "**Not for commercial use:** some of its training data have the licence CC BY-NC 4.0."
        in (card.text)
    )
    write_json(tmp_path / "training.json", record("inspector", data=[free]))
    assert "commercial" not in model_card(tmp_path, ["en"]).text


def test_the_card_of_an_external_format_has_its_prompt_unchanged(tmp_path: Path) -> None:
    prompt = 'Edit "{question}" | {response} ```\nASSISTANT:'
    save_format(tmp_path, InputFormat(prompt), make_recipe(BackboneRecipe, **RECIPE))
    text = card_of(tmp_path).text
    assert f"prompt = {json.dumps(prompt)}\nend = tokenizer.eos_token\n" in text


def test_the_card_of_a_conditioned_aligner_uses_principles(tmp_path: Path) -> None:
    save_format(tmp_path, conditioned(PAPER_FORMAT), make_recipe(BackboneRecipe, **RECIPE))
    assert "align([question], [response], principles)" in card_of(tmp_path).text


@pytest.mark.parametrize("kind", ["aligner", "inspector"])
def test_the_program_writes_a_card_with_the_whole_training_record(
    tmp_path: Path, kind: str
) -> None:
    metrics = {key: number for number, key in enumerate(SHOWN[kind], start=100)}
    training = record(kind, metrics=metrics)
    write_json(tmp_path / "model/training.json", training)
    save_format(tmp_path / "model", PAPER_FORMAT, make_recipe(BackboneRecipe, **RECIPE))
    card = tmp_path / "README.md"
    subprocess.run(
        [
            *[sys.executable, PROGRAM, "--model", tmp_path / "model", "--output", card],
            *["--criteria", "ethical"],
        ],
        check=True,
    )
    text = card.read_text(encoding="utf-8")
    assert text.endswith(".\n") and "\n\n\n" not in text
    cells = re.findall(r"^\| (.+?) \| (.+) \|$", text, re.MULTILINE)
    assert {str(value) for value in metrics.values()} <= {value for _, value in cells}
    numbers = {"seed": "0", "hours": "0.25", "tokens": "123456", "tokens per second": "4322"}
    hardware = {"device": "NVIDIA \\| one", "cores": "2", "torch": "2.13.0"}
    assert (numbers | hardware).items() <= dict(cells).items()
    assert yaml.safe_load(text.split("```yaml")[1].split("```")[0]) == RECIPE
    for part in (f"# factuality {kind}", "`qwen2.5-0.5b`", "ab" * 32, "`apache-2.0`"):
        assert part in text
    # The Hub's own class reads the metadata without a change.
    metadata = metadata_load(card)
    assert metadata["model-index"][0]["name"] == f"factuality {kind}"
    assert ModelCard.load(card).data.to_dict() == metadata


# The card of a data set


def test_datasets_loads_a_data_set_by_its_card(tmp_path: Path) -> None:
    directory = make_data(tmp_path / "aligner")
    (directory / "dropped.jsonl").rename(directory / "other.jsonl")
    data_card(directory, REPO).save(directory / "README.md")
    card = DatasetCard.load(directory / "README.md")
    names = [config["config_name"] for config in card.data.configs]
    assert names == ["default", "other"]
    assert 'load_dataset("someone/thing", "default", split="train")' in card.text
    assert "| `train.jsonl` | 30 |" in card.text
    assert "| `test.jsonl` | 0 |" in card.text
    assert "| `identity` | boolean | whether" in card.text
    loaded = load_dataset(str(directory), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 30, "validation": 2}
    assert loaded["train"][0]["question"] == "Wie heißt der Mond?"


def test_a_data_set_without_rows_is_an_error(tmp_path: Path) -> None:
    write_rows(tmp_path / "train.jsonl", [])
    with pytest.raises(UserError, match=rf"{re.escape(str(tmp_path))}: .*\*\.jsonl"):
        data_card(tmp_path, REPO)


# Published files


@pytest.mark.parametrize("upload", ["lfs", "in the commit", "in the commit, Xet on"])
def test_a_model_is_published_with_its_card_and_without_hidden_files(
    hub: Hub, tmp_path: Path, upload: str
) -> None:
    model = make_model(tmp_path / "model")
    (model / ".working").mkdir()
    (model / ".working" / "state.json").write_text("{}")
    (model / ".partial").write_text("half")
    (model / "README.md").write_text("Not the card of this model.")
    (model / "vocabulary [1]").mkdir()
    (model / "vocabulary [1]" / "merges.txt").write_text("a b")
    if upload != "lfs":
        hub.lfs_from = 1_000_000
    disable_xet = "0" if upload.endswith("on") else "1"
    url = push_url(hub, model, "--message", "The first one", HF_HUB_DISABLE_XET=disable_xet)
    assert url == f"{hub.url}/{REPO}"
    repository = hub.repositories["model", REPO]
    published = repository.branches["main"]
    assert published.pop("README.md") == (tmp_path / "README.md").read_bytes()
    assert published == read_files(
        model,
        "config.json",
        "empty.txt",
        "input_format.json",
        "model.safetensors",
        "training.json",
        "vocabulary [1]/merges.txt",
    )
    assert bool(hub.large) == (upload == "lfs")
    assert repository.messages == ["The first one"]
    assert not repository.private


def test_a_data_set_is_published_with_a_new_card_and_is_not_changed(
    hub: Hub, tmp_path: Path
) -> None:
    data = make_data(tmp_path / "aligner")
    before = sorted(data.iterdir())
    assert push_url(hub, data) == f"{hub.url}/datasets/{REPO}"
    assert sorted(data.iterdir()) == before
    published = hub.repositories["dataset", REPO].branches["main"]
    card = DatasetCard(published.pop("README.md").decode())
    assert card.data.configs[0]["data_files"][0] == {"split": "train", "path": "train.jsonl"}
    assert published == read_files(data, "train.jsonl", "validation.jsonl", "test.jsonl")


def test_a_licence_that_forbids_commerce_is_printed_before_anything_is_sent(
    hub: Hub, tmp_path: Path
) -> None:
    data = tmp_path / "results/synthetic/ethical/inspector"
    data.mkdir(parents=True)
    rows = [{"question": "Why?", "license": "CC BY-NC 4.0"}, {"question": "So?", "license": "MIT"}]
    write_rows(data / "train.jsonl", rows)
    first, url = push(hub, data).stdout.splitlines()
    assert first == "Not for commercial use: data with the licence CC BY-NC 4.0."
    assert url == f"{hub.url}/datasets/{REPO}"
    published = hub.repositories["dataset", REPO].branches["main"]
    assert DatasetCard(published["README.md"].decode()).data.language == ["en"]
    source = {"path": "t", "sha256": "ab" * 32, "rows": 1, "licenses": ["CC BY-NC 4.0"]}
    model = make_model(tmp_path / "made/model", data=[source])
    assert push(hub, model).stdout.splitlines()[0] == first


def test_a_data_set_with_a_card_is_published_with_this_card(hub: Hub, tmp_path: Path) -> None:
    data = make_data(tmp_path / "aligner")
    (data / "README.md").write_text("---\nlicense: mit\n---\nMine.\n")
    push_url(hub, data)
    published = hub.repositories["dataset", REPO].branches["main"]
    assert published["README.md"] == (data / "README.md").read_bytes()


def test_the_token_is_sent_to_the_hub_in_its_header_only(hub: Hub, tmp_path: Path) -> None:
    push_url(hub, make_model(tmp_path / "model"))
    with_token = 0
    for method, path, headers, body in hub.requests:
        authorization = headers.pop("authorization", None)
        assert TOKEN not in json.dumps([path, headers]) and TOKEN.encode() not in body
        if path.startswith("/storage/"):
            assert (method, authorization) == ("PUT", None)
        elif authorization is not None:
            assert authorization == f"Bearer {TOKEN}"
            with_token += 1
    assert with_token >= 4


def test_a_model_is_published_on_a_branch_of_a_private_repository(hub: Hub, tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    url = push_url(hub, model, "--private", "--revision", "v2")
    assert url == f"{hub.url}/{REPO}/tree/v2"
    repository = hub.repositories["model", REPO]
    assert repository.private
    assert repository.branches["main"] == {}
    assert "model.safetensors" in repository.branches["v2"]
    # Again, now that both exist.
    push_url(hub, model, "--private", "--revision", "v2")


def test_a_public_repository_does_not_get_a_private_model(hub: Hub, tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    push_url(hub, model)
    commits = len(hub.repositories["model", REPO].messages)
    message = push_error(hub, model, "--private")
    assert f"{REPO}: " in message and "public" in message
    assert len(hub.repositories["model", REPO].messages) == commits


# Errors before anything is sent


@pytest.fixture
def error_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """A function that publishes a directory, which has to fail early, and returns the message."""

    def upload(*arguments: Any) -> None:
        raise AssertionError("upload was called")

    def publish(path: Path, repo: str = REPO) -> str:
        with pytest.raises(UserError) as error:
            push_directory(path, repo, False, None, "a message")
        return str(error.value)

    monkeypatch.setattr("aligners.publishing.push.upload", upload)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return publish


def remove(name: str) -> Any:
    return lambda model: (model / name).unlink()


def add(name: str) -> Any:
    return lambda model: (model / name).write_bytes(b"content")


def add_link(model: Path) -> None:
    (model / "notes.txt").symlink_to("/etc/hostname")


def link_card(model: Path) -> None:
    card = model.parent / "README.md"
    card.rename(model.parent / "other.md")
    card.symlink_to("other.md")


def rename_weights(model: Path) -> None:
    (model / "model.safetensors").rename(model / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("change", "file", "remedy"),
    [
        (remove("../README.md"), "README.md", "snakemake"),
        (remove("training.json"), "model/training.json", "train"),
        (remove("config.json"), "model", "config.json"),
        (rename_weights, "model", "*.safetensors"),
        (add("training_args.bin"), "model/training_args.bin", "safetensors"),
        (add("optimizer.pt"), "model/optimizer.pt", "safetensors"),
        (add("weights.pth"), "model/weights.pth", "safetensors"),
        (add("rows.pkl"), "model/rows.pkl", "safetensors"),
        (add_link, "model/notes.txt", "link"),
        (link_card, "README.md", "link"),
    ],
)
def test_a_model_directory_with_a_fault_is_an_error(
    error_of: Callable[..., str], tmp_path: Path, change: Any, file: str, remedy: str
) -> None:
    model = make_model(tmp_path / "model")
    change(model)
    message = error_of(model)
    assert f"{file}: " in message and remedy in message


def test_the_error_of_a_missing_card_names_its_target(
    error_of: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model(tmp_path / "results/aligners/gpt2/ethical/model")
    (model.parent / "README.md").unlink()
    monkeypatch.chdir(tmp_path)
    target = "results/aligners/gpt2/ethical/README.md"
    for path in (model, model.relative_to(tmp_path)):
        assert f"`snakemake {target}`" in error_of(path)
    monkeypatch.chdir(model)
    assert "`snakemake ../README.md`" in error_of(Path("."))


def test_a_missing_directory_is_an_error(error_of: Callable[..., str], tmp_path: Path) -> None:
    assert f"{tmp_path}/missing: " in error_of(tmp_path / "missing")


def test_working_state_is_an_error(error_of: Callable[..., str], tmp_path: Path) -> None:
    message = error_of(make_model(tmp_path / ".working" / "model"))
    assert ".working/model: " in message and "output directory" in message


def test_a_damaged_row_is_an_error(error_of: Callable[..., str], tmp_path: Path) -> None:
    write_rows(tmp_path / "train.jsonl", [{"id": "1"}])
    with (tmp_path / "train.jsonl").open("a") as handle:
        handle.write('{"id": ')
    assert "train.jsonl, line 2: " in error_of(tmp_path)


@pytest.mark.parametrize(
    "repo", ["thing", "a/b/c", "someone/", "some one/thing", "a/b--c", "a/b.git"]
)
def test_a_malformed_name_is_an_error(
    error_of: Callable[..., str], tmp_path: Path, repo: str
) -> None:
    message = error_of(make_data(tmp_path / "data"), repo)
    assert f"--repo {repo}: " in message and "owner/name" in message


def test_an_error_of_the_command_is_one_line(hub: Hub, tmp_path: Path) -> None:
    assert "missing: " in push_error(hub, tmp_path / "missing")
    assert hub.requests == []


def test_a_missing_or_malformed_token_is_an_error(hub: Hub, tmp_path: Path) -> None:
    data = make_data(tmp_path / "data")
    assert "HF_TOKEN: not set" in push_error(hub, data, HF_TOKEN="")
    malformed = push_error(hub, data, HF_TOKEN=f"{TOKEN}\x07")
    assert "HF_TOKEN: " in malformed and "characters" in malformed
    assert hub.requests == []


# Errors of the Hub


@pytest.mark.parametrize(
    ("pattern", "status", "parts"),
    [
        ("/repos/create", 403, ["403", "write access"]),
        ("/preupload/", 403, ["403", "write access"]),
        ("/storage/", 403, ["403", "write access"]),
        ("/commit/", 409, ["409", "no, Bearer <token>"]),
        ("/validate-yaml", 400, ["README.md"]),
        ("/repos/create", 502, ["502"]),
    ],
)
def test_an_error_of_the_hub_names_the_repository_and_the_status(
    hub: Hub, tmp_path: Path, pattern: str, status: int, parts: list[str]
) -> None:
    hub.failures[pattern] = status
    message = push_error(hub, make_model(tmp_path / "model"))
    assert f"{REPO}: " in message
    for part in parts:
        assert part in message


def test_an_unknown_token_is_an_error_that_does_not_show_it(hub: Hub, tmp_path: Path) -> None:
    message = push_error(hub, make_data(tmp_path / "data"), HF_TOKEN="hf_of_nobody")
    assert f"{REPO}: " in message and "401" in message and "HF_TOKEN" in message
    assert "hf_of_nobody" not in message


def test_a_hub_that_cannot_be_reached_is_an_error(hub: Hub, tmp_path: Path) -> None:
    data = make_data(tmp_path / "data")
    message = push_error(hub, data, HF_ENDPOINT="http://127.0.0.1:1")
    assert "http://127.0.0.1:1" in message and "ConnectError" in message
    assert "HF_HUB_OFFLINE" in push_error(hub, data, HF_HUB_OFFLINE="1")
