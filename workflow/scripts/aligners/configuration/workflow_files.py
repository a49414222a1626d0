"""The workflow's own files, found wherever a run's working directory is.

A run reads its files from the working directory first. So a directory that holds a configuration
alone is enough, and what it holds itself takes the place of the workflow's.
"""

from pathlib import Path

# The directory of the Snakefile, where the library lies in a checkout of the project.
WORKFLOW = Path(__file__).parents[4]
SCRIPTS = WORKFLOW / "workflow/scripts"


def find_file(path: Path | str) -> Path:
    """Return a file as it is named if it is there, else the workflow's own of that name.

    Where neither exists, the path is returned as it is named, for a message.
    """
    own = WORKFLOW / path
    return own if not Path(path).exists() and own.exists() else Path(path)


def files_in(directory: Path | str, pattern: str) -> list[Path]:
    """Return the files that match in a directory and in the workflow's own, each name once."""
    found = {file.name: file for file in sorted((WORKFLOW / directory).glob(pattern))}
    found.update({file.name: file for file in sorted(Path(directory).glob(pattern))})
    return [found[name] for name in sorted(found)]
