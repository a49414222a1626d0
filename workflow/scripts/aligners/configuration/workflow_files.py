"""Finds the workflow's own files from any working directory.

A run looks for a file in the working directory first, then in the workflow. So a directory with
only a configuration is enough, and its files replace those of the workflow with the same name.
"""

import os
from pathlib import Path

# The directory of the Snakefile; the library lies below it.
WORKFLOW = Path(__file__).parents[4]
SCRIPTS = WORKFLOW / "workflow/scripts"


def find_file(path: Path | str) -> Path:
    """Return the path if it exists, else the workflow's own file of that name.

    If neither exists, the path is returned unchanged, so that a message can name it.
    """
    # os.path: of a user who does not exist, `~` stays, and a name that is too long does not exist.
    given = Path(os.path.expanduser(path))
    own = WORKFLOW / given
    return own if not os.path.exists(given) and os.path.exists(own) else given


def files_in(directory: Path | str, pattern: str) -> list[Path]:
    """Return the matching files of a directory, here or in the workflow, each name once."""
    found = {file.name: file for file in sorted((WORKFLOW / directory).glob(pattern))}
    found.update({file.name: file for file in sorted(Path(directory).glob(pattern))})
    return [found[name] for name in sorted(found)]
