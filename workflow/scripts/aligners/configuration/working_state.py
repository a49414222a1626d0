"""The working state of a job, from which the job continues after it was killed."""

from pathlib import Path

from aligners.core.hashes import short_hash

ROOT = Path("results/.working")


def working_directory(output: Path, *key: str) -> Path:
    """Return the directory for the working state of an output, and create it if needed.

    It lies outside the declared outputs, since Snakemake deletes those of a failed job. If a job
    with another fingerprint must not continue from the state, pass the fingerprint as `key`.
    """
    name = "-".join([output.as_posix().replace("/", "+"), *(short_hash(part) for part in key)])
    directory = ROOT / name
    directory.mkdir(parents=True, exist_ok=True)
    return directory
