"""List the files of a stage with their checksums."""

import json
from pathlib import Path

from aligners.configuration.results import STAGES
from aligners.core.hashes import file_hash
from aligners.core.program import run
from aligners.core.rows import atomic_path


def main(*, stage: str, names: str, output: Path) -> None:
    """Write one line for each file, and for each file of a directory: sha256 and path.

    `names` is JSON: for each pattern of the stage, the names that stand for each name in braces.
    """
    paths = [
        path
        for pattern, own in zip(STAGES[stage], json.loads(names), strict=True)
        for path in pattern.paths(own)
    ]
    listed = [
        file
        for path in paths
        for file in (sorted(path.rglob("*")) if path.is_dir() else [path])
        if file.is_file() and not file.name.startswith(".")
    ]
    with atomic_path(output) as partial, partial.open("w", encoding="utf-8") as handle:
        handle.writelines(f"{file_hash(file)}  {file}\n" for file in listed)


if __name__ == "__main__":
    run(main)
