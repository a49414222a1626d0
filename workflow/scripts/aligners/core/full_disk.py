"""Errors of a full disk: libraries raise many kinds of them, and most name no file."""

import errno
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aligners.core.errors import UserError

# No result depends on this module, so fingerprints leave it out.
AFFECTS_RESULTS = False

NUMBERS = (errno.ENOSPC, errno.EDQUOT)
# Texts of the errors. safetensors and huggingface_hub (in Rust) give the first four, torch.save the
# others: its C++ code loses the cause.
TEXTS = (
    "No space left on device",
    "Disk quota exceeded",
    f"os error {errno.ENOSPC})",
    f"os error {errno.EDQUOT})",
    "iostream error",
    "PytorchStreamWriter",
)
# Where jobs write. The working state may be a link to another disk.
DIRECTORIES = ("results/.working", "results", ".")


def is_full_disk(error: BaseException) -> bool:
    """Return whether an error, or one that caused it, is that of a full disk."""
    return any(
        getattr(each, "errno", None) in NUMBERS or any(text in str(each) for text in TEXTS)
        for each in exception_chain(error)
    )


def exception_chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and then its causes."""
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__


@contextmanager
def explained_full_disk(*directories: Path) -> Iterator[None]:
    """Convert an error of a full disk to a UserError that names the file or the directory.

    Args:
        directories: further directories to which the block writes.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, UserError) or not is_full_disk(error):
            raise
        path = written_file(error) or fullest(*directories)
        raise UserError(
            f"{path}: the disk is full, or a quota is used up; free some space there and run "
            "again. Finished work is kept"
        ) from None


def written_file(error: BaseException) -> str | None:
    """Return the file that an error names; of a copy, the second."""
    for each in exception_chain(error):
        if isinstance(each, OSError) and each.errno in NUMBERS and each.filename is not None:
            return str(each.filename2 or each.filename)
    return None


def fullest(*directories: Path) -> Path:
    """Return the directory with the least free space, of those given and those that jobs use."""
    # tempfile.gettempdir() would skip a full disk.
    used = [*directories, *map(Path, DIRECTORIES), Path(os.environ.get("TMPDIR", "/tmp"))]
    if constants := sys.modules.get("huggingface_hub.constants"):
        used.append(Path(constants.HF_HUB_CACHE))
    existing = [path.absolute() for path in used if path.is_dir()]
    return min(existing, key=lambda path: shutil.disk_usage(path).free)
