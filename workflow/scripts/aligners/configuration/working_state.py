"""Working state of a job: what a killed job continues from."""

from pathlib import Path

from aligners.core.hashes import short_hash

ROOT = Path("results/.working")


def working_directory(output: Path, *key: str) -> Path:
    """Return the directory for the working state of an output, made if needed.

    It lies outside the declared outputs, since Snakemake deletes those of a job that fails. State
    that another fingerprint must not continue from has the fingerprint as its key.
    """
    name = "-".join([output.as_posix().replace("/", "+"), *(short_hash(part) for part in key)])
    directory = ROOT / name
    directory.mkdir(parents=True, exist_ok=True)
    return directory
