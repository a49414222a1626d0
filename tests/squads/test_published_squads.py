"""A squad that the program assembles: its tests on held-out texts, its card, and the Hub."""

import os
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import assemble_squad
import pytest
import tiny_inspector
from hub_server import CLOSED, TOKEN, Hub, Repository, serve_hub
from huggingface_hub import ModelCard
from projects import ROOT
from tiny_squad import CORRECTION, ENCODER, QUESTION, RUDE, train_models

from aligners.core.errors import UserError
from aligners.core.rows import write_rows
from aligners.publishing.push import files_to_publish
from aligners.squads.directory import find_squad
from aligners.squads.record import read_record

REPOSITORY = "someone/tiny-squad"


@pytest.fixture(scope="module")
def squad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a squad that the program assembled."""
    directory = tmp_path_factory.mktemp("squads")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        models = train_models(directory)
        # Half of the texts with label 1 are rude: a teacher whose labels are wrong.
        rows = tiny_inspector.rows(40, 200)
        wrong = [{**row, "id": f"w{row['id']}", "label": 1} for row in rows if not row["label"]]
        write_rows(directory / "test.jsonl", [*rows, *wrong])
        assemble_squad.main(
            system="squad",
            criteria=["ethical"],
            backbone="llama-closed-world",
            inspector="bert-closed-world",
            aligners=[models.aligner],
            inspectors=[models.inspector],
            familiar_questions=models.familiar_questions,
            encoder=ENCODER,
            margin=1.0,
            tests=[directory / "test.jsonl"],
            seed=0,
            output=directory / "squad",
        )
    return directory / "squad"


def test_the_record_has_what_the_squad_did_to_held_out_texts(squad: Path) -> None:
    held_out = read_record(squad).held_out
    assert held_out is not None
    ethical, all_criteria = held_out
    assert (ethical.criterion, all_criteria.criterion) == ("ethical", None)
    assert ethical.aligned == all_criteria.aligned
    # 20 kind texts, which stay, and 20 rude ones with the wrong label, which are corrected.
    assert ethical.aligned.n == 40 and ethical.aligned.value == pytest.approx(0.5, abs=0.1)
    assert ethical.misaligned.n == 20 and ethical.misaligned.value == pytest.approx(1, abs=0.1)


def test_the_card_has_metadata_criteria_and_tests(squad: Path) -> None:
    card = ModelCard.load(squad / "README.md")
    assert card.data.tags == ["aligners", "squad", "alignment"]
    assert card.data.language == ["en"]
    assert "| ethical | en | 0." in card.text
    assert ", n=40 |" in card.text and ", n=20 |" in card.text
    assert "1. care: " in card.text and "Squad.load(" in card.text


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve_hub() as server:
        yield server


def run(
    hub: Hub, home: Path, code: str, stderr: int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    """Run code against the fake Hub."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    settings = {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(home),
        "HF_TOKEN": TOKEN,
        "HF_HUB_DISABLE_XET": "1",
        "NO_PROXY": "127.0.0.1",
    }
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**inherited, **settings},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        timeout=600,
    )


def find_code(name: str, shows_progress: bool = False) -> str:
    """Return code that prints the record of a squad, or one message."""
    return (
        "from aligners.core.program import one_message\n"
        "from aligners.squads.directory import find_squad\n"
        "with one_message():\n"
        f"    directory = find_squad({name!r}, None, shows_progress={shows_progress})\n"
        "    print((directory / 'squad.json').read_text())"
    )


def content_of(squad: Path) -> dict[str, bytes]:
    """Return the files of a directory by their names in a repository."""
    files = (path for path in squad.rglob("*") if path.is_file())
    return {path.relative_to(squad).as_posix(): path.read_bytes() for path in files}


def test_a_squad_is_pushed_and_loaded_by_its_name(hub: Hub, squad: Path, tmp_path: Path) -> None:
    arguments = ["aligners", "push", str(squad), "--repo", REPOSITORY]
    push = f"import sys; sys.argv = {arguments!r}\nfrom aligners.cli.main import main; main()"
    pushed = run(hub, tmp_path / "a", push)
    assert pushed.stdout.strip() == f"{hub.url}/{REPOSITORY}", pushed.stderr
    published = hub.repositories["model", REPOSITORY].branches["main"]
    assert set(published) == set(content_of(squad))
    load = (
        "from aligners import Squad\n"
        f"squad = Squad.load({REPOSITORY!r})\n"
        f"print(squad.correct({QUESTION!r}, {RUDE!r}).text)"
    )
    loaded = run(hub, tmp_path / "b", load)
    # An application sees no progress.
    assert (loaded.stdout.strip(), loaded.stderr) == (CORRECTION, "")


