"""The directory of a squad: given as a path, or downloaded from the Hugging Face Hub."""

from pathlib import Path

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
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from aligners.core.errors import UserError
from aligners.squads.record import FILE_NAME

# Weights are safetensors. Files that can run code when they are loaded are never downloaded.
FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "*.md"]


def find_squad(path: str | Path, revision: str | None) -> Path:
    """Return the directory of a squad.

    Args:
        path: the directory, or a repository on the Hub as owner/name. A directory takes precedence.
        revision: branch, tag or commit on the Hub; None for the main branch.

    Raises:
        UserError: there is no such directory, or the Hub does not give the files.
    """
    directory = Path(path)
    if directory.is_dir():
        if revision is not None:
            raise UserError(f"{path}: a directory has no revision {revision!r}; leave it out")
        return directory
    if isinstance(path, str) and is_repository(path) and not directory.exists():
        return download(path, revision)
    raise UserError(
        f"{path}: no such directory; give the directory of a squad, such as "
        "results/squads/<backbone>/<system>, or its repository on the Hub as owner/name"
    )


def is_repository(name: str) -> bool:
    """Return whether a text is a name on the Hub: owner/name."""
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return name.count("/") == 1


def download(repository: str, revision: str | None) -> Path:
    """Return the local copy of a squad on the Hub; files that are in the cache are not sent again.

    Raises:
        UserError: there is no such squad, it needs a token, or the Hub cannot be reached.
    """
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=FILES))
    except GatedRepoError:
        problem = "only accounts with access can download it; ask for access, and set HF_TOKEN"
    except RevisionNotFoundError:
        problem = f"the repository has no revision {revision!r}; correct it"
    except RepositoryNotFoundError:
        problem = (
            "neither a directory here nor a public repository on the Hub; correct the path, or set "
            "HF_TOKEN if the repository is private"
        )
    except (LocalEntryNotFoundError, OfflineModeIsEnabled):
        problem = (
            "no such directory, not in the local cache of the Hub, and the Hub cannot be reached; "
            f"correct the path to that of a directory with {FILE_NAME}, or connect to the network"
        )
    except HfHubHTTPError as error:
        problem = (
            f"the Hub responded with status {error.response.status_code}; if this is temporary, "
            "try again"
        )
    raise UserError(f"{repository}: {problem}") from None
