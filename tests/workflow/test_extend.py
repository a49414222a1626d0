"""A new criterion, backbone, LLM or data set needs only files and names, no code."""

import re
import shutil
from pathlib import Path

import yaml
from projects import run_snakemake
from yaml_edits import set_keys

DEMO = "config/demo.yaml"
RECIPES = {
    "config/criteria/concise.yaml": """
        description: Short answers.
        principles: resources/criteria/concise/principles.yaml
        seed_questions: resources/criteria/concise/seed_questions.yaml
        """,
    "config/backbones/neox-tiny.yaml": """
        from_scratch:
          model_type: gpt_neox
          vocabulary_size: 500
          config: {num_hidden_layers: 2, hidden_size: 64, num_attention_heads: 2}
        max_tokens: 256
        decoding: {max_new_tokens: 64}
        """,
    "config/llms/own-7b.yaml": """
        engine: transformers
        finetuned: own-7b-chat
        model: own/own-7b
        revision: 0123456789abcdef0123456789abcdef01234567
        """,
    "config/llms/own-7b-chat.yaml": """
        engine: transformers
        chat: true
        model: models/own-7b-chat
        revision: local
        """,
    "config/datasets/own-questions.yaml": """
        source: file
        path: own/questions.csv
        columns: {question: input}
        """,
}


def extend(project: Path) -> None:
    """Add one recipe of each kind and its name to the configuration, and nothing else."""
    shutil.copytree(project / "resources/criteria/helpful", project / "resources/criteria/concise")
    for path, text in RECIPES.items():
        (project / path).write_text(text)
    (project / "own").mkdir()
    (project / "own/questions.csv").write_text("input\nWhat now?\n")
    demo = yaml.safe_load((project / DEMO).read_text())
    added = {
        "criteria": ["concise"],
        "backbones": ["neox-tiny"],
        "llms": ["own-7b", "own-7b-chat"],
        "datasets": ["own-questions"],
    }
    set_keys(project / DEMO, **{key: demo[key] + names for key, names in added.items()})


def test_new_recipes_are_planned_from_topics_to_alpaca_eval(project: Path) -> None:
    extend(project)
    planned = run_snakemake(project, "-n", config=DEMO)
    jobs = {
        name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", planned, re.MULTILINE)
    }
    criteria, backbones, datasets, bases, systems, references = 4, 2, 3, 2, 4 + 2, 3
    assert {
        "generate_topics": criteria,
        "split_questions": criteria,
        "train_inspector": criteria,
        "train_aligner": criteria * backbones + 1,
        "generate_responses": datasets * bases * 2 * 2,
        "apply_aligner": datasets * bases * backbones * criteria,
        "apply_squad": datasets * bases * backbones * 2,
        "apply_external": datasets * bases,
        "write_alpaca_eval": datasets * bases * backbones * systems * references,
    }.items() <= jobs.items()
    for name in ("concise", "neox-tiny", "own-7b", "own-7b-chat", "own-questions"):
        assert re.search(rf"[/ ]{name}[/.,: \n]", planned), name
