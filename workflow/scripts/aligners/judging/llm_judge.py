"""An LLM as a judge, through AlpacaEval (github.com/tatsu-lab/alpaca_eval).

AlpacaEval parses the replies. This module sends the prompts, so that every reply is kept at once,
none is paid twice, and servers are used as in all other stages (llms.generator).
"""

import logging
import math
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from alpaca_eval.annotators import PairwiseAnnotator

from aligners.configuration.kinds.judges import JUDGED_TEXTS, Labels, LLMJudgeRecipe
from aligners.configuration.kinds.llms import ServerRecipe
from aligners.configuration.recipes import load_recipe, recipe_path
from aligners.core.completions import Completion
from aligners.core.errors import UserError
from aligners.judging.judged_pairs import Shown, Verdict
from aligners.judging.prompts import judge_decoding, judge_requests
from aligners.llms.generator import Generator
from aligners.statistics.verdicts import TIE

logger = logging.getLogger(__name__)

# If all labels together are less probable than this, the reply is no verdict.
LEAST_PROBABILITY = 0.5
# With fewer verdicts, a judge may name the same place every time by chance.
FEWEST_TO_SEE_A_SIDE = 20
LONGEST_SHOWN = 80


class LLMJudge:
    """Asks an LLM for its verdicts; earlier replies come from the ledger.

    Attributes:
        usage: of the verdicts.
        served_models: names of the models that the server reported.
    """

    def __init__(self, name: str, output: Path):
        """Prepare the judge that a recipe names.

        Args:
            name: of a recipe in config/judges/ that names an LLM.
            output: path that names the ledger and the file of usage (see Generator).
        """
        self.name = name
        self.recipe = load_recipe(LLMJudgeRecipe, name)
        self.generator = Generator(self.recipe.llm, output)
        self.usage = self.generator.usage
        self.served_models: set[str] = set()

    def judge(self, shown: list[Shown]) -> dict[Shown, Verdict]:
        """Return the verdict on each pair: no pair twice, and no pair of equal texts.

        Raises:
            UserError: replies are missing, too many are no verdict, or all prefer the text in the
                same place. All replies are kept.
        """
        replies = self.ask(shown)
        preferences = read_preferences(self.name, self.recipe, replies)
        verdicts = {
            one: Verdict(preferences.get(one), replies[one].text if one in replies else None)
            for one in shown
        }
        check_usable(self.name, self.recipe, [verdicts[one] for one in replies])
        check_sides(self.name, preferences)
        return verdicts

    def ask(self, shown: Sequence[Shown]) -> dict[Shown, Completion]:
        """Return the replies by pair; a failed request has none, if the LLM's recipe allows it."""
        requests = judge_requests(self.recipe, shown)
        decoding = judge_decoding(self.recipe)
        results = self.generator.complete_all(requests, decoding, f"verdicts of {self.name}")
        by_shown = {one: results[request.id] for one, request in zip(shown, requests, strict=True)}
        replies = {one: each for one, each in by_shown.items() if isinstance(each, Completion)}
        self.served_models |= {each.served_model for each in replies.values() if each.served_model}
        return replies


def read_preferences(
    name: str, recipe: LLMJudgeRecipe, replies: Mapping[Shown, Completion]
) -> dict[Shown, float]:
    """Parse replies with AlpacaEval; return the preferences of those that are verdicts."""
    if not replies:
        return {}
    annotator = load_annotator(name)
    completions = [alpaca_eval_completion(recipe, reply) for reply in replies.values()]

    def complete(**_: Any) -> dict[str, list[Any]]:
        texts = [reply.text for reply in replies.values()]
        return {"completions": texts, "completions_all": completions}

    annotator.annotators[name].fn_completions = complete
    table = pd.DataFrame(list(replies), columns=["instruction", "output_1", "output_2"])
    rows = annotator.annotate_pairs(table, chunksize=None)
    return {
        # AlpacaEval has 1 for the first answer and 2 for the second.
        (row["instruction"], row["output_1"], row["output_2"]): 2 - float(row["preference"])
        for row in rows
        if not pd.isna(row["preference"])
    }


