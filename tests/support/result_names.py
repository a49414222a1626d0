"""Names under results/ in the documents: of a known pattern, or invented."""

import re

from aligners.configuration import results
from aligners.configuration.results import ResultPath

# Beside a file of rows; and what a model's directory holds besides the outputs of its rule.
BESIDE = ("counts.json", "dropped.jsonl", "usage.json")
DIRECTORIES = ("results", "results/.working")
FILE = re.compile(r"\.(jsonl?|csv|md|tex|png|html|ya?ml)$")
# What stands for any name in the documents: {criterion}, <name>, * and a shell's $name.
ANY = re.compile(r"\{\w+\}|<[\w -]+>|\*|\$\w+")


def known_patterns() -> list[str]:
    """Return the patterns of all files that the workflow makes."""
    found: list[str] = []
    for pattern in vars(results).values():
        if isinstance(pattern, ResultPath) and pattern != results.STAGE_LIST:
            # The name of a model of the Hub has two parts.
            whole = pattern.fill(hub_model="{kind}/{name}")
            found += [whole, *(whole.beside(ending) for ending in beside(whole))]
    return [*found, *(results.STAGE_LIST.fill(stage=stage) for stage in results.STAGES)]


def beside(pattern: ResultPath) -> tuple[str, ...]:
    """Return the endings of the files beside a pattern: those of rows have some."""
    return BESIDE if pattern.endswith(results.ROWS) else ()


def is_known(name: str) -> bool:
    """Return whether a path under results/ is a file or a directory that the workflow makes."""
    parts = name.rstrip("/").split("/")
    if name.rstrip("/") in DIRECTORIES or parts[:2] == ["results", ".working"]:
        return True
    return any(is_of(pattern.split("/"), parts) for pattern in known_patterns())


def is_of(pattern: list[str], parts: list[str]) -> bool:
    """Return whether parts of a path are of a pattern, lead to it, or are below a model."""
    if len(parts) > len(pattern) and pattern[-1] != "model":
        return False
    if len(parts) < len(pattern) and FILE.search(parts[-1]):
        return False
    return all(is_part(*pair) for pair in zip(pattern, parts, strict=False))


def is_part(pattern: str, part: str) -> bool:
    """Return whether a part of a path is of a pattern's part; each may stand for any name."""
    expression = re.sub(r"\\\{\w+\\\}", ".+", re.escape(pattern))
    return bool(re.fullmatch(expression, part) or re.fullmatch(wild(part), pattern))


def wild(part: str) -> str:
    """Return an expression for what a part of a path stands for in a document."""
    places = ANY.split(part)
    return ".+".join(map(re.escape, places))
