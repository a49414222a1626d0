"""List the files of a stage with their checksums."""

from pathlib import Path

from aligners.configuration import results
from aligners.core.hashes import file_hash
from aligners.core.program import run
from aligners.core.rows import atomic_path


def main(*, stage: str, names: str) -> None:
    """Write one line with SHA-256 and path for each file, including files in directories.

    Args:
        stage: name of a stage in results.STAGES.
        names: JSON with a list of names for each field of the stage's paths.
    """
    given = results.given_names(names)
    paths = [
        path
        for pattern in results.STAGES[stage]
        for path in pattern.paths(results.spanned(pattern, given))
    ]
    with (
        atomic_path(results.STAGE_LIST.path(stage=stage)) as partial,
        partial.open("w", encoding="utf-8") as handle,
    ):
        handle.writelines(f"{file_hash(file)}  {file}\n" for path in paths for file in files(path))


def files(path: Path) -> list[Path]:
    """Return the file, or all files in a directory except hidden ones."""
    found = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [file for file in found if file.is_file() and not file.name.startswith(".")]


if __name__ == "__main__":
    run(main)
