"""Models of the Hub are fetched before the jobs that load them, which need no network then."""

import os
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
    """A Hub with a tiny model in two formats, which is not for everybody."""
    with serve_hub() as hub:
        repository = Repository()
        repository.branches["main"] = {
            **{path.name: path.read_bytes() for path in model.iterdir()},
            "original/consolidated.safetensors": b"the same again",
            "pytorch_model.bin": b"the same in another format",
        }
        hub.repositories["model", "someone/tiny"] = repository
        yield hub


@pytest.fixture
def project(tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with an LLM of the Hub, and questions that need no training."""
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
    """Run Snakemake; return its exit status and what it said."""
    own = {**environment(project), "HF_HUB_OFFLINE": "1" if offline else ""}
    result = subprocess.run(
        snakemake_command(*targets),
        cwd=project,
        env=own,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return result.returncode, result.stdout + result.stderr


def test_a_model_is_fetched_whole_and_once(project: Path, hub: Hub) -> None:
    status, output = run(project, RECORD, offline=False)
    assert status == 0, output
    record = read_json(project / RECORD)
    assert (record["model"], record["commit"]) == ("someone/tiny", COMMIT)
    wanted = set(hub.repositories["model", "someone/tiny"].branches["main"])
    wanted -= {"original/consolidated.safetensors", "pytorch_model.bin"}
    assert set(record["files"]) == wanted and "model.safetensors" in wanted
    sent = [path for method, path, *_ in hub.requests if method == "GET" and "/resolve/" in path]
    assert len(sent) == len(wanted)


def test_jobs_work_without_a_network_then(project: Path, hub: Hub) -> None:
    status, output = run(project, RECORD, offline=False)
    assert status == 0, output
    hub.refusals[".*"] = 503
    asked = len(hub.requests)
    status, output = run(project, ANSWERS, "results/responses/few/hub/1.jsonl", offline=True)
    assert status == 0, output
    rows = read_rows(project / ANSWERS) + read_rows(project / "results/responses/few/hub/1.jsonl")
    assert len(rows) == 2
    assert len(hub.requests) == asked


def test_without_a_network_the_plan_says_what_is_to_be_fetched(project: Path) -> None:
    plan = run_snakemake(project, "--dry-run", ANSWERS)
    message = f"llms/hub: someone/tiny at {COMMIT} is not in the cache of the Hub"
    assert plan.count(f"A real run would stop: {message}") == 1
    status, output = run(project, ANSWERS, offline=True)
    assert status == 1 and message in output
    assert f"snakemake --cores 1 {RECORD}" in output
    assert "Traceback" not in output and not (project / "results").exists()


def test_a_model_that_the_hub_does_not_have(project: Path, hub: Hub) -> None:
    hub.repositories.clear()
    status, output = run(project, RECORD, offline=False)
    assert status == 1
    assert "someone/tiny: no public model of the Hugging Face Hub has this name" in output
    assert "Traceback" not in output


def test_a_repository_without_safetensors(project: Path, hub: Hub) -> None:
    del hub.repositories["model", "someone/tiny"].branches["main"]["model.safetensors"]
    status, output = run(project, RECORD, offline=False)
    assert status == 1
    assert "someone/tiny: the repository has no *.safetensors weights; set weights: bin" in output


def test_what_comes_from_nowhere_is_not_fetched(project: Path) -> None:
    plan = run_snakemake(project, "--dry-run", "results/responses/all")
    assert plan.count("Fetching the model of") == 1  # All others are made here.


def test_the_token_is_in_no_log(project: Path) -> None:
    status, output = run(project, RECORD, offline=False)
    assert status == 0
    logs = "".join(path.read_text() for path in project.glob("logs/**/*.log"))
    assert os.environ["HF_TOKEN"] not in output + logs
