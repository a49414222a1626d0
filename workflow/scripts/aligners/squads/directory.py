"""The directory of a squad: given as a path, or downloaded from the Hugging Face Hub."""

import sys
from pathlib import Path
from typing import Any

from httpx2 import RequestError
from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import tqdm, validate_repo_id  # type: ignore[attr-defined]

from aligners.core.errors import UserError
from aligners.core.full_disk import is_full_disk
from aligners.core.hub_errors import HUB_ERRORS, describe, without_token
from aligners.squads.record import FILE_NAME

# Weights are safetensors. Files that can run code when they are loaded are never downloaded.
FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "*.md"]


def find_squad(path: str | Path, revision: str | None, shows_progress: bool = False) -> Path:
    """Return the directory of a squad.

    Args:
        path: the directory, or a repository on the Hub as owner/name or owner/name@revision. A
            directory takes precedence.
        revision: branch, tag or commit on the Hub; None for that of the name, or the main branch.
        shows_progress: whether a download shows its progress if standard error is a terminal.

    Raises:
        UserError: there is no such directory, or the Hub does not give the files.
    """
    name, pinned = split_revision(path)
    if pinned is not None and revision is not None:
        raise UserError(f"{path}: the name has a revision, so leave out the revision {revision!r}")
    if pinned == "":
        raise UserError(f"{path}: there is no revision after @; add it, or leave @ out")
    revision = pinned or revision
    directory = Path(name)
    if exists(directory) and directory.is_dir():
        if revision is not None:
            raise UserError(f"{name}: a directory has no revision {revision!r}; leave it out")
        return directory
    if isinstance(name, str) and is_repository(name) and not exists(directory):
        return download(name, revision, shows_progress)
    raise UserError(
        f"{path}: no such directory; give the directory of a squad, such as "
        "results/squads/<backbone>/<system>, or its repository on the Hub as owner/name"
    )


def split_revision(path: str | Path) -> tuple[str | Path, str | None]:
    """Return a name without its revision, and the revision; None if it has none."""
    if isinstance(path, str) and not exists(Path(path)):
        name, separator, revision = path.partition("@")
        if separator and is_repository(name):
            return name, revision
    return path, None


def exists(path: Path) -> bool:
    """Return whether there is something; a name that no file can have is not there."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def is_repository(name: str) -> bool:
    """Return whether a text is a name on the Hub: owner/name."""
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return name.count("/") == 1


class NoBar(tqdm):
    """A progress bar that is not shown."""

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **{**options, "disable": True})


def download(repository: str, revision: str | None, shows_progress: bool) -> Path:
    """Return the local copy of a squad on the Hub; files that are in the cache are not sent again.

    Raises:
        UserError: there is no such squad, it needs a token, or the Hub cannot be reached.
    """
    bar = None if shows_progress and sys.stderr.isatty() else NoBar
    try:
        return Path(
            snapshot_download(repository, revision=revision, allow_patterns=FILES, tqdm_class=bar)
        )
    except HUB_ERRORS as error:
        if is_full_disk(error):
            raise
        problem = without_token(explain(error, revision))
        name = f"{repository}@{revision}" if revision else repository
        raise UserError(f"{name}: {problem}") from None


def explain(error: Exception, revision: str | None) -> str:
    """Return why the Hub does not give a squad, and what to do about it."""
    if isinstance(error, LocalEntryNotFoundError) and isinstance(error.__cause__, HfHubHTTPError):
        # The client looked into its cache after an error of the Hub, which is the reason.
        error = error.__cause__
    if isinstance(error, GatedRepoError):
        return "only accounts with access can download it; ask for access, and set HF_TOKEN"
    if isinstance(error, RevisionNotFoundError):
        return f"the repository has no revision {revision or 'main'!r}; correct it"
    if isinstance(error, RepositoryNotFoundError):
        return (
            "neither a directory here nor a public repository on the Hub; correct the path, or set "
            "HF_TOKEN if the repository is private"
        )
    if isinstance(error, LocalEntryNotFoundError | OfflineModeIsEnabled):
        return (
            "no such directory, not in the local cache of the Hub, and the Hub cannot be reached; "
            f"correct the path to that of a directory with {FILE_NAME}, or connect to the network"
        )
    if isinstance(error, HfHubHTTPError) and error.response.status_code == 401:
        return "the Hub rejects the token (401); correct HF_TOKEN, or unset it for a public squad"
    text = describe(error, "try again")
    if isinstance(error, HfHubHTTPError | RequestError):
        return text
    # Such as a cache that cannot be written, or a token that no header can have.
    return f"{text}; check the environment: HF_HOME, HF_TOKEN, HTTPS_PROXY, SSL_CERT_FILE"
