"""The fingerprint of a job: a string of everything that decides its result, except input files.

It contains a short hash of the program's code and of each deciding setting. If a hash changes,
Snakemake runs the job again and shows which part changed.

The hash of the code covers the syntax trees of the program and of the modules that it imports, as a
set without paths, docstrings and import lines; an imported name counts with the code of its module.
So comments and renamed or moved modules change no hash. A module with `AFFECTS_RESULTS = False`,
such as a progress bar, is left out, with all modules that only it imports.
"""

import ast
import functools
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

from aligners.configuration.kinds.llms import ClosedWorldRecipe, LLMRecipe
from aligners.configuration.recipes import KINDS, WILDCARDS, deciding_recipe, load_recipe
from aligners.configuration.workflow_files import SCRIPTS
from aligners.core.hashes import short_hash

LIBRARY = "aligners"


def module_path(name: str) -> Path | None:
    """Return the file of a module of the library, or None for other libraries."""
    path = SCRIPTS / Path(*name.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if name.split(".")[0] == LIBRARY and candidate.is_file():
            return candidate
    return None


class LibraryImports(ast.NodeTransformer):
    """Removes the library's import lines from a syntax tree, and collects the imported names.

    Attributes:
        names: full names of imported modules, and of what may be one.
        origins: for each imported name, its name here and the full name of where it comes from.
    """

    def __init__(self) -> None:
        """Start with nothing imported."""
        self.names: set[str] = set()
        self.origins: set[tuple[str, str]] = set()

    def visit_Import(self, node: ast.Import) -> ast.AST | None:
        """Keep the other libraries of an import line."""
        ours = [alias for alias in node.names if alias.name.split(".")[0] == LIBRARY]
        self.names.update(alias.name for alias in ours)
        self.origins.update((alias.asname or "", alias.name) for alias in ours)
        others = [alias for alias in node.names if alias not in ours]
        return ast.Import(others) if others else None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        """Take the line out if it imports from the library."""
        if not node.module or node.module.split(".")[0] != LIBRARY:
            return node
        self.names.add(node.module)
        for alias in node.names:
            self.names.add(f"{node.module}.{alias.name}")
            self.origins.add((alias.asname or alias.name, f"{node.module}.{alias.name}"))
        return None


def without_docstrings(tree: ast.AST) -> ast.AST:
    """Remove the docstrings of modules, classes and functions, and the texts below attributes."""
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    for node in ast.walk(tree):
        if isinstance(node, documented):
            node.body = [line for line in node.body if not is_text(line)]
    return tree


def is_text(statement: ast.stmt) -> bool:
    """Return whether a statement is a text alone."""
    value = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def decides(tree: ast.Module) -> bool:
    """Return whether results depend on a module: not if it sets `AFFECTS_RESULTS = False`."""
    return not any(
        isinstance(node, ast.Assign) and ast.unparse(node) == "AFFECTS_RESULTS = False"
        for node in tree.body
    )


@functools.cache
def read_code(path: Path) -> tuple[str, LibraryImports]:
    """Return the code of a module without what does not count, and what it imports.

    A module that decides nothing has no code and no imports.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = LibraryImports()
    return (ast.unparse(imports.visit(without_docstrings(tree))) if decides(tree) else ""), imports


def origin(name: str) -> list[str]:
    """Return what an imported name stands for: its name in a module, and the code of the module.

    So two functions of the same name in two modules differ, and a moved module is the same.
    """
    if path := module_path(name):
        return [read_code(path)[0]]
    module, _, own_name = name.rpartition(".")
    path = module_path(module)
    return [own_name, read_code(path)[0] if path else ""]


@functools.cache
def read_module(path: Path) -> tuple[str | None, frozenset[Path]]:
    """Return a hash of what a module means, and the modules of the library that it imports.

    A module that decides nothing has None and no imports; an empty one has None.
    """
    code, imports = read_code(path)
    # Python also runs the packages that a module lies in.
    names = {part for name in imports.names for part in accumulate(name.split("."), "{}.{}".format)}
    paths = {found for name in names if (found := module_path(name))}
    origins = sorted([here, *origin(name)] for here, name in imports.origins)
    return short_hash([code, origins]) if code else None, frozenset(paths)


@functools.cache
def code_hash(program: Path) -> str:
    """Return a hash of a program and of every module of the library that decides what it makes.

    Modules are followed through imports anywhere in the code; what is loaded by name is not.
    """
    meanings: dict[Path, str | None] = {}
    open_paths = {program}
    while open_paths:
        path = open_paths.pop()
        meanings[path], imports = read_module(path)
        open_paths |= imports - set(meanings)
    return short_hash(sorted({meaning for meaning in meanings.values() if meaning}))


def fingerprint(rule: str, settings: Mapping[str, int | float | str]) -> str:
    """Return the fingerprint of a rule's program with its deciding settings.

    Example: `code=3f2a91c04d teacher=falcon-40b:77e1d90b12 seed=0`.
    """
    parts = [f"code={code_hash(SCRIPTS / f'{rule}.py')}"]
    parts += [f"{name}={value}" for name, value in settings.items()]
    return " ".join(parts)


def llm_identity(name: str) -> Any:
    """Return what decides an LLM's completions of a prompt: the model, and the code that is one.

    Its partner, and how it answers test inputs (`llm.responses`), do not.
    """
    recipe = deciding_recipe(LLMRecipe, name)
    chosen = {key: recipe[key] for key in recipe if key not in ("responses", "finetuned")}
    identity: dict[str, Any] = {"recipe": chosen}
    llm = load_recipe(LLMRecipe, name)
    if isinstance(llm, ClosedWorldRecipe):
        identity["code"] = code_hash(SCRIPTS / "aligners/llms/engines/closed_world.py")
    return identity


def deciding_setting(name: str, names: Mapping[str, Any]) -> int | float | str:
    """Return what decides a result in a setting, for a fingerprint.

    A setting is a wildcard or a key of the configuration, both in `names`. A dot selects a key
    below it: `seed`, `shards.pairs`, `backbone`, `synthesis.topics`. The value of a setting that
    names a recipe is the recipe's deciding keys.
    """
    head, *keys = name.split(".")
    value = names[head]
    kind = WILDCARDS.get(head, KINDS.get(head))
    if isinstance(value, str) and kind is LLMRecipe and not keys:
        return f"{value}:{short_hash(llm_identity(value))}"
    if isinstance(value, str) and kind:
        return f"{value}:{short_hash(deciding_recipe(kind, value, *keys))}"
    for key in keys:
        value = value[key]
    return value if isinstance(value, int | float | str) else short_hash(value)
