"""An LLM as the judge of two answers, through AlpacaEval (github.com/tatsu-lab/alpaca_eval).

AlpacaEval reads the replies. Asking is ours: every reply is kept as soon as it exists, none is paid
for twice, and servers are treated as in all other stages (generation).
"""

import logging
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from alpaca_eval.annotators import PairwiseAnnotator

from aligners.engines import Completion, Failure, Request
from aligners.errors import UserError
from aligners.generation import Generator, digest, llm_prompt
from aligners.judge_prompts import judge_decoding, judge_prompt, read_template
from aligners.judged_pairs import Shown, Verdict
from aligners.recipes import Recipe, load_recipe, recipe_path
from aligners.verdicts import TIE

logger = logging.getLogger(__name__)

# Fewer verdicts than these show nothing of a judge that always names the same place.
FEWEST_TO_SEE_A_SIDE = 20
LONGEST_SHOWN = 80


class LLMJudge:
    """Asks an LLM for its verdicts; what it was asked before comes from the ledger.

    Attributes:
        usage: what the verdicts took.
        served_models: which models the server said have answered.
    """

    def __init__(self, name: str, output: Path):
        """Prepare the judge that a recipe names.

        Args:
            name: of a recipe in config/judges/ that names an LLM.
            output: path that names the ledger and the file of usage (see Generator).
        """
        self.name = name
        self.recipe = load_recipe("judges", name)
        self.generator = Generator(self.recipe["llm"], output)
        self.usage = self.generator.usage
        self.served_models: set[str] = set()

    def judge(self, shown: list[Shown]) -> dict[Shown, Verdict]:
        """Return the verdict on each of several pairs, which differ and whose answers differ.

        Raises:
            UserError: replies are missing, or too many name no answer, or all name the one that
                stands in the same place. What was replied is kept.
        """
        if not shown:
            return {}
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "configs.yaml"
            path.write_text(yaml.safe_dump(annotator_config(self.name)), encoding="utf-8")
            annotator = PairwiseAnnotator(annotators_config=path, caching_path=None)
        completions = self.completions(shown)
        replies = [each["text"] for each in completions]

        def complete(**_: Any) -> dict[str, list[Any]]:
            return {"completions": replies, "completions_all": completions}

        annotator.annotators[self.name].fn_completions = complete
        table = pd.DataFrame(shown, columns=["instruction", "output_1", "output_2"])
        preferences = {
            (row["instruction"], row["output_1"], row["output_2"]): row["preference"]
            for row in annotator.annotate_pairs(table, chunksize=None)
        }
        # AlpacaEval forgets replies without a verdict.
        verdicts = {
            one: Verdict(for_the_first(preferences[one]), reply)
            for one, reply in zip(shown, replies, strict=True)
        }
        check_sides(self.name, verdicts)
        return verdicts

    def completions(self, shown: Sequence[Shown]) -> list[dict[str, Any]]:
        """Return the replies in the order of what is shown, in the form that AlpacaEval reads."""
        template = read_template(self.recipe)
        prompts = [judge_prompt(template, *one) for one in shown]
        requests = [
            Request(digest(text), llm_prompt(self.generator.recipe, text)) for text in prompts
        ]
        decoding = judge_decoding(self.recipe)
        results = self.generator.complete_all(requests, decoding, f"verdicts of {self.name}")
        replies = [alpaca_eval_completion(results[request.id]) for request in requests]
        check_usable(self.name, self.recipe, replies)
        for result in results.values():
            if isinstance(result, Completion) and result.served_model:
                self.served_models.add(result.served_model)
        return replies


