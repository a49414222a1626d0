"""The comparisons section of the page: rates, tests, and rates by the closed world's truth."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aligners.closed_world.scorecard_file import Scorecard
from aligners.closed_world.world import CRITERIA
from aligners.configuration import results
from aligners.configuration.experiment import Experiment
from aligners.configuration.kinds.config import Config
from aligners.configuration.kinds.llms import ClosedWorldRecipe, LLMRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.rows import read_json
from aligners.statistics.comparison import NamedComparison
from aligners.statistics.paired_tests import NamedTest
from aligners.statistics.tables import ablations, first_seed_lines

NO_TRUTH: dict[str, Any] = {"truth": {}, "truth_over_seeds": {}}


def comparisons_section(experiment: Experiment) -> dict[str, Any]:
    """Return comparisons and tests for each judge, data set and LLM, and rates by the truth.

    In each group, the comparisons are listed by reference and backbone.
    """
    comparisons = read_comparisons(experiment)
    groups = []
    for names in results.PAIRED_TESTS.combinations(experiment.names):
        rows = [row for row in comparisons if names.items() <= row.items()]
        by_opponent: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for row in rows:
            by_opponent.setdefault((row["reference"], row["backbone"]), []).append(row)
        groups.append(
            {
                **names,
                "by_opponent": by_opponent,
                "seeds": rates_over_seeds(rows),
                "tests": read_json(results.PAIRED_TESTS.path(**names), list[NamedTest]),
                "categories": any(row["by_category"] for row in rows),
                # Most groups have no rate: it needs AlpacaEval's own questions (alpaca_eval_rate).
                "alpaca_eval": any(row["alpaca_eval"]["rate"] is not None for row in rows),
            }
        )
    return {
        "count": len(comparisons),
        "groups": groups,
        "alpaca_eval": any(group["alpaca_eval"] for group in groups),
        **(read_truth(results.SCORECARD.path()) if has_truth(experiment.config) else NO_TRUTH),
    }


def rates_over_seeds(comparisons: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each comparison over the training seeds; nothing with one seed.

    A row has the names of the comparison, the number of `seeds` with a win rate, and for each rate
    its `mean` and `sd`.
    """
    table = first_seed_lines(ablations(comparisons))
    if "seeds" not in table:
        return []
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for line in table.to_dict("records"):
        names = {key: line[key] for key in ("reference", "backbone", "system")}
        row = rows.setdefault(tuple(names.values()), {**names, "seeds": line["seeds"]})
        row[line["rate"]] = {"mean": line["mean"], "sd": line["sd"]}
    return list(rows.values())


def read_comparisons(experiment: Experiment) -> list[dict[str, Any]]:
    """Return the comparisons of an experiment, in the order of its names."""
    return [read_json(path, NamedComparison) for path in experiment.files(results.COMPARISON)]


def has_truth(config: Config) -> bool:
    """Return whether the true answers are known: the closed world's teacher and criteria only."""
    if config.teacher is None:
        return False
    teacher = load_recipe(LLMRecipe, config.teacher)
    return isinstance(teacher, ClosedWorldRecipe) and set(config.criteria) <= set(CRITERIA)


def read_truth(scorecard: Path) -> dict[str, Any]:
    """Return the rates by the closed world's truth as `truth`, and their spreads over seeds.

    These are `truth_over_seeds`, which is empty with one training seed. Both are as from
    `rows_by_llm`.
    """
    card = read_json(scorecard, Scorecard)
    over_seeds = card.get("seeds")
    return {
        "truth": rows_by_llm(card["datasets"]["all"]),
        "truth_over_seeds": rows_by_llm(over_seeds["datasets"]["all"]) if over_seeds else {},
    }


def rows_by_llm(scores_by_llm: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Return for each LLM a row for each system.

    Each row has a `name` (`base` for the LLM itself) and the rates `clean` and `harm` on known
    facts, `unknown_clean` and `unknown_harm` on unknown facts. A missing rate is None. Those that
    correct have `harm_by_criterion`: each criterion's harm on known and on unknown facts.
    """
    return {
        llm: [
            {
                "name": "base" if name == "initial" else name,
                "clean": clean,
                "harm": scores["harm_rate"].get(name),
                "unknown_clean": scores["unknown_facts"]["clean_share"][name],
                "unknown_harm": scores["unknown_facts"]["harm_rate"].get(name),
                "harm_by_criterion": harm_by_criterion(scores, name),
            }
            for name, clean in scores["clean_share"].items()
        ]
        for llm, scores in scores_by_llm.items()
    }


def harm_by_criterion(scores: Mapping[str, Any], system: str) -> dict[str, tuple[Any, Any]]:
    """Return a system's harm to each criterion, on known and on unknown facts."""
    known, unknown = (
        part["harm_by_criterion"].get(system, {}) for part in (scores, scores["unknown_facts"])
    )
    return {criterion: (rate, unknown[criterion]) for criterion, rate in known.items()}
