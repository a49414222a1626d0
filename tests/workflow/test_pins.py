"""Versions agree in pyproject.toml, constraints.txt and envs/."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))
# Used by no rule: a server that a job starts has its own environment.
SERVER = ROOT / "envs/vllm.yaml"


def project() -> dict[str, Any]:
    """Return the [project] table of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def requirements(lines: list[str]) -> dict[str, SpecifierSet]:
    """Return the version specifiers of requirements by canonical name."""
    parsed = [Requirement(line) for line in lines]
    names = [canonicalize_name(item.name) for item in parsed]
    assert len(set(names)) == len(names), "a package is named twice"
    return {name: item.specifier for name, item in zip(names, parsed, strict=True)}


def project_requirements() -> dict[str, SpecifierSet]:
    """Return the requirements in pyproject.toml, with the extras that `make` installs.

    The packages of `serve`, with ranges for an application, are in other extras with their pins.
    """
    extras = project()["optional-dependencies"]
    left_out = ("bench", "serve")
    installed = [line for name, lines in extras.items() if name not in left_out for line in lines]
    return requirements(project()["dependencies"] + installed)


def pins() -> dict[str, SpecifierSet]:
    """Return the pins of constraints.txt, and that of torch in the Makefile."""
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    lines = re.findall(r"^([\w.-]+==[\w.]+)", text, re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return requirements([*lines, *re.findall(r"torch==[\d.]+", makefile)])


def environment(path: Path) -> tuple[dict[str, SpecifierSet], dict[str, SpecifierSet]]:
    """Return the requirements of a conda environment from conda (in pip's notation) and pip."""
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))["dependencies"]
    from_conda = [entry for entry in entries if isinstance(entry, str)]
    from_pip = [line for entry in entries if isinstance(entry, dict) for line in entry["pip"]]
    in_pip_notation = [re.sub(r"(?<![=<>!~])=(?!=)", "==", entry) for entry in from_conda]
    return requirements(in_pip_notation), requirements(from_pip)


def test_the_core_has_ranges_and_the_extras_have_pins() -> None:
    """An application installs the core beside its own packages; the workflow is reproducible."""
    assert all(item.startswith(">=") for item in map(bounds, project()["dependencies"]))
    for extra in ("workflow", "evaluation", "demo", "test", "docs"):
        pins = map(bounds, project()["optional-dependencies"][extra])
        assert all(item.startswith("==") for item in pins), extra


def bounds(line: str) -> str:
    """Return the versions of a requirement, the lower bound first."""
    return ",".join(sorted(map(str, Requirement(line).specifier), reverse=True))


def test_the_core_needs_nothing_of_the_workflow() -> None:
    heavy = {"snakemake", "pulp", "snakemake-executor-plugin-slurm", "alpaca-eval", "datasets"}
    assert not heavy & set(requirements(project()["dependencies"]))


def test_every_pin_has_hashes() -> None:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8").replace("\\\n", " ")
    assert text.count("==") > 100
    for line in text.splitlines():
        assert re.match(r"[\w.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line), line


def test_constraints_pin_the_requirements_of_the_project() -> None:
    constraints = pins()
    for name, specifier in project_requirements().items():
        if str(specifier).startswith("=="):
            assert constraints.get(name) == specifier, f"constraints.txt: {name}{specifier}"
        elif name in constraints:
            version = str(constraints[name]).removeprefix("==")
            assert version in specifier, f"constraints.txt: {name}=={version}"


def test_every_environment_of_a_rule_exists() -> None:
    rules = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("workflow/rules/*.smk"))
    named = set(re.findall(r'"\.\./\.\./envs/([\w-]+\.yaml)"', rules))
    assert named | {SERVER.name} == {path.name for path in ENVIRONMENTS}


@pytest.mark.parametrize("path", sorted({*ENVIRONMENTS} - {SERVER}), ids=lambda path: path.stem)
def test_an_environment_has_the_pins_of_the_project(path: Path) -> None:
    from_conda, from_pip = environment(path)
    python = str(from_conda["python"]).removeprefix("==")
    assert python in SpecifierSet(project()["requires-python"])
    pinned = pins()
    assert set(from_pip) <= set(project_requirements())
    assert from_pip == {name: pinned[name] for name in from_pip}
