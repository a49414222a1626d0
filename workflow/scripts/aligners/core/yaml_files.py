"""Reads YAML files that contain a mapping with unique keys."""

from pathlib import Path
from typing import Any

import yaml

from aligners.core.errors import UserError
from aligners.core.rows import read_text


class UniqueKeyLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """A safe loader that rejects duplicate keys; PyYAML would use the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping; raise an error if a key appears twice."""
        keys: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in keys:
                problem = f"the key {key.value} appears twice"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            keys.add(key.value)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file that contains a mapping.

    Raises:
        UserError: the file is missing, not UTF-8, not YAML, or not a mapping.
    """
    text = read_text(path)
    try:
        value = yaml.load(text, Loader=UniqueKeyLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"{path}, line {line}: not YAML: {error.problem}; fix it") from None
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise UserError(f"{path}, line {line}: not YAML: {error.reason}; fix it") from None
    except ValueError as error:  # such as the date 2024-13-01
        raise UserError(f"{path}: not YAML: {error}; fix it") from None
    if not isinstance(value, dict):
        raise UserError(f"{path}: empty or not a mapping of keys to values; see config/README.md")
    return value
