"""Publish a model or a data set on the Hugging Face Hub."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from httpx2 import TransportError
from huggingface_hub import HfApi, get_token
from huggingface_hub.constants import ENDPOINT, REPOCARD_NAME
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from aligners.configuration.working_state import ROOT
from aligners.core.errors import UserError
from aligners.publishing.data_card import data_card
from aligners.publishing.model_card import RECORD

# Files that can run code when they are loaded.
PICKLES = {".bin", ".pt", ".pth", ".pkl"}
DROPPED = "dropped.jsonl"


def push_directory(
    path: Path, repo: str, private: bool, revision: str | None, message: str
) -> None:
    """Publish a directory on the Hub, and print where.

    A model goes up with the card that lies beside its directory; a data set with one that is made
    now, unless it has its own. All is checked before anything is sent.

    Args:
        path: of a model, or of JSON Lines files.
        repo: where to, as owner/name; made if it is not there.
        private: whether only the owner may see it.
        revision: the branch, made if it is not there; None for the main one.
        message: of the commit.

    Raises:
        UserError: there is something in the directory, the name or the token that cannot be
            published or used, or the Hub refuses it or cannot be reached.
    """
    kind = kind_of(path)
    files = files_of(path, kind)
    check_name(repo)
    token = find_token()
    # What lies in this directory goes up: links to the files, and the card made now.
    with TemporaryDirectory() as name:
        staging = Path(name)
        for target, file in files.items():
            link = staging / target
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file.resolve())
        if kind == "dataset" and not (staging / REPOCARD_NAME).exists():
            data_card(staging, repo).save(staging / REPOCARD_NAME)
        with explained(repo, token):
            url = upload(HfApi(token=token), staging, kind, repo, private, revision, message)
    print(url)


def kind_of(path: Path) -> str:
    """Return what a directory holds: "model" or "dataset".

    Raises:
        UserError: it is not there, or holds neither, or is working state.
    """
    if not path.is_dir():
        raise UserError(f"{path}: no such directory; check the name, or make it first")
    if ROOT.name in path.resolve().parts:
        raise UserError(f"{path}: the working state of a job; give the directory that it makes")
    if (path / "config.json").is_file() and any(path.glob("*.safetensors")):
        return "model"
    if any(not is_left_out(file.relative_to(path)) for file in path.glob("*.jsonl")):
        return "dataset"
    raise UserError(
        f"{path}: neither a model (config.json and *.safetensors) nor a data set (*.jsonl); give "
        "such a directory, as results/aligners/<backbone>/<aligner>/model or "
        "results/synthetic/<criterion>/aligner"
    )


def is_left_out(file: Path) -> bool:
    """Tell whether a file is not published: a hidden one, or rows that were dropped.

    Args:
        file: its path in the directory that is published.
    """
    hidden = any(part.startswith(".") for part in file.parts)
    return hidden or file.name == DROPPED or file.name.endswith(f".{DROPPED}")


def files_of(path: Path, kind: str) -> dict[Path, Path]:
    """Return the files that go up, by their paths in the repository.

    Raises:
        UserError: there is a link or a pickle among them, or a model lacks its card or its record.
    """
    is_model = kind == "model"
    inside = path.rglob("*") if is_model else [*path.glob("*.jsonl"), *path.glob(REPOCARD_NAME)]
    found = {file.relative_to(path): file for file in sorted(inside)}
    if is_model:
        if not (path / RECORD).is_file():
            raise UserError(
                f"{path / RECORD}: no such file, and a model goes up with it; train the model "
                "again, which writes it"
            )
        found[Path(REPOCARD_NAME)] = card_beside(path)
    found = {name: file for name, file in found.items() if not is_left_out(name)}
    for file in found.values():
        if file.is_symlink():
            raise UserError(f"{file}: a link, which may lead anywhere; put the file in its place")
        if file.suffix in PICKLES:
            raise UserError(
                f"{file}: a pickle can run code where it is loaded; save weights as safetensors, "
                "or take the file away"
            )
    return {name: file for name, file in found.items() if file.is_file()}


def card_beside(model: Path) -> Path:
    """Return the card of a model, which lies beside its directory.

    Raises:
        UserError: there is none.
    """
    # Resolved, since "." has no parent; relative, since the path is the target of its rule.
    card = Path(os.path.relpath(model.resolve().parent / REPOCARD_NAME))
    if not card.is_file():
        raise UserError(
            f"{card}: no such file, and a model goes up with its card; write the card with "
            f"`snakemake {card}`, with the options of your run"
        )
    return card


def check_name(repo: str) -> None:
    """Refuse a name that no repository of the Hub can have.

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
            f"--repo {repo}: not the name of a repository; give owner/name in letters, digits, "
            "'-', '_' and '.', at most 96 characters"
        )


def find_token() -> str:
    """Return the token of the environment, or of the Hub's own login.

    Raises:
        UserError: there is none, or it cannot be one.
    """
    token = get_token()
    if token is None:
        raise UserError(
            f"HF_TOKEN: not set; make a token with write access at {ENDPOINT}/settings/tokens and "
            "set it in the environment"
        )
    # A header cannot carry others, and the HTTP library would show them in its message.
    if not (token.isascii() and token.isprintable()):
        raise UserError("HF_TOKEN: holds characters that no token has; set it anew")
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
    """Make the repository and the branch where needed, send a folder there, and return the URL.

    Raises:
        UserError: the repository is to be private and is there already, public.
    """
    # None leaves it to the owner's settings; False would make it public against them.
    made = api.create_repo(repo, private=private or None, repo_type=kind, exist_ok=True)
    if private and not api.repo_info(repo, repo_type=kind).private:
        raise UserError(
            f"{repo}: there already, and public, so nothing was sent; make it private in its "
            "settings on the Hub, or give another name"
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
    return made if revision is None else f"{made}/tree/{revision}"


@contextmanager
def explained(repo: str, token: str) -> Iterator[None]:
    """Turn what the client of the Hub raises into a UserError that shows no token."""
    try:
        yield
    except (OSError, TransportError, ValueError, RuntimeError) as error:
        # The client wraps what happened while it sent one of several files.
        text = explain(error.__cause__ or error if isinstance(error, RuntimeError) else error)
        raise UserError(f"{repo}: {text.replace(token, '<token>')}") from None


def explain(error: BaseException) -> str:
    """Say why the Hub did not take something, and what to do."""
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set, so nothing is sent; unset it"
    if isinstance(error, TransportError):
        # Its text may quote a header.
        return (
            f"the Hub at {ENDPOINT} cannot be reached ({type(error).__name__}); check the network, "
            "then give the command again: what has arrived is not sent twice"
        )
    if not isinstance(error, HfHubHTTPError):
        return " ".join(str(error).split())
    answer = " ".join((error.server_message or "").split())
    status = error.response.status_code
    if status == 401:
        return (
            "the Hub does not know the token (401); make one with write access at "
            f"{ENDPOINT}/settings/tokens and set HF_TOKEN in the environment"
        )
    if status == 403:
        return (
            f"the token may not write there (403: {answer}); check the owner's name, and give the "
            f"token write access at {ENDPOINT}/settings/tokens"
        )
    return f"the Hub answered {status}: {answer or 'without a reason'}"
