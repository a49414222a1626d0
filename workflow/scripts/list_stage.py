"""List the files of a stage with their checksums, so that equal runs have equal lists."""

from pathlib import Path

from aligners.configuration import results
from aligners.core.hashes import file_hash
from aligners.core.program import run
from aligners.core.rows import atomic_path

# These contain the time and the speed of a training, which differ between equal runs.
WITHOUT_CHECKSUM = (results.TRAINING_RECORD, "README.md")


def main(*, stage: str, names: str) -> None:
    """Write one line for each file, also in directories: SHA-256 and path, or # and path.

    A line with # is for a file that differs between equal runs. `sha256sum --check` ignores it.

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
        handle.writelines(f"{checksum(file)}  {file}\n" for path in paths for file in files(path))


def checksum(file: Path) -> str:
    """Return the SHA-256 of a file, or # if equal runs do not write it equally."""
    return "#" if file.name in WITHOUT_CHECKSUM else file_hash(file)


def files(path: Path) -> list[Path]:
    """Return the file, or all files in a directory except hidden ones."""
    found = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [file for file in found if file.is_file() and not file.name.startswith(".")]


if __name__ == "__main__":
    run(main)
