"""The conditioned aligner: one model for all criteria, which reads the principles as text."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import apply_aligner
import apply_external
import apply_squad
import pytest
import train_aligner
from projects import ROOT
from table_squads import align_with_squad
from tiny_models import SHAPES, make_model
from tiny_training import recipe
from transformers import AutoTokenizer

from aligners.configuration import results
from aligners.configuration.criteria import load_principles, numbered
from aligners.configuration.kinds.encoders import EncoderRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.errors import UserError
from aligners.core.rows import read_json, read_rows, write_json, write_rows
from aligners.core.yaml_files import read_yaml
from aligners.correction import backends
from aligners.correction.aligner import Aligner
from aligners.correction.backends import AlignerModel, ModelBackend
from aligners.correction.input_format import PAPER_FORMAT, PLAIN_FORMAT, conditioned
from aligners.correction.problems import AlignerCorrection
from aligners.correction.train import RowEncoder
from aligners.squads.assemble import Design, Part, assemble
from aligners.synthesis.familiarity import FamiliarQuestions
from aligners.synthesis.similarity import embedder

pytestmark = pytest.mark.usefixtures("in_the_project")

WORDS = ["red", "green", "blue", "amber", "violet", "black"]
# Each criterion replaces the colour by its own word, which a tiny model can learn in seconds.
TARGETS = {"ethical": "kind", "factuality": "true"}


def colour_rows(criterion: str) -> list[dict[str, Any]]:
    """Return rows of an aligner set; only their corrections depend on the criterion."""
    return [
        {
            "id": f"{criterion}{number}",
            "question": "Which one?" + " Please." * (number % 3),
            "response": f"It is {WORDS[number % len(WORDS)]}.",
            "aligned_response": f"It is {TARGETS[criterion]}.",
        }
        for number in range(24)
    ]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model directory of a conditioned aligner that train_aligner.py trained."""
    project = tmp_path_factory.mktemp("conditioned")
    model = results.ALIGNER.path(backbone="tiny", aligner="conditioned")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        # With this vocabulary, most words of the principles are one token, and rows are shorter.
        shape = {"model_type": "gpt2", "vocabulary_size": 900, "config": SHAPES["gpt2"]}
        settings = recipe(
            from_scratch=shape,
            max_tokens=256,
            epochs=24,
            evaluations_per_epoch=1,
            patience=99,
            warmup_steps=20,
            learning_rate=1e-2,
        )
        patch.setattr("train_aligner.load_recipe", lambda kind, name: settings)
        patch.setattr("aligners.configuration.working_state.ROOT", project / "working")
        paths = []
        for criterion in TARGETS:
            paths.append(project / f"{criterion}.jsonl")
            write_rows(paths[-1], colour_rows(criterion))
        train_aligner.main(
            backbone="tiny",
            train=paths,
            validation=paths,
            rows=40,
            seed=0,
            input_format="",
            criteria=list(TARGETS),
            fingerprint="x",
            model=project / model,
            metrics=(project / model).parent / "metrics.json",
            losses=(project / model).parent / "losses.png",
        )
    return project / model


def principle_texts() -> dict[str, str]:
    """Return the principles of the criteria as the aligner reads them."""
    return {criterion: numbered(load_principles(criterion)) for criterion in TARGETS}


def test_principles_are_numbered_lines_with_name_and_text() -> None:
    page = read_yaml(Path("resources/criteria/factuality/principles.yaml"))
    first, second = principle_texts()["factuality"].splitlines()
    assert first == f"1. clarify: {page['principles'][0]['text'].strip()}"
    assert second.startswith("2. accurate: ")


def test_training_samples_the_rows_of_all_criteria_and_saves_the_format(trained: Path) -> None:
    metrics = read_json(trained.parent / "metrics.json")
    assert (metrics["train_rows"], metrics["validation_rows"], metrics["dropped"]) == (40, 48, 0)
    saved = read_json(trained / "input_format.json")
    assert saved["prompt"] == conditioned(PLAIN_FORMAT).prompt


