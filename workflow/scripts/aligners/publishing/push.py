"""Publish a model, a squad or a data set on the Hugging Face Hub."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from huggingface_hub import HfApi, get_token
from huggingface_hub.constants import ENDPOINT, REPOCARD_NAME
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from aligners.configuration import results
from aligners.configuration.criteria import languages_of
from aligners.configuration.results import TRAINING_RECORD
from aligners.configuration.working_state import ROOT
from aligners.core.errors import UserError
from aligners.core.hub_errors import HUB_ERRORS, describe, reason_of, without_token
from aligners.core.rows import iterate_rows, read_json
from aligners.publishing.data_card import count_licenses, data_card
from aligners.publishing.licenses import non_commercial
from aligners.publishing.model_card import TrainingRecord, data_licenses
from aligners.squads.record import FILE_NAME as SQUAD
from aligners.squads.record import check_files, read_record

# Files that can run code when they are loaded.
PICKLES = {".bin", ".pt", ".pth", ".pkl"}
DROPPED = "dropped.jsonl"
# The Hub's type of repository for each kind of directory.
REPOSITORY_TYPES = {"model": "model", "squad": "model", "dataset": "dataset"}


def push_directory(
    path: Path, repo: str, private: bool, revision: str | None, message: str
) -> None:
    """Publish a directory on the Hub, and print its URL.

    A model is published with the card beside its directory, and a squad with the card in it. A data
    set is published with its own card, or with a new one if it has none. Everything is checked
    before anything is sent.

    Args:
        path: directory of a model, of a squad, or of JSON Lines files.
        repo: repository on the Hub, as owner/name; created if it does not exist.
        private: whether the repository has to be private.
        revision: branch, created if it does not exist; None for the main branch.
        message: of the commit.

    Raises:
        UserError: the directory cannot be published, the name or the token is invalid, or the Hub
            rejects a request or cannot be reached.
    """
    kind = directory_kind(path)
    files = files_to_publish(path, kind)
    check_name(repo)
    token = find_token()
    # This directory is sent: links to the files, and a new card if the data set needs one.
    with TemporaryDirectory() as name:
        staging = Path(name)
        for target, file in files.items():
            link = staging / target
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file.resolve())
        if kind == "dataset" and not (staging / REPOCARD_NAME).exists():
            languages = languages_of(criteria_of(path))
            data_card(staging, repo, languages=languages).save(staging / REPOCARD_NAME)
        announce_licenses(staging, kind)
        with hub_errors(repo):
            url = upload(
                HfApi(token=token),
                staging,
                REPOSITORY_TYPES[kind],
                repo,
                private,
                revision,
                message,
            )
    print(url)


def criteria_of(path: Path) -> list[str]:
    """Return the criterion of a training set in results/; none for another directory."""
    try:
        return [results.TRAINING_SET.names(path.resolve() / "train.jsonl")["criterion"]]
    except ValueError:
        return []


def announce_licenses(staging: Path, kind: str) -> None:
    """Print which licences of the data forbid commercial use, before anything is sent."""
    if kind in ("model", "squad"):
        records = [staging / TRAINING_RECORD] if kind == "model" else staging.rglob(TRAINING_RECORD)
        licenses = {
            name for path in records for name in data_licenses(read_json(path, TrainingRecord))
        }
    else:
        rows = (row for file in staging.glob("*.jsonl") for row in iterate_rows(file))
        licenses = set(count_licenses(rows))
    if found := non_commercial(licenses):
        print(f"Not for commercial use: data with the licence {', '.join(found)}.")


def directory_kind(path: Path) -> str:
    """Return the kind of a directory, "model", "squad" or "dataset".

    Raises:
        UserError: the directory does not exist, is neither, or is working state.
    """
    if not path.is_dir():
        raise UserError(f"{path}: no such directory; correct the path")
    if ROOT.name in path.resolve().parts:
        raise UserError(
            f"{path}: this is the working state of a job; give the job's output directory"
        )
    if (path / SQUAD).is_file():
        return "squad"
    if (path / "config.json").is_file() and any(path.glob("*.safetensors")):
        return "model"
    if any(not is_left_out(file.relative_to(path)) for file in path.glob("*.jsonl")):
        return "dataset"
    raise UserError(
        f"{path}: neither a model (config.json and *.safetensors), nor a squad ({SQUAD}), nor a "
        "data set (*.jsonl); give such a directory, for example "
        "results/aligners/<backbone>/<aligner>/model, results/squads/<backbone>/<system> or "
        "results/synthetic/<criterion>/aligner"
    )


def is_left_out(file: Path) -> bool:
    """Return whether a file is not published: a hidden file, or rows that were dropped.

    Args:
        file: path relative to the published directory.
    """
    hidden = any(part.startswith(".") for part in file.parts)
    return hidden or file.name == DROPPED or file.name.endswith(f".{DROPPED}")


def files_to_publish(path: Path, kind: str) -> dict[Path, Path]:
    """Return the files to publish, by their paths in the repository.

    Raises:
        UserError: one is a link or a pickle, a model lacks its card or its record, or a squad's
            files are not those of its record.
    """
    if kind == "dataset":
        inside = [*path.glob("*.jsonl"), *path.glob(REPOCARD_NAME)]
    else:
        inside = list(path.rglob("*"))
    found = {file.relative_to(path): file for file in sorted(inside)}
    if kind == "squad":
        check_files(path, read_record(path))
        if not (path / REPOCARD_NAME).is_file():
            raise UserError(
                f"{path / REPOCARD_NAME}: no such file, but a squad is published with its card; "
                "make the squad again with the rule assemble_squad"
            )
    if kind == "model":
        if not (path / TRAINING_RECORD).is_file():
            raise UserError(
                f"{path / TRAINING_RECORD}: no such file, but a model is published with it; train "
                "the model again to write it"
            )
        found[Path(REPOCARD_NAME)] = find_card(path)
    found = {name: file for name, file in found.items() if not is_left_out(name)}
    for file in found.values():
        if file.is_symlink():
            raise UserError(f"{file}: a symbolic link is not published; replace it with the file")
        if file.suffix in PICKLES:
            raise UserError(
                f"{file}: a pickle file is not published, because it can run code when it is "
                "loaded; save weights as safetensors, or remove the file"
            )
    return {name: file for name, file in found.items() if file.is_file()}


def find_card(model: Path) -> Path:
    """Return the card of a model, which is in its parent directory.

    Raises:
        UserError: there is no card.
    """
    # Resolved, because "." has no parent; relative, because the path is a target of Snakemake.
    card = Path(os.path.relpath(model.resolve().parent / REPOCARD_NAME))
    if not card.is_file():
        raise UserError(
            f"{card}: no such file, but a model is published with its card; write the card with "
            f"`snakemake {card}` and the options of your run"
        )
    return card


def check_name(repo: str) -> None:
    """Check that a repository of the Hub can have this name.

    Raises:
        UserError: the name is malformed.
    """
    try:
        validate_repo_id(repo)
        well_formed = repo.count("/") == 1
    except HFValidationError:
        well_formed = False
    if not well_formed:
        raise UserError(
            f"--repo {repo}: not a valid name; give owner/name with letters, digits, '-', '_' and "
            "'.', at most 96 characters"
        )


def find_token() -> str:
    """Return the token from the environment, or from the login of huggingface_hub.

    Raises:
        UserError: there is no token, or it has characters that no token has.
    """
    token = get_token()
    if token is None:
        raise UserError(
            f"HF_TOKEN: not set; create a token with write access at {ENDPOINT}/settings/tokens "
            "and set it in the environment"
        )
    # Other characters are not allowed in a header, and the HTTP library's error would show them.
    if not (token.isascii() and token.isprintable()):
        raise UserError("HF_TOKEN: has characters that a token cannot have; set it again")
    return token


def upload(
    api: HfApi,
    folder: Path,
    kind: str,
    repo: str,
    private: bool,
    revision: str | None,
    message: str,
) -> str:
    """Create the repository and the branch if needed, send a folder there, and return the URL.

    Raises:
        UserError: the repository has to be private, but exists and is public.
    """
    # With None the owner's settings apply; False would override them.
    url = api.create_repo(repo, private=private or None, repo_type=kind, exist_ok=True)
    if private and not api.repo_info(repo, repo_type=kind).private:
        raise UserError(
            f"{repo}: the repository exists and is public, but --private was given, so nothing was "
            "sent; make it private in its settings on the Hub, or give another name"
        )
    if revision is not None:
        api.create_branch(repo, branch=revision, repo_type=kind, exist_ok=True)
    api.upload_folder(
        repo_id=repo,
        folder_path=folder,
        repo_type=kind,
        revision=revision,
        commit_message=message,
    )
    return url if revision is None else f"{url}/tree/{revision}"


@contextmanager
def hub_errors(repo: str) -> Iterator[None]:
    """Raise errors of the Hub's client as a UserError without the token."""
    try:
        yield
    except HUB_ERRORS as error:
        # While the client sends files, it wraps their errors.
        text = explain(error.__cause__ or error if isinstance(error, RuntimeError) else error)
        raise UserError(f"{repo}: {without_token(text)}") from None


def explain(error: BaseException) -> str:
    """Describe an error of the Hub's client, and what to do about it."""
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set, so nothing is sent; unset it"
    if isinstance(error, HfHubHTTPError):
        if error.response.status_code == 401:
            return (
                "the Hub rejects the token (401); create one with write access at "
                f"{ENDPOINT}/settings/tokens and set HF_TOKEN in the environment"
            )
        if error.response.status_code == 403:
            return (
                f"the token has no write access (403: {reason_of(error)}); check the owner's name, "
                f"and give the token write access at {ENDPOINT}/settings/tokens"
            )
    return describe(error, "run the command again; files that have arrived are not sent twice")
