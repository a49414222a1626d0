"""A squad that the program assembles: its tests on held-out texts, its card, and the Hub."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import assemble_squad
import pytest
import tiny_inspector
from hub_server import TOKEN, Hub, serve_hub
from huggingface_hub import ModelCard
from projects import ROOT
from tiny_squad import CORRECTION, ENCODER, QUESTION, RUDE, train_models

from aligners.core.errors import UserError
from aligners.core.rows import write_rows
from aligners.publishing.push import files_to_publish
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


def run(hub: Hub, home: Path, code: str) -> str:
    """Run code against the fake Hub, and return what it prints."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    settings = {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(home),
        "HF_TOKEN": TOKEN,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "NO_PROXY": "127.0.0.1",
    }
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**inherited, **settings},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_a_squad_is_pushed_and_loaded_by_its_name(hub: Hub, squad: Path, tmp_path: Path) -> None:
    arguments = ["aligners", "push", str(squad), "--repo", REPOSITORY]
    push = f"import sys; sys.argv = {arguments!r}\nfrom aligners.cli.main import main; main()"
    assert run(hub, tmp_path / "a", push).strip() == f"{hub.url}/{REPOSITORY}"
    published = hub.repositories["model", REPOSITORY].branches["main"]
    assert set(published) == {
        path.relative_to(squad).as_posix() for path in squad.rglob("*") if path.is_file()
    }
    load = (
        "from aligners import Squad\n"
        f"squad = Squad.load({REPOSITORY!r})\n"
        f"print(squad.correct({QUESTION!r}, {RUDE!r}).text)"
    )
    assert run(hub, tmp_path / "b", load).strip() == CORRECTION


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
