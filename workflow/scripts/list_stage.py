"""List the files of a stage with their checksums."""

from pathlib import Path

from aligners.core.hashes import file_hash
from aligners.core.program import run
from aligners.core.rows import atomic_path


def main(*, files: list[Path], output: Path) -> None:
    """Write one line for each file, and for each file of a directory: sha256 and path."""
    listed = [
        file
        for path in files
        for file in (sorted(path.rglob("*")) if path.is_dir() else [path])
        if file.is_file() and not file.name.startswith(".")
    ]
    with atomic_path(output) as partial, partial.open("w", encoding="utf-8") as handle:
        handle.writelines(f"{file_hash(file)}  {file}\n" for file in listed)


if __name__ == "__main__":
    run(main)