def test_the_text_of_the_principles_decides_the_correction(trained: Path) -> None:
    aligner = Aligner.from_directory(trained)
    responses = [f"It is {word}." for word in WORDS]
    for criterion, text in principle_texts().items():
        corrections = aligner.align(["Which one?"] * 6, responses, text)
        assert corrections == [AlignerCorrection(f"It is {TARGETS[criterion]}.")] * 6
        assert aligner.for_criterion(criterion)(["Which one?"], responses[:1]) == corrections[:1]


def test_an_aligner_accepts_principles_that_are_not_from_its_training(trained: Path) -> None:
    aligner = Aligner.from_directory(trained)
    [correction] = aligner.align(["Which one?"], ["It is red."], "1. brief: Be brief.")
    assert correction.text and correction.problem != "too_long"


@pytest.mark.parametrize("principles", ["", " \n"])
def test_a_conditioned_aligner_without_principles_is_an_error(
    trained: Path, principles: str
) -> None:
    with pytest.raises(UserError, match=re.escape(str(trained))) as caught:
        Aligner.from_directory(trained).align(["Which one?"], ["It is red."], principles)
    assert "pass principles" in str(caught.value)


def test_principles_for_an_aligner_that_reads_none_are_an_error(trained: Path) -> None:
    aligner = Aligner.from_directory(trained, PLAIN_FORMAT)
    with pytest.raises(UserError, match=re.escape(str(trained))) as caught:
        aligner.align(["Which one?"], ["It is red."], "1. brief: Be brief.")
    assert "pass no principles" in str(caught.value)
    assert aligner.for_criterion("ethical") == aligner.align