def load_annotator(name: str) -> PairwiseAnnotator:
    """Return AlpacaEval's annotator of a judge.

    It makes prompts that nobody is asked, and would stumble over other words in braces than its
    own: so it gets a template that has none.
    """
    with tempfile.TemporaryDirectory() as directory:
        template = Path(directory) / "prompt.txt"
        template.write_text(" ".join(JUDGED_TEXTS), encoding="utf-8")
        config = annotator_config(name)
        config[name]["prompt_template"] = str(template)
        path = Path(directory) / "configs.yaml"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        return PairwiseAnnotator(annotators_config=path, caching_path=None)


def annotator_config(name: str) -> dict[str, Any]:
    """Return a judge as AlpacaEval's `annotators_config` has it, by the judge's name.

    For its own command, the prompt has to mark the message as AlpacaEval's prompts do.
    """
    recipe = load_recipe(LLMJudgeRecipe, name)
    labels = recipe.labels
    decoding = judge_decoding(recipe)
    settings: dict[str, Any] = {
        "prompt_template": str(recipe.prompt.absolute()),
        "fn_completions": "openai_completions",
        "completions_kwargs": {
            "model_name": load_recipe(ServerRecipe, recipe.llm).model,
            "max_tokens": decoding.max_new_tokens,
            "temperature": decoding.temperature,
        },
        "batch_size": 1,
        # This project shows both orders itself.
        "is_randomize_output_order": False,
        "is_shuffle": False,
    }
    if top := decoding.top_logprobs:
        settings["completions_kwargs"] |= {"logprobs": True, "top_logprobs": top}
        settings |= {
            "fn_completion_parser": "logprob_parser",
            "completion_parser_kwargs": {
                "numerator_token": labels.first,
                "denominator_tokens": [labels.first, labels.second],
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


def label_patterns(labels: Labels) -> dict[float, str]:
    """Return the expressions of the labels by AlpacaEval's numbers: 1 the first, 2 the second."""
    numbers = {1.0: labels.first, 2.0: labels.second, 1.5: labels.tie}
    return {number: re.escape(label) for number, label in numbers.items() if label is not None}


def alpaca_eval_completion(recipe: LLMJudgeRecipe, reply: Completion) -> dict[str, Any]:
    """Return a reply in the form that AlpacaEval's parsers read.

    Where all labels together were unlikely, what else was likely stays, and no label.
    """
    logprobs = reply.first_token_logprobs or {}
    labels = {label: logprobs[label] for label in recipe.labels.all if label in logprobs}
    likely = sum(map(math.exp, labels.values())) >= LEAST_PROBABILITY
    top = [
        {"token": token, "logprob": logprob}
        for token, logprob in logprobs.items()
        if likely or token not in labels
    ]
    return {"text": reply.text, "logprobs": {"content": [{"top_logprobs": top}]}}


def check_usable(name: str, recipe: LLMJudgeRecipe, verdicts: Sequence[Verdict]) -> None:
    """Refuse or report replies that are no verdict.

    Raises:
        UserError: all are, or more than the recipe allows.
    """
    without = [verdict.reply or "" for verdict in verdicts if verdict.preference is None]
    if not without:
        return
    labels = ", ".join(repr(label) for label in recipe.labels.all)
    found = (
        f"{len(without)} of {len(verdicts)} replies of the judge {name} are no verdict, which is "
        f"one of {labels}; the first is {without[0][:LONGEST_SHOWN]!r}"
    )
    if len(without) > recipe.most_unusable * len(verdicts) or len(without) == len(verdicts):
        raise UserError(
            f"{found}. Mend prompt, labels or max_new_tokens in "
            f"{recipe_path(LLMJudgeRecipe, name)}, or raise most_unusable there; "
            "all replies are kept"
        )
    logger.warning("%s; their questions have no verdict", found)


def check_sides(name: str, preferences: Mapping[Shown, float]) -> None:
    """Refuse a judge that preferred the text in the same place every time.

    Every pair is judged in both orders, so such verdicts do not depend on the texts.

    Raises:
        UserError: all of at least FEWEST_TO_SEE_A_SIDE verdicts prefer the same place.
    """
    decided = [preference for preference in preferences.values() if preference != TIE]
    sides = {preference > TIE for preference in decided}
    if len(decided) >= FEWEST_TO_SEE_A_SIDE and len(sides) == 1:
        place = "first" if sides == {True} else "second"
        raise UserError(
            f"the judge {name} preferred the answer that is shown {place} in all {len(decided)} "
            "verdicts, though every pair was shown in both orders; mend prompt or labels in "
            f"{recipe_path(LLMJudgeRecipe, name)}, or take another LLM; all replies are kept"
        )
