"""The quickstart with its recipes, and the page on an own policy, can be planned."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pages import COMMANDS, blocks
from projects import ROOT, run_snakemake

from aligners.configuration.experiment_checks import validate_experiment
from aligners.configuration.kinds.llms import LLMRecipe
from aligners.configuration.kinds.synthesis import SynthesisRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.yaml_files import read_yaml
from aligners.llms.engines.served import Server

QUICKSTART = Path("config/quickstart.yaml")
POLICY = "docs/your-own-policy.md"
# Replaces vLLM: prints its arguments, and replies to health checks.
VLLM = f"""#!{sys.executable}
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

print(*sys.argv[1:], flush=True)
HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
"""


def planned_jobs(project: Path, config: str, *targets: str) -> dict[str, int]:
    """Return the number of jobs of each rule in a dry run."""
    output = run_snakemake(project, "-n", *targets, config=config)
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", output, re.MULTILINE)}


# Quickstart


def test_quickstart_sets_every_key() -> None:
    """A missing key would take its value from config.yaml, the paper's experiment."""
    paper, quickstart = read_yaml(ROOT / "config/config.yaml"), read_yaml(ROOT / QUICKSTART)
    assert list(quickstart) == list(paper)
    for key in ("shards", "split"):
        assert list(quickstart[key]) == list(paper[key])


def test_quickstart_is_planned_from_topics_to_alpaca_eval(project: Path) -> None:
    assert {
        "generate_topics": 1,
        "generate_pairs": 1,
        "train_inspector": 1,
        "train_aligner": 1,
        "generate_responses": 2,
        "assemble_squad": 1,
        "apply_squad": 1,
        "write_alpaca_eval": 4,
    }.items() <= planned_jobs(project, str(QUICKSTART)).items()


def test_every_teacher_in_the_comments_of_quickstart_can_replace_its_teacher(
    in_the_project: None,
) -> None:
    config = read_yaml(QUICKSTART)
    offered = re.findall(r"^#   ([a-z0-9.-]+) {2,}", QUICKSTART.read_text("utf-8"), re.MULTILINE)
    assert len(offered) == 3
    for teacher in [config["teacher"], *offered]:
        validate_experiment({**config, "teacher": teacher}, QUICKSTART)
        assert load_recipe(LLMRecipe, teacher).chat, teacher
    # Hosted endpoints reject unknown parameters such as repetition_penalty.
    assert load_recipe(SynthesisRecipe, config["synthesis"]).pairs.repetition_penalty == 1.0


def test_the_served_teacher_starts_in_its_own_environment(project: Path) -> None:
    programs = project / ".venv-vllm/bin"
    programs.mkdir(parents=True)
    (programs / "activate").write_text(f'PATH="{programs}:$PATH"\n')
    (programs / "vllm").write_text(VLLM)
    (programs / "vllm").chmod(0o755)
    recipe = load_recipe(LLMRecipe, read_yaml(QUICKSTART)["teacher"])
    server = Server(recipe)
    try:
        server.wait_until_ready()
    finally:
        server.stop()
    started = server.log.read_text().split()
    assert started[:4] == ["serve", recipe.model, "--revision", recipe.revision]
    assert "--enable-prefix-caching" in started


# Pages


def test_the_commands_of_the_page_on_an_own_policy_are_planned(project: Path) -> None:
    commands = [block.text for block in blocks(POLICY, COMMANDS)]
    writing = [text for text in commands if "> resources/" in text or "> config/" in text]
    assert len(writing) == 3
    subprocess.run(["bash", "-e"], input="".join(writing), text=True, cwd=project, check=True)
    everything = planned_jobs(project, "config/mine.yaml")
    assert {
        "generate_pairs": 1,
        "train_inspector": 1,
        "apply_squad": 1,
    }.items() <= everything.items()
    runs = re.findall(r"^snakemake .*", "".join(commands), re.MULTILINE)
    targets = {word for line in runs for word in line.split() if word.startswith("results/")}
    assert len(targets) == 5
    assert planned_jobs(project, "config/mine.yaml", *sorted(targets))["train_aligner"] == 1


@pytest.mark.parametrize("page", ["engines.md", "your-own-policy.md"])
def test_pages_name_files_and_recipes_that_exist(page: str) -> None:
    text = (ROOT / "docs" / page).read_text("utf-8")
    for link in re.findall(r"\]\(([^)#]+)", text):
        assert (ROOT / "docs" / link).exists(), link
    rows = re.findall(
        r"^\|(.+?)\| (?:openai|served|transformers|closed-world)\b", text, re.MULTILINE
    )
    for name in re.findall(r"`([a-z0-9.-]+-[a-z0-9.-]+)`", "".join(rows)):
        assert name.startswith("-") or (ROOT / f"config/llms/{name}.yaml").exists(), name
