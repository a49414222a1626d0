"""Previews of the verdicts of judges."""

from collections.abc import Sequence

from aligners.configuration import results
from aligners.configuration.kinds.judges import JudgeRecipe, LLMJudgeRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.completions import Completion
from aligners.core.counts import Filtered
from aligners.core.formats import decimal
from aligners.core.rows import Row
from aligners.judging.prompts import judge_decoding, judge_requests
from aligners.preview.asking import SHARD, Ask, Batch
from aligners.preview.exchange import Exchange, StagePreview
from aligners.statistics.verdicts import TIE


def preview_verdicts(judge: str, criterion: str, pairs: Sequence[Row], ask: Ask) -> StagePreview:
    """Preview a judge's verdicts on the corrections of pairs, each shown before its response."""
    # Slow to import, and part of an extra of its own.
    from aligners.judging.llm_judge import read_preferences

    name = f"verdicts of {judge}"
    recipe = load_recipe(JudgeRecipe, judge)
    if not isinstance(recipe, LLMJudgeRecipe):
        return StagePreview(name, None, [], note="This judge has no prompts.")
    shown = list(
        dict.fromkeys(
            (pair["question"], pair["aligned_response"], pair["response"])
            for pair in pairs
            if pair["aligned_response"] != pair["response"]
        )
    )
    if not shown:
        note = "Not shown: each correction equals its response, and equal texts need no verdict."
        return StagePreview(name, recipe.llm, [], note=note)
    requests = judge_requests(recipe, shown)
    # The ledger of the check of the pairs, which asks for the same verdicts.
    output = results.CHECKED_PAIRS.path(criterion=criterion).with_name(f"{SHARD}.jsonl")
    reply = ask(Batch(name, recipe.llm, output, requests, judge_decoding(recipe)))
    exchanges = []
    for texts, request in zip(shown, requests, strict=True):
        result = reply.results[request.id]
        read = {texts: result} if isinstance(result, Completion) else {}
        preference = read_preferences(judge, recipe, read).get(texts)
        no_verdict = "no_verdict" if isinstance(result, Completion) else result.cause
        verdict: Filtered = (
            {"verdict": verdict_text(preference)},
            no_verdict if preference is None else None,
        )
        exchanges.append(Exchange(request.prompt, result, [verdict]))
    return StagePreview(name, recipe.llm, exchanges, reply.usage)


def verdict_text(preference: float | None) -> str:
    """Return a verdict in words; the correction was shown first."""
    if preference is None:
        return ""
    if preference == TIE:
        return "neither is better"
    better = "correction" if preference > TIE else "response"
    return f"the {better} is better (preference for the correction: {decimal(preference, 2)})"
