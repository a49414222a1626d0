"""Scores of responses and corrections by the exact rules of the policies."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aligners.configuration import results
from aligners.configuration.scored_results import ScoredResults
from aligners.core import formats
from aligners.core.errors import UserError
from aligners.core.rates import Rate, rate
from aligners.core.rows import Row, read_rows
from aligners.evaluation.exact_rules import RULES, first_sentences, unsupported_share

Embed = Callable[[Sequence[str]], NDArray[np.floating]]


def rule_scores(scored: ScoredResults, embed: Embed) -> dict[str, Any]:
    """Return the scores by LLM and system, all data sets together.

    The systems include `initial`, the LLM itself, and `cut`, its response cut after two sentences.

    Raises:
        UserError: a criterion has no rule.
    """
    for criterion in scored.criteria:
        if criterion not in RULES:
            raise UserError(
                f"criteria: {criterion} has no exact rule; make this scorecard with criteria that "
                f"have one: {', '.join(RULES)}"
            )
    return {llm: llm_scores(scored, llm, embed) for llm in scored.llms}


def llm_scores(scored: ScoredResults, llm: str, embed: Embed) -> dict[str, Any]:
    """Return the scores of each system on the responses of one LLM (`system_scores`)."""
    initial: list[Row] = []
    answers: dict[str, dict[str, str]] = defaultdict(dict)
    for dataset in scored.datasets:
        path = results.RESPONSES.path(dataset=dataset, llm=llm)
        initial += read_rows(path, needs=("id", "question", "response"))
        for system, path, field in scored.answer_files(dataset, llm):
            rows = read_rows(path, needs=("id", field))
            answers[system].update({row["id"]: row[field] for row in rows})
    texts_by_system = {
        "initial": {row["id"]: row["response"] for row in initial},
        **answers,
        "cut": {row["id"]: first_sentences(row["response"]) for row in initial},
    }
    return {
        system: system_scores(scored.criteria, initial, texts, embed)
        for system, texts in texts_by_system.items()
    }


def score_table(scores: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the scores of `rule_scores` as a Markdown table, a row for each LLM and system."""
    lines = [
        {
            "LLM": llm,
            "system": system,
            **{f"keeps {name}": formats.rate(kept) for name, kept in row["kept"].items()},
            "harm": formats.rate(row["harm"]),
            "changed": formats.rate(row["changed"]),
            "unsupported words": formats.percent(row["unsupported"]),
            "similarity": formats.decimal(row["similarity"], 2),
        }
        for llm, systems in scores.items()
        for system, row in systems.items()
    ]
    return str(pd.DataFrame(lines).to_markdown(index=False, disable_numparse=True)) + "\n"


def kept_rules(criteria: Sequence[str], question: str, text: str) -> dict[str, bool]:
    """Return whether a text keeps the rule of each criterion."""
    return {criterion: RULES[criterion](question, text) for criterion in criteria}


def system_scores(
    criteria: Sequence[str], initial: Sequence[Row], texts: Mapping[str, str], embed: Embed
) -> dict[str, Any]:
    """Return the scores of a system's texts.

    Args:
        criteria: with a rule each.
        initial: the responses that the system corrects; those without a text are left out.
        texts: of the system, by row id.
        embed: returns unit vectors, texts x dimensions.

    Returns:
        `kept`: share of texts that keep the rule of each criterion, and of `all`. `harm`: share of
        responses that keep all rules and whose correction does not. `changed`: share of other
        texts. `unsupported`: mean share of content words that are in neither question nor response
        (`exact_rules.unsupported_share`). `similarity`: mean cosine of response and text.
    """
    rows = [row for row in initial if row["id"] in texts]
    before = [kept_rules(criteria, row["question"], row["response"]) for row in rows]
    after = [kept_rules(criteria, row["question"], texts[row["id"]]) for row in rows]
    kept: dict[str, Rate] = {name: rate(rules[name] for rules in after) for name in criteria}
    kept["all"] = rate(all(rules.values()) for rules in after)
    shares = [unsupported_share(row["question"], row["response"], texts[row["id"]]) for row in rows]
    known = [share for share in shares if share is not None]
    cosines = (
        embed([row["response"] for row in rows]) * embed([texts[row["id"]] for row in rows])
    ).sum(axis=1)
    return {
        "kept": kept,
        "harm": rate(
            not all(now.values())
            for was, now in zip(before, after, strict=True)
            if all(was.values())
        ),
        "changed": rate(texts[row["id"]] != row["response"] for row in rows),
        "unsupported": round(fmean(known), 4) if known else None,
        "similarity": round(float(cosines.mean()), 4) if rows else None,
    }