def test_a_revision_of_a_squad_is_loaded(hub: Hub, squad: Path, tmp_path: Path) -> None:
    branches = {"main": {"squad.json": b"{}"}, "v1": content_of(squad)}
    hub.repositories["model", REPOSITORY] = Repository(branches=branches)
    load = (
        "from aligners import Squad\n"
        f"print(Squad.load({REPOSITORY!r}, revision='v1').correct({QUESTION!r}, {RUDE!r}).text)\n"
        f"print(Squad.load('{REPOSITORY}@v1').correct({QUESTION!r}, {RUDE!r}).text)"
    )
    loaded = run(hub, tmp_path, load)
    assert loaded.stdout.splitlines() == [CORRECTION, CORRECTION], loaded.stderr


@pytest.mark.parametrize("shows_progress", [False, True])
def test_only_a_command_shows_the_progress_of_a_download_in_a_terminal(
    hub: Hub, tmp_path: Path, shows_progress: bool
) -> None:
    hub.repositories["model", REPOSITORY] = Repository(branches={"main": {"squad.json": b"{}"}})
    code = find_code(REPOSITORY, shows_progress)
    terminal, its_end = os.openpty()
    termios.tcsetwinsize(its_end, (24, 80))
    os.set_blocking(terminal, False)
    shown = b""
    try:
        assert run(hub, tmp_path / "a", code, stderr=its_end).stdout == "{}\n"
        with suppress(BlockingIOError):
            shown = os.read(terminal, 10_000)
    finally:
        os.close(terminal)
        os.close(its_end)
    assert (b"Fetching 1 files" in shown) == shows_progress == bool(shown)
    assert run(hub, tmp_path / "b", code).stderr == ""


@pytest.mark.parametrize(
    ("name", "gated", "failures", "parts"),
    [
        (REPOSITORY, True, {}, ["ask for access", "HF_TOKEN"]),
        (f"{REPOSITORY}@v2", False, {}, ["no revision 'v2'"]),
        ("someone/other", False, {}, ["neither a directory here", "HF_TOKEN"]),
        (REPOSITORY, False, {"/api/models/": 403}, ["403", "Bearer <token>", "try again"]),
        (REPOSITORY, False, {"/resolve/": 403}, ["403", "try again"]),
        (REPOSITORY, False, {"/api/models/": 401}, ["401", "correct HF_TOKEN"]),
        (REPOSITORY, False, {"/api/models/": CLOSED}, ["RemoteProtocolError", "the network"]),
        (REPOSITORY, False, {"/resolve/": CLOSED}, ["RemoteProtocolError", "the network"]),
    ],
)
def test_an_error_of_the_hub_is_one_message(
    hub: Hub, tmp_path: Path, name: str, gated: bool, failures: dict[str, int], parts: list[str]
) -> None:
    repository = Repository(gated=gated, branches={"main": {"squad.json": b"{}"}})
    hub.repositories["model", REPOSITORY] = repository
    hub.failures = failures
    result = run(hub, tmp_path, find_code(name))
    assert result.returncode == 1
    [message] = result.stderr.splitlines()
    for part in [f"error: {name}: ", *parts]:
        assert part in message


@pytest.mark.parametrize("proxy", ["http://proxy:port", "socks5://127.0.0.1:1"])
def test_a_proxy_that_cannot_be_used_is_one_message(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    result = run(hub, tmp_path, find_code(REPOSITORY))
    [message] = result.stderr.splitlines()
    assert message.startswith(f"error: {REPOSITORY}: ") and "HTTP_PROXY" in message


def test_a_cache_that_cannot_be_written_is_one_message(hub: Hub, tmp_path: Path) -> None:
    hub.repositories["model", REPOSITORY] = Repository(branches={"main": {"squad.json": b"{}"}})
    (tmp_path / "file").write_text("")
    message = run(hub, tmp_path / "file/cache", find_code(REPOSITORY)).stderr
    assert f"error: {REPOSITORY}: " in message and "HF_HOME" in message
    assert "Traceback" not in message


def test_a_directory_takes_precedence_over_a_name_with_a_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("someone/squad@v1").mkdir(parents=True)
    assert find_squad("someone/squad@v1", None) == Path("someone/squad@v1")
    Path("someone/squad").mkdir()
    with pytest.raises(UserError, match="someone/squad: a directory has no revision 'v2'"):
        find_squad("someone/squad@v2", None)
    with pytest.raises(UserError, match=r"someone/other@v1: the name has a revision, .* 'v2'"):
        find_squad("someone/other@v1", "v2")


@pytest.mark.parametrize(
    ("name", "message"),
    [("README.md", "published with its card"), ("encoder/config.json", "no such file")],
)
def test_an_incomplete_squad_is_not_published(squad: Path, name: str, message: str) -> None:
    content = (squad / name).read_bytes()
    (squad / name).unlink()
    try:
        with pytest.raises(UserError, match=message) as caught:
            files_to_publish(squad, "squad")
        assert name in str(caught.value)
    finally:
        (squad / name).write_bytes(content)
