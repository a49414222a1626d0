"""The conda environment of each rule has the packages that its program imports."""

import ast
import re
import sys
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "workflow/scripts"
COMMON = (ROOT / "workflow/rules/common.smk").read_text(encoding="utf-8")
# Names of environments in the rules, such as DATA, and their files.
FILES = dict(re.findall(r'^(\w+) = "\.\./\.\./(envs/[\w-]+\.yaml)"', COMMON, re.MULTILINE))
# Imported only if it is installed.
OPTIONAL = {"transformers": "aligners/configuration/kinds/training.py"}
RULE = re.compile(r'conda:\s+(\w+)\s+params:\s+\*\*program\(\s*"(\w+)"')


def rules() -> list[tuple[str, str]]:
    """Return the program and the file of the environment of each rule."""
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "workflow/rules").glob("*.smk")]
    found = {(program, FILES[name]) for text in texts for name, program in RULE.findall(text)}
    assert sum(text.count("conda:") for text in texts) >= len(found) > 25
    return sorted(found)


def installed_with(requirements: list[str]) -> set[str]:
    """Return the canonical names of the packages that pip installs for requirements."""
    names: set[str] = set()
    queue = [(item, extra) for item in map(Requirement, requirements) for extra in extras(item)]
    seen = set()
    while queue:
        requirement, extra = queue.pop()
        key = (canonicalize_name(requirement.name), extra)
        if key in seen:
            continue
        seen.add(key)
        names.add(key[0])
        try:
            needed = distribution(requirement.name).requires or []
        except PackageNotFoundError:  # such as a package for another platform
            continue
        for item in map(Requirement, needed):
            if item.marker is None or item.marker.evaluate({"extra": extra}):
                queue += [(item, own) for own in extras(item)]
    return names


def extras(requirement: Requirement) -> list[str]:
    """Return the extras of a requirement, and the empty name of what it needs without them."""
    return ["", *requirement.extras]


def module_file(name: str) -> Path | None:
    """Return the file of a module of the project, or None for a module of a package."""
    path = SCRIPTS / name.replace(".", "/")
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in candidates if file.is_file()), None)


def imported_modules(file: Path) -> set[str]:
    """Return the modules that a file imports, also those that functions import when they run."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def packages_of(program: str) -> dict[str, str]:
    """Return the modules of packages that a program can import, each with an importing file."""
    packages: dict[str, str] = {}
    files, seen = [SCRIPTS / f"{program}.py"], set()
    while files:
        file = files.pop()
        if file in seen:
            continue
        seen.add(file)
        for name in imported_modules(file):
            own = module_file(name)
            top = name.split(".")[0]
            if own:
                files.append(own)
            elif not module_file(top) and top not in sys.stdlib_module_names:
                packages[top] = str(file.relative_to(SCRIPTS))
    return packages


@pytest.mark.parametrize(("program", "environment"), rules())
def test_an_environment_has_what_its_program_imports(program: str, environment: str) -> None:
    entries = yaml.safe_load((ROOT / environment).read_text(encoding="utf-8"))["dependencies"]
    [from_pip] = [entry["pip"] for entry in entries if isinstance(entry, dict)]
    names = installed_with(from_pip)
    distributions = packages_distributions()
    missing = {
        module: file
        for module, file in packages_of(program).items()
        if not {canonicalize_name(name) for name in distributions.get(module, [module])} & names
    }
    assert missing.items() <= OPTIONAL.items()