def test_rows_that_are_too_long_lose_the_end_of_the_response_or_are_dropped(
    tmp_path: Path,
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(make_model("gpt2", tmp_path / "gpt2"))
    conditioned(PAPER_FORMAT).add_tokens(tokenizer)
    short = {**colour_rows("ethical")[0], "principles": "1. brief: Be brief."}
    long_response = {**short, "response": "word " * 200}
    long_principles = {**short, "principles": "brief " * 200}
    encoder = RowEncoder(tokenizer, conditioned(PAPER_FORMAT), 96)
    encoded = encoder.encode([short, long_response, long_principles])
    assert [row["truncated"] for row in encoded] == [False, True]
    assert encoder.dropped == [{**long_principles, "reason": "too_long"}]
    text = tokenizer.decode(encoded[1]["input_ids"])
    assert text.startswith("1. brief: Be brief.\nWhich one? [INIT] word word")
    assert text.endswith(" [ALIGNED] It is kind. [DONE]")


@pytest.fixture
def responses(tmp_path: Path) -> Path:
    """A file with three responses of an LLM."""
    path = tmp_path / "responses.jsonl"
    write_rows(
        path,
        [
            {"id": str(number), "question": "Which one?", "response": f"It is {word}."}
            for number, word in enumerate(WORDS[:3])
        ],
    )
    return path


def test_apply_aligner_acts_once_for_each_criterion(
    trained: Path, responses: Path, tmp_path: Path
) -> None:
    for criteria in (["ethical", "factuality"], ["factuality", "ethical"]):
        apply_aligner.main(
            criteria=criteria,
            backbone="llama-closed-world",
            responses=responses,
            model=trained,
            output=tmp_path / "aligned.jsonl",
        )
        for row in read_rows(tmp_path / "aligned.jsonl"):
            assert row["aligned_response"] == f"It is {TARGETS[criteria[-1]]}."
            assert [turn["criterion"] for turn in row["trace"]] == criteria
            assert all(turn["before"] is turn["after"] is None for turn in row["trace"])
            assert [turn["reason"] for turn in row["trace"]] == ["accepted"] * 2
            assert row["trace"][-1]["aligned_response"] == row["aligned_response"]


def test_apply_aligner_does_not_use_a_correction_with_a_problem(
    responses: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The aligner writes an ethical correction, and is cut off by the criterion factuality."""
    written = {
        "ethical": AlignerCorrection("It is kind."),
        "factuality": AlignerCorrection("It", "not_ended"),
    }
    aligner = SimpleNamespace(
        for_criterion=lambda criterion: lambda _, texts: [written[criterion] for _ in texts],
        align=lambda _, texts: [written["factuality"] for _ in texts],
    )
    monkeypatch.setattr(Aligner, "from_directory", lambda *_, **__: aligner)
    files = {"responses": responses, "output": tmp_path / "aligned.jsonl"}
    apply_aligner.main(
        criteria=list(TARGETS), backbone="llama-closed-world", model=tmp_path, **files
    )
    for row in read_rows(tmp_path / "aligned.jsonl"):
        assert row["aligned_response"] == "It is kind."
        assert [(turn["accepted"], turn["reason"]) for turn in row["trace"]] == [
            (True, "accepted"),
            (False, "not_ended"),
        ]
    apply_external.main(external="ji-et-al-closed-world", model=[tmp_path], **files)
    for row in read_rows(tmp_path / "aligned.jsonl"):
        assert row["aligned_response"] == row["response"]


class Inspector:
    """An inspector that scores by a table, and other texts alike."""

    def __init__(self, table: dict[str, float], other: float = 5.0):
        self.table, self.other, self.threshold = table, other, 0.0

    def log_odds(self, questions: list[str], texts: list[str]) -> list[float]:
        return [self.table.get(text, self.other) for text in texts]


def test_in_a_squad_one_model_corrects_by_the_principles_of_each_criterion(trained: Path) -> None:
    aligner = Aligner.from_directory(trained)
    # The correction by the one criterion still needs that by the other.
    inspectors = {
        "ethical": Inspector({"It is red.": -5.0}),
        "factuality": Inspector({"It is red.": -3.0, "It is kind.": -2.0}),
    }
    aligners = {criterion: aligner.for_criterion(criterion) for criterion in TARGETS}
    [red, blue] = align_with_squad(
        ["Which one?"] * 2, ["It is red.", "It is blue."], aligners, inspectors, 1.0
    )
    assert [turn["criterion"] for turn in red.trace] == ["ethical", "factuality"]
    assert red.aligned_response == "It is true."
    assert (blue.aligned_response, blue.trace) == ("It is blue.", [])


class StrictInspector(Inspector):
    """An inspector that scores all texts below the threshold, and corrections higher."""

    def __init__(self) -> None:
        super().__init__({"It is kind.": -4.0, "It is true.": -2.0}, other=-6.0)

    @classmethod
    def from_directory(cls, path: Path) -> "StrictInspector":
        return cls()


def test_apply_squad_loads_a_model_that_all_criteria_share_once(
    trained: Path,
    responses: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded = []
    load = backends.load_model_backend

    def load_and_record(model: AlignerModel, batch_tokens: int) -> ModelBackend:
        loaded.append(Path(model.source.model))
        return load(model, batch_tokens)

    monkeypatch.setattr(backends, "load_model_backend", load_and_record)
    monkeypatch.setattr("aligners.squads.models.Inspector", StrictInspector)
    settings = {"temperature": 1.0, "threshold": 0.0, "max_tokens": 9, "dtype": "float32"}
    write_json(tmp_path / "inspector/config.json", {"inspector": settings})
    encoder = load_recipe(EncoderRecipe, "all-minilm-l6-v2-packaged")
    known = FamiliarQuestions.fit(embedder(encoder), ["Which one?"], ["Which one?"], 1.0, 0)
    known.save(tmp_path / "familiar.safetensors")
    parts = [
        Part(name, ["en"], text, tmp_path / "inspector", trained)
        for name, text in principle_texts().items()
    ]
    familiar = tmp_path / "familiar.safetensors"
    design = Design("squad-conditioned", "b", "i", parts, familiar, encoder, 1.0, 4096)
    assemble(tmp_path / "squad", design)
    apply_squad.main(
        squad=tmp_path / "squad",
        backbone="llama-closed-world",
        llm="closed-world-base",
        responses=responses,
        output=tmp_path / "aligned.jsonl",
    )
    assert loaded == [tmp_path / "squad/aligners/conditioned"]
    for row in read_rows(tmp_path / "aligned.jsonl"):
        assert row["aligned_response"] == "It is true."
        assert [turn["criterion"] for turn in row["trace"]] == ["ethical", "factuality"]
