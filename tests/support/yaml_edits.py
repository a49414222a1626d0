"""Changes to the YAML files of a temporary project."""

from pathlib import Path
from typing import Any

import yaml

from aligners.configuration.recipes import read_recipe


def set_keys(path: Path | str, /, **values: Any) -> None:
    """Set keys of a YAML file; the value None removes a key."""
    content = {**yaml.safe_load(Path(path).read_text(encoding="utf-8")), **values}
    kept = {key: value for key, value in content.items() if value is not None}
    Path(path).write_text(yaml.safe_dump(kept, allow_unicode=True), encoding="utf-8")
    read_recipe.cache_clear()
