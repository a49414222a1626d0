"""Errors of a full disk get one message with the file or the directory."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import constants

from aligners.core.program import one_message


def from_torch() -> None:
    """Raise the error of torch.save to an open file."""
    try:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598")


def raising(error: Exception) -> Callable[[], None]:
    def function() -> None:
        raise error

    return function


# What libraries raise if a disk is full (measured on a tmpfs), without a file's name.
ERRORS: dict[str, Callable[[], None]] = {
    "write": raising(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))),
    "quota": raising(OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))),
    "safetensors": raising(
        Exception("Error while serializing: I/O error: No space left on device (os error 28)")
    ),
    "torch.save to a path": raising(RuntimeError("basic_ios::clear: iostream error")),
    "torch.save to a file": from_torch,
    "torch.save in an old format": raising(
        RuntimeError("write(): fd 3 failed with No space left on device")
    ),
}


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("full", ["results/.working", "temporary", "hub"])
def test_the_message_names_the_fullest_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str, full: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("results/.working", "temporary", "hub"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(
        shutil,
        "disk_usage",
        lambda path: usage._replace(free=0 if path == tmp_path / full else 10**9),
    )
    with pytest.raises(SystemExit) as caught, one_message():
        ERRORS[error]()
    message = str(caught.value)
    assert message.startswith(f"error: {tmp_path / full}: ") and "full" in message


def test_the_message_names_the_file_if_it_is_known(tmp_path: Path) -> None:
    error = OSError(errno.ENOSPC, "No space left", "from/a", None, "to/b")
    with pytest.raises(SystemExit, match=r"error: to/b: .*full"), one_message():
        raise error


def test_other_errors_are_raised() -> None:
    with pytest.raises(RuntimeError, match="shapes"), one_message():
        raise RuntimeError("shapes do not match")
    with pytest.raises(OSError, match="denied"), one_message():
        raise OSError(errno.EACCES, "denied")
