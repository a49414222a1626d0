"""A job fetches each model of the Hub, so that the jobs that load it need no network."""

import errno
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
import yaml
from hub_server import COMMIT, TOKEN, Hub, Repository, serve_hub
from projects import environment, make_project, run_snakemake, snakemake_command
from tiny_models import make_model

from aligners.configuration.kinds.pretrained import ModelSource
from aligners.core.errors import UserError
from aligners.core.program import one_message
from aligners.core.rows import read_json, read_rows, write_json
from aligners.models.hub import check_fetched, fetch

RECORD = "results/models/llms/hub.json"
ANSWERS = "results/responses/few/hub/0.jsonl"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model("gpt2", tmp_path_factory.mktemp("hub-model"))


@pytest.fixture
def hub(model: Path) -> Iterator[Hub]:
    """A Hub with a tiny model in three formats, which needs a token."""
    with serve_hub() as hub:
        repository = Repository()
        repository.branches["main"] = {
            **{path.name: path.read_bytes() for path in model.iterdir()},
            "original/consolidated.safetensors": b"the same weights",
            "pytorch_model.bin": b"the same weights",
        }
        hub.repositories["model", "someone/tiny"] = repository
        yield hub


@pytest.fixture
def project(tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with an LLM of the Hub, and a data set that needs no training."""
    for name, value in {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "cache"),
        "HF_TOKEN": TOKEN,
    }.items():
        monkeypatch.setenv(name, value)
    project = make_project(tmp_path)
    recipe = {
        "engine": "transformers",
        "model": "someone/tiny",
        "revision": COMMIT,
        "batch_tokens": 2000,
        "responses": {"prompt": "{question}", "max_new_tokens": 5},
    }
    (project / "config/llms/hub.yaml").write_text(yaml.safe_dump(recipe))
    (project / "few.csv").write_text("prompt\nWhat is the colour of the sea?\nWhy?\n")
    dataset = {"source": "file", "path": "few.csv", "columns": {"question": "prompt"}}
    (project / "config/datasets/few.yaml").write_text(yaml.safe_dump(dataset))
    config = yaml.safe_load((project / "config/miniature.yaml").read_text())
    config["llms"].append("hub")
    config["datasets"].append("few")
    (project / "config/miniature.yaml").write_text(yaml.safe_dump(config))
    return project


def run(project: Path, *targets: str, offline: bool) -> tuple[int, str]:
    """Run Snakemake; return its exit status and its output."""
    own = {**environment(project), "HF_HUB_OFFLINE": "1" if offline else ""}
    result = subprocess.run(
        snakemake_command(*targets),
        cwd=project,
        env=own,
        capture_output=True,
        text=True,
        timeout=900,
    )
    return result.returncode, result.stdout + result.stderr


def test_all_files_of_a_model_are_fetched_once(project: Path, hub: Hub) -> None:
    status, output = run(project, RECORD, offline=False)
    assert status == 0, output
    record = read_json(project / RECORD)
    assert (record["model"], record["commit"]) == ("someone/tiny", COMMIT)
    wanted = set(hub.repositories["model", "someone/tiny"].branches["main"])
    wanted -= {"original/consolidated.safetensors", "pytorch_model.bin"}
    assert set(record["files"]) == wanted and "model.safetensors" in wanted
    sent = [path for method, path, *_ in hub.requests if method == "GET" and "/resolve/" in path]
    assert len(sent) == len(wanted)


def test_jobs_need_no_network_after_the_model_is_fetched(project: Path, hub: Hub) -> None:
    status, output = run(project, RECORD, offline=False)
    assert status == 0, output
    hub.failures[".*"] = 503
    asked = len(hub.requests)
    status, output = run(project, ANSWERS, "results/responses/few/hub/1.jsonl", offline=True)
    assert status == 0, output
    rows = read_rows(project / ANSWERS) + read_rows(project / "results/responses/few/hub/1.jsonl")
    assert len(rows) == 2
    assert len(hub.requests) == asked


def test_another_experiment_finds_the_fetched_model_without_a_network(
    project: Path, hub: Hub, tmp_path: Path
) -> None:
    status, output = run(project, RECORD, offline=False)
    assert status == 0, output
    hub.failures[".*"] = 503
    other = tmp_path / "other"
    shutil.copytree(project, other, ignore=shutil.ignore_patterns("results", ".snakemake", "cache"))
    status, output = run(other, ANSWERS, offline=True)
    assert status == 0, output
    assert read_json(other / RECORD) == read_json(project / RECORD)
    assert "not in the local cache" not in output


INDEX = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
# Changes of a directory in the cache, and whether all files are there afterwards.
CACHED: dict[str, tuple[Callable[[Path], object], bool]] = {
    "all files": (lambda directory: None, True),
    "no configuration": (lambda directory: (directory / "config.json").unlink(), False),
    "no weights": (lambda directory: (directory / "model.safetensors").unlink(), False),
    "one of two files of weights": (
        lambda directory: write_json(directory / "model.safetensors.index.json", INDEX),
        False,
    ),
}


@pytest.mark.parametrize("case", CACHED)
def test_files_that_were_downloaded_one_by_one_are_a_model_if_none_is_missing(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """transformers downloads files one by one. Then the cache has no list of the repository."""
    change, is_complete = CACHED[case]
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    directory = tmp_path / "models--someone--tiny/snapshots" / COMMIT
    shutil.copytree(model, directory)
    # The index of the other format, whose files are not downloaded.
    write_json(directory / "pytorch_model.bin.index.json", {"weight_map": {"a": "a.bin"}})
    change(directory)
    with nullcontext() if is_complete else pytest.raises(UserError, match=f"llms/hub: .*{COMMIT}"):
        check_fetched(ModelSource("someone/tiny", COMMIT), "llms/hub")


def test_without_a_network_a_missing_model_is_named_before_the_first_job(project: Path) -> None:
    plan = run_snakemake(project, "--dry-run", ANSWERS)
    missing = f"llms/hub: someone/tiny at {COMMIT}"
    assert plan.count(missing) == 1
    status, output = run(project, ANSWERS, offline=True)
    assert status == 1 and missing in output
    assert f"snakemake --cores 1 {RECORD}" in output
    assert "Traceback" not in output and not (project / "results").exists()


def test_a_model_that_is_not_on_the_hub_is_an_error(project: Path, hub: Hub) -> None:
    hub.repositories.clear()
    status, output = run(project, RECORD, offline=False)
    assert status == 1
    assert "error: someone/tiny: " in output and "HF_TOKEN" in output
    assert "Traceback" not in output


def test_a_repository_without_safetensors_is_an_error(project: Path, hub: Hub) -> None:
    del hub.repositories["model", "someone/tiny"].branches["main"]["model.safetensors"]
    status, output = run(project, RECORD, offline=False)
    assert status == 1
    assert "error: someone/tiny: " in output
    assert "*.safetensors" in output and "set weights: bin" in output


def test_a_damaged_file_of_a_repository_is_an_error(project: Path, hub: Hub) -> None:
    hub.repositories["model", "someone/tiny"].branches["main"]["tokenizer.json"] = b"{"
    status, output = run(project, RECORD, offline=False)
    assert status == 1
    for part in ("error: someone/tiny: ", "tokenizer.json: line 1", f"--revision {COMMIT}"):
        assert part in output
    assert "Traceback" not in output


def test_a_full_disk_is_named_when_a_model_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**options: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device", "/cache/hub/blobs/0.incomplete")

    monkeypatch.setattr("aligners.models.hub.snapshot_download", fail)
    with pytest.raises(SystemExit, match=r"error: /cache/hub/\S+: .*full"), one_message():
        fetch(ModelSource("someone/tiny", COMMIT))


def test_only_models_of_the_hub_are_fetched(project: Path) -> None:
    plan = run_snakemake(project, "--dry-run", "results/responses/all")
    assert re.search(r"^fetch_model +1$", plan, re.MULTILINE)  # Only llms/hub is of the Hub.


def test_the_token_is_in_no_log(project: Path) -> None:
    status, output = run(project, RECORD, offline=False)
    assert status == 0, output
    logs = "".join(path.read_text() for path in project.glob("logs/**/*.log"))
    assert logs and os.environ["HF_TOKEN"] not in output + logs
