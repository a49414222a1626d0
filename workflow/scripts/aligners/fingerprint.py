"""The fingerprint of a job: one string of everything but its input files that decides its result.

It names the program's code and each deciding setting with a short hash, so that Snakemake reruns
what a change of meaning touches, and shows which part changed. Code counts by its syntax tree
without docstrings: a comment or formatting changes nothing.
"""

import ast
import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aligners.recipes import KINDS, WILDCARDS, deciding_recipe, load_recipe

SCRIPTS = Path(__file__).parents[1]


def short_hash(value: Any) -> str:
    """Return 10 hexadecimal digits of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def module_path(name: str) -> Path | None:
    """Return the file of a module of the library, or None for other libraries."""
    path = SCRIPTS / Path(*name.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if name.split(".")[0] == "aligners" and candidate.is_file():
            return candidate
    return None


def imported_modules(tree: ast.AST) -> set[Path]:
    """Return the files of the library's modules that a syntax tree imports anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return {path for name in names if (path := module_path(name))}


def without_docstrings(tree: ast.Module) -> ast.Module:
    """Remove the docstrings of a module, its classes and its functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return tree


@functools.cache
def read_module(path: Path) -> tuple[str, frozenset[Path]]:
    """Return the code of a module as text without comments, and the modules it imports."""
    tree = without_docstrings(ast.parse(path.read_text(encoding="utf-8")))
    return ast.unparse(tree), frozenset(imported_modules(tree))


@functools.cache
def code_hash(program: Path) -> str:
    """Return a hash of a program and of every module of the library that it imports, directly
    or through others."""
    seen: dict[str, str] = {}
    open_paths = {program}
    while open_paths:
        path = open_paths.pop()
        code, imports = read_module(path)
        seen[path.relative_to(SCRIPTS).as_posix()] = code
        open_paths |= {
            other for other in imports if other.relative_to(SCRIPTS).as_posix() not in seen
        }
    return short_hash(seen)


def fingerprint(rule: str, settings: Mapping[str, int | float | str]) -> str:
    """Return the fingerprint of a rule's program with its deciding settings.

    Example: `code=3f2a91c04d teacher=falcon-40b:77e1d90b12 seed=0`.
    """
    parts = [f"code={code_hash(SCRIPTS / f'{rule}.py')}"]
    parts += [f"{name}={value}" for name, value in settings.items()]
    return " ".join(parts)


def llm_identity(name: str) -> Any:
    """Return what decides an LLM's completions of a prompt: the model, and the code that is one.

    Its partner, and how it is asked for answers to test inputs (`llm.answers`), do not.
    """
    engine = load_recipe("llms", name)["engine"]
    recipe = deciding_recipe("llms", name)
    chosen = {key: recipe[key] for key in recipe if key not in ("answers", "finetuned")}
    identity: dict[str, Any] = {"recipe": chosen}
    if engine == "closed-world":
        identity["code"] = code_hash(SCRIPTS / "aligners" / "engines" / "closed_world.py")
    return identity


def deciding_setting(name: str, names: Mapping[str, Any]) -> int | float | str:
    """Return what decides a result in a setting, for a fingerprint.

    A setting is a wildcard or a key of the configuration, both in `names`; a dot goes on to a key
    below it: `seed`, `shards.pairs`, `backbone`, `synthesis.topics`. One that names a recipe stands
    for the deciding keys of the recipe.
    """
    head, *keys = name.split(".")
    value = names[head]
    kind = WILDCARDS.get(head, KINDS.get(head))
    if isinstance(value, str) and kind == "llms" and not keys:
        return f"{value}:{short_hash(llm_identity(value))}"
    if isinstance(value, str) and kind:
        return f"{value}:{short_hash(deciding_recipe(kind, value, *keys))}"
    for key in keys:
        value = value[key]
    return value if isinstance(value, int | float | str) else short_hash(value)
