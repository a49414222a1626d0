"""The conda environment of each rule has everything that the rule's program imports."""

import ast
import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from test_pins import project_requirements

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "workflow/scripts"
RULE = re.compile(r"^rule \w+:.*?(?=^rule |\Z)", re.MULTILINE | re.DOTALL)
# Programs that start the program of a rule with GPUs.
STARTERS = {"MODELS": ["lease_gpus", "launch_on_node"], "DATA": []}
# Packages of the library whose modules are loaded by name, for an LLM.
LOADED_BY_NAME = {"MODELS": ["llms/engines"], "DATA": []}
FILES = {"MODELS": "models.yaml", "DATA": "data.yaml"}
# Imports each module, with attributes that may be modules, and prints those that fail.
IMPORT_ALL = """
import importlib, json, sys
sys.path[:0] = json.loads(sys.argv[1])
failed = {}
for name in json.loads(sys.argv[2]):
    try:
        importlib.import_module(name)
    except ImportError as error:
        failed[name] = str(error)
print(json.dumps(failed))
"""
# A validation that is left out in an environment without the package.
OPTIONAL = {("training.py", "transformers")}


def programs(environment: str) -> list[str]:
    """Return the programs of the rules that run in an environment."""
    found = list(STARTERS[environment])
    for path in ROOT.glob("workflow/rules/*.smk"):
        for rule in RULE.findall(path.read_text(encoding="utf-8")):
            conda = re.search(r"^    conda:\s+(\w+)", rule, re.MULTILINE)
            assert conda, f"{path.name}: a rule without an environment"
            if conda[1] == environment:
                found += re.findall(r'program\(\s*"(\w+)"', rule)
    return sorted(found)


def requirements(environment: str) -> list[Requirement]:
    """Return what pip installs in an environment."""
    text = (ROOT / "envs" / FILES[environment]).read_text(encoding="utf-8")
    return [Requirement(line) for line in yaml.safe_load(text)["dependencies"][-1]["pip"]]


def installed(required: list[Requirement]) -> dict[str, metadata.Distribution]:
    """Return the distributions that pip installs for the requirements, by canonical name."""
    found: dict[str, metadata.Distribution] = {}
    done, open_requirements = set(), list(required)
    while open_requirements:
        item = open_requirements.pop()
        key = (canonicalize_name(item.name), frozenset(item.extras))
        if key in done:
            continue
        done.add(key)
        found[key[0]] = metadata.distribution(item.name)
        for needed in map(Requirement, found[key[0]].requires or []):
            marker = needed.marker
            if not marker or any(marker.evaluate({"extra": extra}) for extra in ["", *item.extras]):
                open_requirements.append(needed)
    return found


def module_files(name: str) -> list[Path]:
    """Return the file of a module of the library, if the name is one of a module."""
    path = SCRIPTS / Path(*name.split("."))
    return [file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()]


class Imports(ast.NodeVisitor):
    """Collects the names of the modules that a file imports, also in functions."""

    def __init__(self, path: Path):
        self.names: set[str] = set()
        self.visit(ast.parse(path.read_text(encoding="utf-8")))

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) != "TYPE_CHECKING":
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        self.names.update(alias.name for alias in node.names)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        assert node.module
        self.names.add(node.module)
        if node.module.startswith("aligners"):
            self.names.update(f"{node.module}.{alias.name}" for alias in node.names)


def reached(environment: str) -> set[str]:
    """Return the modules of other libraries that programs and the library import."""
    open_files = [SCRIPTS / f"{name}.py" for name in programs(environment)]
    for package in LOADED_BY_NAME[environment]:
        open_files += (SCRIPTS / "aligners" / package).glob("*.py")
    done, others = set(), set()
    while open_files:
        file = open_files.pop()
        if file in done:
            continue
        done.add(file)
        for name in Imports(file).names:
            top = name.split(".")[0]
            if top == "aligners":
                open_files += module_files(name)
            elif top not in sys.stdlib_module_names and (file.name, top) not in OPTIONAL:
                others.add(name)
    return others


@pytest.mark.parametrize("environment", FILES)
def test_an_environment_has_all_that_its_programs_import(environment: str, tmp_path: Path) -> None:
    """The programs are imported in a copy of the environment, made of links to our packages."""
    for distribution in installed(requirements(environment)).values():
        for name in {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}:
            if not (tmp_path / name).exists():
                (tmp_path / name).symlink_to(Path(distribution.locate_file(name)).resolve())
    names = programs(environment)
    modules = sorted(reached(environment))
    assert len(names) > 10
    assert len(modules) > 10
    paths = json.dumps([str(SCRIPTS), str(tmp_path)])
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", IMPORT_ALL, paths, json.dumps([*names, *modules])],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert json.loads(done.stdout.splitlines()[-1]) == {}


@pytest.mark.parametrize("environment", FILES)
def test_an_environment_pins_what_its_programs_import(environment: str) -> None:
    """What comes with another package would have any version."""
    tops = {name.split(".")[0] for name in reached(environment)}
    packages = metadata.packages_distributions()
    imported = {canonicalize_name(name) for top in tops for name in packages[top]}
    listed = {canonicalize_name(item.name) for item in requirements(environment)}
    assert imported & set(project_requirements()) <= listed
