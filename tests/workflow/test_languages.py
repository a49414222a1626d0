"""A criterion in German, from its seed questions to corrected responses."""

import re
from collections import Counter
from pathlib import Path

import pytest
from german_teacher import ENGLISH, FINE, german_teacher, write_criterion, write_llm
from projects import MINIATURE, make_project, run_snakemake
from yaml_edits import set_keys

from aligners.core.rows import Row, read_json, read_rows

TARGETS = ["results/synthetic/all", "results/aligned/all"]
SYNTHETIC = Path("results/synthetic/anstand")
ALIGNED = Path("results/aligned/synthetic_mixed/german/gpt2-miniature/squad.jsonl")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A project in which the miniature ran with a German criterion, and the prompts sent."""
    project = make_project(tmp_path_factory.mktemp("german"))
    with pytest.MonkeyPatch.context() as patch, german_teacher() as (endpoint, prompts):
        patch.chdir(project)
        write_criterion("anstand")
        write_llm("german", endpoint, finetuned="german-finetuned")
        write_llm("german-finetuned", endpoint)
        set_keys(
            MINIATURE, criteria=["anstand"], teacher="german", llms=["german", "german-finetuned"],
            datasets=["synthetic_mixed"], external=[], systems=["squad"], judges=[],
            questions_per_criterion=80, synthesis="instruct",
        )  # fmt: skip
        run_snakemake(project, *TARGETS)
    return project, prompts


def rows_of(finished: tuple[Path, list[str]], path: Path) -> list[Row]:
    """Return the rows of a file of the project."""
    return read_rows(finished[0] / path)


def test_each_prompt_asks_for_german(finished: tuple[Path, list[str]]) -> None:
    kinds = ("Topics for", "Write one question", "Ein Assistent antwortet")
    for kind in kinds:
        sent = [prompt for prompt in finished[1] if prompt.startswith(kind)]
        assert sent and all(" in German" in prompt for prompt in sent), kind
    assert "Topics for questions that ask for Rat im Alltag." in finished[1][0]


def test_german_pairs_are_kept_and_english_ones_dropped(finished: tuple[Path, list[str]]) -> None:
    pairs = rows_of(finished, SYNTHETIC / "pairs.jsonl")
    kept = rows_of(finished, SYNTHETIC / "pairs_filtered.jsonl")
    dropped = rows_of(finished, SYNTHETIC / "pairs_filtered.dropped.jsonl")
    english = {row["id"] for row in pairs if ENGLISH in row["response"]}
    reasons = Counter(row["reason"] for row in dropped)
    assert len(pairs) >= 50 and english
    assert reasons.keys() <= {"language", "near_several_splits"}
    assert {row["id"] for row in dropped if row["reason"] == "language"} <= english
    assert not english & {row["id"] for row in kept}
    assert {row["critique"] == FINE for row in kept} == {True, False}


def test_the_training_sets_have_german_rows_with_both_labels(
    finished: tuple[Path, list[str]],
) -> None:
    inspector = rows_of(finished, SYNTHETIC / "inspector/train.jsonl")
    assert {row["label"] for row in inspector} == {0, 1}
    aligner = rows_of(finished, SYNTHETIC / "aligner/train.jsonl")
    assert {row["identity"] for row in aligner} == {True, False}


def test_other_languages_run_the_stages_again_that_know_them(
    finished: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished[0])
    recipe = Path("config/criteria/anstand.yaml")
    written = recipe.read_text(encoding="utf-8")
    set_keys(recipe, languages=["de", "en"])
    jobs = run_snakemake(finished[0], "-n", *TARGETS)
    recipe.write_text(written, encoding="utf-8")
    stages = ("generate_topics", "generate_questions", "generate_pairs", "filter_pairs")
    for rule in (*stages, "sample_inputs"):
        assert rule in jobs, jobs


def test_held_out_questions_and_their_responses_go_through_the_squad(
    finished: tuple[Path, list[str]],
) -> None:
    counts = read_json(finished[0] / "results/inputs/synthetic_mixed.counts.json")
    assert counts["out"] > 0 and "language" not in counts["dropped"]
    aligned = rows_of(finished, ALIGNED)
    assert len(aligned) == counts["out"]
    assert all(re.search(r"\b(du|dir|ich)\b", row["response"], re.IGNORECASE) for row in aligned)