def annotator_config(name: str) -> dict[str, Any]:
    """Return a judge as AlpacaEval's `annotators_config` has it, by the judge's name.

    The command `alpaca_eval` takes it too: it then asks the LLM by itself, at the endpoint that the
    environment names, and without what this project knows of faults and kills.
    """
    recipe = load_recipe("judges", name)
    labels = recipe["labels"]
    decoding = judge_decoding(recipe)
    settings: dict[str, Any] = {
        "prompt_template": str(Path(recipe["prompt"]).absolute()),
        "fn_completions": "openai_completions",
        "completions_kwargs": {
            "model_name": load_recipe("llms", recipe["llm"])["model"],
            "max_tokens": decoding.max_new_tokens,
            "temperature": decoding.temperature,
        },
        "batch_size": 1,
        # The order in which answers are shown is ours: both.
        "is_randomize_output_order": False,
        "is_shuffle": False,
    }
    if top := decoding.top_logprobs:
        settings["completions_kwargs"] |= {"logprobs": True, "top_logprobs": top}
        settings |= {
            "fn_completion_parser": "logprob_parser",
            "completion_parser_kwargs": {
                "numerator_token": labels["first"],
                "denominator_tokens": [labels["first"], labels["second"]],
                "is_binarize": False,
            },
            "completion_key": "completions_all",
        }
    else:
        settings |= {
            "fn_completion_parser": "regex_parser",
            "completion_parser_kwargs": {"outputs_to_match": label_patterns(labels)},
        }
    return {name: settings}


def label_patterns(labels: dict[str, str]) -> dict[float, str]:
    """Return the expressions of the labels by AlpacaEval's numbers: 1 the first, 2 the second."""
    numbers: dict[str, float] = {"first": 1, "second": 2, "tie": 1.5}
    return {numbers[side]: re.escape(label) for side, label in labels.items()}


def alpaca_eval_completion(result: Completion | Failure) -> dict[str, Any]:
    """Return a reply in the form that AlpacaEval's parsers read; a failed one is empty."""
    if isinstance(result, Failure):
        return {"text": ""}
    top = [
        {"token": token, "logprob": logprob}
        for token, logprob in (result.first_token_logprobs or {}).items()
    ]
    return {"text": result.text, "logprobs": {"content": [{"top_logprobs": top}]}}


def for_the_first(preference: Any) -> float | None:
    """Return AlpacaEval's preference, 1 for the first answer to 2 for the second, as a share."""
    return None if pd.isna(preference) else 2 - float(preference)


def has_label(recipe: Recipe, reply: dict[str, Any]) -> bool:
    """Tell whether a reply has a label of the judge: among its tokens, or in its text."""
    labels = recipe["labels"].values()
    if not recipe["logprobs"]:
        return any(label in reply["text"] for label in labels)
    content = reply.get("logprobs", {}).get("content", [])
    return any(one["token"] in labels for token in content for one in token["top_logprobs"])


def check_usable(name: str, recipe: Recipe, replies: Sequence[dict[str, Any]]) -> None:
    """Refuse or report replies without a label.

    Raises:
        UserError: they are more than the recipe allows, or all.
    """
    without = [reply["text"] for reply in replies if not has_label(recipe, reply)]
    if not without:
        return
    labels = ", ".join(repr(label) for label in recipe["labels"].values())
    found = (
        f"{len(without)} of {len(replies)} replies of the judge {name} have none of its labels "
        f"({labels}); the first is {without[0][:LONGEST_SHOWN]!r}"
    )
    if len(without) > recipe["most_unusable"] * len(replies) or len(without) == len(replies):
        raise UserError(
            f"{found}. Mend prompt, labels or max_new_tokens in {recipe_path('judges', name)}, or "
            "raise most_unusable there; all replies are kept"
        )
    logger.warning("%s; their questions have no verdict", found)


def check_sides(name: str, verdicts: dict[Shown, Verdict]) -> None:
    """Refuse a judge that named the answer in the same place every time.

    In both orders of every pair, that says nothing of the answers.

    Raises:
        UserError: it did, in as many verdicts as show it.
    """
    preferences = [each.preference for each in verdicts.values() if each.preference is not None]
    decided = [preference for preference in preferences if preference != TIE]
    sides = {preference > TIE for preference in decided}
    if len(decided) >= FEWEST_TO_SEE_A_SIDE and len(sides) == 1:
        place = "first" if sides == {True} else "second"
        raise UserError(
            f"the judge {name} preferred the answer that is shown {place} in all {len(decided)} "
            "verdicts, though every pair was shown in both orders; mend prompt or labels in "
            f"{recipe_path('judges', name)}, or take another LLM; all replies are kept"
        )
