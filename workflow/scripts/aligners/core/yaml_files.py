"""Reads YAML files that contain a mapping, in which each key occurs once."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from aligners.core.errors import UserError
from aligners.core.rows import read_text

# A short file whose aliases refer to aliases can expand to billions of values.
MOST_VALUES = 100_000
# YAML 1.1 also reads 010 as 8, 1:30 as 90 and 0x1F as 31. These are hardly ever meant. An integer
# of thousands of digits makes Python fail.
DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9_]{0,99})")
# They are not visible, and most programs do not accept them: a NUL ends an argument of a command.
CONTROL_CHARACTER = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]")


class StrictLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Loads YAML safely, without what PyYAML accepts and nobody means.

    Keys differ, numbers are decimal, and texts have no control characters.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping whose keys are all different."""
        keys: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in keys:
                problem = f"the key {key.value} occurs twice; remove one"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            keys.add(key.value)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping

    def construct_integer(self, node: yaml.ScalarNode) -> int:
        """Return an integer in decimal digits."""
        if not DECIMAL.fullmatch(node.value):
            raise not_decimal(node)
        return int(node.value.replace("_", ""))

    def construct_float(self, node: yaml.ScalarNode) -> float:
        """Return a number with a point."""
        if ":" in node.value:
            raise not_decimal(node)
        number: float = self.construct_yaml_float(node)
        return number

    def construct_text(self, node: yaml.ScalarNode) -> str:
        """Return a text without control characters."""
        if found := CONTROL_CHARACTER.search(node.value):
            problem = f"the text contains the control character {found[0]!r}; remove it"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        return str(node.value)


def not_decimal(node: yaml.ScalarNode) -> yaml.MarkedYAMLError:
    """Return the error of a number that is not in decimal digits, or has too many of them."""
    problem = (
        f"{node.value[:40]} is not a number of at most 100 decimal digits without a zero at its "
        "start; correct it, or put it in quotes if it is a text"
    )
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


StrictLoader.add_constructor("tag:yaml.org,2002:int", StrictLoader.construct_integer)
StrictLoader.add_constructor("tag:yaml.org,2002:float", StrictLoader.construct_float)
StrictLoader.add_constructor("tag:yaml.org,2002:str", StrictLoader.construct_text)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file that contains a mapping.

    Raises:
        UserError: the file is missing, not UTF-8, not YAML, not a mapping, or too large with its
            aliases written out. The message names the line.
    """
    text = read_text(path)
    try:
        loader = StrictLoader(text)
        node = loader.get_single_node()
        check_size(node)
        value = loader.construct_document(node) if node else None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"{path}, line {line}: {reason(error, text)}") from None
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise UserError(
            f"{path}, line {line}: not YAML: {error.reason}; remove this character"
        ) from None
    # Such as the date 2024-13-01, `!!bool foo`, or thousands of nested brackets.
    except (ValueError, KeyError, AttributeError, IndexError, RecursionError) as error:
        raise UserError(f"{path}: not YAML: {error}; correct the value") from None
    if not isinstance(value, dict):
        raise UserError(
            f"{path}: empty, or not a mapping of keys to values; correct it as in config/README.md"
        )
    return value


def reason(error: yaml.MarkedYAMLError, text: str) -> str:
    """Return what is wrong in a YAML file, and what to do."""
    problem, mark = error.problem or "a syntax error", error.problem_mark
    line = next(iter(text.splitlines()[mark.line :]), "") if mark else ""
    if mark and line[mark.column :].startswith("\t"):
        return "not YAML: a tab is not allowed here; use blanks to indent"
    if ";" in problem:  # The loader's own errors have the remedy.
        return problem
    return f"not YAML: {problem}; correct this line or the one before"


def check_size(root: yaml.Node | None) -> None:
    """Check how many values a document has with its aliases written out.

    Raises:
        yaml.MarkedYAMLError: too many, or an alias is part of what it refers to.
    """
    sizes: dict[int, int] = {}

    def size(node: yaml.Node) -> int:
        if id(node) not in sizes:
            sizes[id(node)] = MOST_VALUES + 1  # until it is known: a node in itself has no end
            children = node.value if isinstance(node, yaml.CollectionNode) else []
            if isinstance(node, yaml.MappingNode):
                children = [child for pair in children for child in pair]
            sizes[id(node)] = 1 + sum(map(size, children))
        if sizes[id(node)] > MOST_VALUES:
            problem = (
                f"aliases expand to more than {MOST_VALUES:,} values; replace them with the values"
            )
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        return sizes[id(node)]

    if root:
        size(root)


def find_line(path: Path, keys: Sequence[int | str]) -> int | None:
    """Return the line of a key in a YAML file, from 1; None if the file does not have the key.

    Args:
        path: of a file that `read_yaml` accepts.
        keys: from the outermost to the key; an integer is a place in a list, from 0.
    """
    try:
        node = StrictLoader(read_text(path)).get_single_node()
    except (UserError, yaml.YAMLError):  # such as a JSON file with half a surrogate pair
        return None
    line = None
    for key in keys:
        if isinstance(node, yaml.MappingNode) and (found := find_key(node, key)):
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and key in range(len(node.value)):
            node = node.value[key]
            line = node.start_mark.line + 1
        else:
            return None
    return line


def find_key(mapping: yaml.MappingNode, key: int | str) -> tuple[yaml.Node, yaml.Node] | None:
    """Return the nodes of a key and of its value, also from a merged mapping (`<<`)."""
    merged: list[yaml.Node] = []
    for name, value in mapping.value:
        if name.value == str(key):
            return name, value
        if name.value == "<<":
            merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
    found = (find_key(other, key) for other in merged if isinstance(other, yaml.MappingNode))
    return next(filter(None, found), None)
