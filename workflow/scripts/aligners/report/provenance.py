"""The provenance section of the page: configuration, recipes, versions, commit and checksums."""

import hashlib
import importlib.metadata
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from aligners.configuration import results
from aligners.configuration.kinds.config import Config
from aligners.configuration.kinds.criteria import CriterionRecipe
from aligners.configuration.kinds.judges import JudgeRecipe
from aligners.configuration.named_recipes import NAMING, all_recipes
from aligners.configuration.recipes import load_recipe, recipe_path
from aligners.configuration.workflow_files import WORKFLOW
from aligners.core.rows import read_json, read_text
from aligners.judging.record import record_paths

LIBRARIES = ("snakemake", "pandas", "scipy", "statsmodels", "matplotlib", "Jinja2", "alpaca_eval")


class ModelRecord(BaseModel):
    """What the page shows of a downloaded model."""

    model: str
    revision: str
    commit: str


def used_recipes(config: Config) -> list[dict[str, Any]]:
    """Return role, kind, name, description, model and revision of each recipe that is named."""
    found = []
    for key, kind, name in all_recipes(config):
        recipe = load_recipe(kind, name)
        found.append(
            {
                "role": key,
                "kind": kind.folder,
                "name": name,
                "description": recipe.description,
                "model": getattr(recipe, "model", None) or getattr(recipe, "repository", None),
                "revision": getattr(recipe, "revision", None),
            }
        )
    return found


def settings(config: Config) -> dict[str, Any]:
    """Return the settings of a configuration that name no recipe."""
    return config.model_dump(mode="json", exclude={*NAMING, "name", "systems"})


def provenance_section(config: Config, models: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what the section shows.

    Args:
        config: of the experiment.
        models: the sections of inspectors and aligners; their records name the versions.
    """
    directory = results.STAGE_LIST.path(stage="models").parent
    return {
        "commit": described_commit(),
        "written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "platform": f"Python {platform.python_version()}, {platform.platform()}",
        "versions": {name: version for name in LIBRARIES if (version := installed_version(name))},
        "trained_with": trained_with(models),
        "stages": [stage_listing(name) for name in results.STAGES],
        "fetched": [read_json(path, ModelRecord) for path in sorted(directory.glob("*/*.json"))],
        "configuration": yaml.safe_dump(
            config.model_dump(mode="json"), sort_keys=False, allow_unicode=True
        ),
        "recipes": {display_path(path): read_text(path) for path in recipe_files(config)},
        "judges": {
            path.as_posix(): read_text(path)
            for judge in config.judges
            for path in record_paths(judge)[:1]  # Those of its other jobs have the same identity.
        },
    }


def recipe_files(config: Config) -> list[Path]:
    """Return the recipes that a configuration names, each followed by the files that it names.

    These are principles, seed questions and prompts; tables of data are too large to show.
    """
    found = []
    for _, kind, name in all_recipes(config):
        found.append(recipe_path(kind, name))
        if kind in (CriterionRecipe, JudgeRecipe):
            values = dict(load_recipe(kind, name)).values()
            found += [value for value in values if isinstance(value, Path)]
    return found


def display_path(path: Path) -> str:
    """Return a path as text; that of a file of the workflow is relative to the workflow."""
    return (path.relative_to(WORKFLOW) if path.is_relative_to(WORKFLOW) else path).as_posix()


def described_commit() -> str:
    """Return the checked-out commit, with `-dirty` appended if files differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        described = subprocess.run(
            command, cwd=WORKFLOW, capture_output=True, text=True, check=False
        ).stdout
    except FileNotFoundError:
        described = ""
    return described.strip() or "not in a git checkout"


def installed_version(library: str) -> str | None:
    """Return the version of a library, or None if it is not installed."""
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


def trained_with(models: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return each combination of versions and hardware, with the models trained on it."""
    groups: dict[str, dict[str, Any]] = {}
    for model in models:
        training = model["training"]
        versions = ", ".join(f"{name} {value}" for name, value in training["versions"].items())
        hardware = training["hardware"]
        device = f"{hardware['processes']} × {hardware['device']}, {hardware['dtype']}"
        group = groups.setdefault(
            f"{versions} {device}", {"versions": versions, "device": device, "models": []}
        )
        group["models"].append(f"{model['recipe']}/{model['name']}")
    return list(groups.values())


def stage_listing(name: str) -> dict[str, Any]:
    """Return a stage's name, the checksum of its list, and its files with checksums."""
    text = read_text(results.STAGE_LIST.path(stage=name))
    return {
        "name": name,
        "checksum": hashlib.sha256(text.encode()).hexdigest(),
        "files": [line.split("  ", 1) for line in text.splitlines()],
    }
