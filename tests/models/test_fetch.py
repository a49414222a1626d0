"""A job fetches each model of the Hub, so that the jobs that load it need no network."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hub_server import COMMIT, TOKEN, Hub, Repository, serve_hub
from projects import environment, make_project, run_snakemake, snakemake_command
from tiny_models import make_model

from aligners.core.rows import read_json, read_rows

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


def test_only_models_of_the_hub_are_fetched(project: Path) -> None:
    plan = run_snakemake(project, "--dry-run", "results/responses/all")
    assert re.search(r"^fetch_model +1$", plan, re.MULTILINE)  # Only llms/hub is of the Hub.


def test_the_token_is_in_no_log(project: Path) -> None:
    status, output = run(project, RECORD, offline=False)
    assert status == 0, output
    logs = "".join(path.read_text() for path in project.glob("logs/**/*.log"))
    assert logs and os.environ["HF_TOKEN"] not in output + logs
