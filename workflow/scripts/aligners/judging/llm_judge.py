"""An LLM as a judge, through AlpacaEval (github.com/tatsu-lab/alpaca_eval).

AlpacaEval's parsers make preferences of the labels that `judging.labels` finds in the replies. This
module sends the prompts through llms.generator, as all other stages do: every reply is saved when
it arrives, and no prompt is sent and paid for twice.
"""

import logging
import math
import tempfile
from collections import Counter
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
from aligners.judging.judged_pairs import ShownTexts, Verdict
from aligners.judging.labels import chosen_label, label_pattern, label_probabilities
from aligners.judging.prompts import judge_decoding, judge_requests
from aligners.llms.cleaning import clean
from aligners.llms.generator import Generator
from aligners.statistics.verdicts import TIE

logger = logging.getLogger(__name__)

# If all labels together are less probable than this, the reply is not a verdict.
MIN_LABEL_PROBABILITY = 0.5
# With fewer verdicts, a judge can prefer the same position every time by chance.
MIN_VERDICTS_FOR_POSITION_BIAS = 20
# Characters of a reply, and first tokens, in a message.
MAX_REPLY_IN_MESSAGE = 80
MAX_TOKENS_IN_MESSAGE = 3
# In place of a reply without a verdict. AlpacaEval's parser fails for an empty text.
NO_LABEL = " "


class LLMJudge:
    """Asks an LLM for verdicts; replies to earlier requests come from the ledger.

    Attributes:
        usage: requests, tokens and money of the verdicts.
        served_models: names of the models that the server reported.
    """

    def __init__(self, name: str, output: Path):
        """Load the judge's recipe and its LLM's.

        Args:
            name: of a recipe in config/judges/ that names an LLM.
            output: path that decides where the ledger and the usage file are (see Generator).
        """
        self.name = name
        self.recipe = load_recipe(LLMJudgeRecipe, name)
        self.generator = Generator(self.recipe.llm, output)
        self.usage = self.generator.usage
        self.served_models: set[str] = set()

    def judge(self, shown: list[ShownTexts]) -> dict[ShownTexts, Verdict]:
        """Return the verdict on each entry of `shown`. Entries differ, and so do their texts.

        Raises:
            UserError: replies are missing, too many are not verdicts, or all prefer the text in
                the same position. All replies are kept.
        """
        replies = self.ask(shown)
        preferences = read_preferences(self.name, self.recipe, replies)
        verdicts = {
            texts: Verdict(
                preferences.get(texts), replies[texts].text if texts in replies else None
            )
            for texts in shown
        }
        unusable = [reply for texts, reply in replies.items() if texts not in preferences]
        check_usable(self.name, self.recipe, unusable, len(replies))
        check_position_bias(self.name, preferences)
        return verdicts

    def ask(self, shown: Sequence[ShownTexts]) -> dict[ShownTexts, Completion]:
        """Return the replies; without those that failed, if the LLM's recipe allows failures."""
        requests = judge_requests(self.recipe, shown)
        decoding = judge_decoding(self.recipe)
        results = self.generator.complete_all(requests, decoding, f"verdicts of {self.name}")
        replies = {}
        for texts, request in zip(shown, requests, strict=True):
            reply = results[request.id]
            if isinstance(reply, Completion):
                replies[texts] = reply
        self.served_models |= {
            reply.served_model for reply in replies.values() if reply.served_model
        }
        return replies


def read_preferences(
    name: str, recipe: LLMJudgeRecipe, replies: Mapping[ShownTexts, Completion]
) -> dict[ShownTexts, float]:
    """Parse replies with AlpacaEval; return the preferences of those that are verdicts.

    Thoughts, special tokens and code fences are removed from replies in words.
    """
    if not replies:
        return {}
    annotator = load_annotator(name)
    removed = Counter[str]()
    texts = [
        chosen_label(clean(reply, removed).text, recipe.labels.all) or NO_LABEL
        for reply in replies.values()
    ]
    completions = [alpaca_eval_completion(recipe, reply) for reply in replies.values()]
    if removed and not recipe.logprobs:
        found = ", ".join(f"{kind} {count}" for kind, count in removed.most_common())
        logger.info("%s: removed from %d replies before reading: %s", name, len(replies), found)

    def complete(**_: Any) -> dict[str, list[Any]]:
        return {"completions": texts, "completions_all": completions}

    annotator.annotators[name].fn_completions = complete
    table = pd.DataFrame(list(replies), columns=["instruction", "output_1", "output_2"])
    rows = annotator.annotate_pairs(table, chunksize=None)
    return {
        # AlpacaEval writes 1 for the first text and 2 for the second.
        (row["instruction"], row["output_1"], row["output_2"]): 2 - float(row["preference"])
        for row in rows
        if not pd.isna(row["preference"])
    }


def load_annotator(name: str) -> PairwiseAnnotator:
    """Return AlpacaEval's annotator of a judge.

    The annotator also makes prompts. They are not used, but other words in braces than AlpacaEval's
    own would break them, so it gets a template without any.
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
    """Return AlpacaEval's `annotators_config` of a judge, by the judge's name.

    To use it with the command alpaca_eval, mark the message in the prompt as AlpacaEval's do. The
    command has no verdict for a reply that names labels several times, does not remove thoughts,
    and does not add up the spellings of a label's token (`judging.labels`).
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
        # This module shows both orders.
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
    """Return a regular expression for each label, by AlpacaEval's number of its preference."""
    numbers = {1.0: labels.first, 2.0: labels.second, 1.5: labels.tie}
    return {
        number: label_pattern(label, labels.all)
        for number, label in numbers.items()
        if label is not None
    }


def alpaca_eval_completion(recipe: LLMJudgeRecipe, reply: Completion) -> dict[str, Any]:
    """Return a reply in the form that AlpacaEval's parsers read.

    If all labels together are unlikely, they are left out: the parser then finds no verdict.
    """
    labels = label_probabilities(reply.first_token_logprobs or {}, recipe.labels.all)
    if sum(labels.values()) < MIN_LABEL_PROBABILITY:
        labels = {}
    top = [
        {"token": label, "logprob": math.log(probability)}
        for label, probability in labels.items()
        if probability
    ]
    return {"text": reply.text, "logprobs": {"content": [{"top_logprobs": top}]}}


def check_usable(
    name: str, recipe: LLMJudgeRecipe, unusable: Sequence[Completion], replies: int
) -> None:
    """Warn about replies that are not verdicts.

    Args:
        name: of the judge.
        recipe: the judge's recipe.
        unusable: the replies that are not verdicts.
        replies: number of all replies.

    Raises:
        UserError: none is a verdict, or fewer are than the recipe requires.
    """
    if not unusable:
        return
    labels = ", ".join(repr(label) for label in recipe.labels.all)
    summary = (
        f"{len(unusable)} of {replies} replies of the judge {name} are not verdicts (a verdict is "
        f"one of {labels}); {what_was_seen(recipe, unusable[0])}"
    )
    if len(unusable) > recipe.most_unusable * replies or len(unusable) == replies:
        raise UserError(
            f"{summary}. Change prompt, labels{'' if recipe.logprobs else ' or max_new_tokens'} in "
            f"{recipe_path(LLMJudgeRecipe, name)}, or raise most_unusable there. "
            "All replies are kept"
        )
    logger.warning("%s. The questions of these replies have no verdict", summary)


def what_was_seen(recipe: LLMJudgeRecipe, reply: Completion) -> str:
    """Return what a reply without a verdict has in place of a label, for a message."""
    text = repr(reply.text[:MAX_REPLY_IN_MESSAGE])
    if not recipe.logprobs:
        # The end has the verdict, if the reply explains it first.
        end = reply.text[MAX_REPLY_IN_MESSAGE:][-MAX_REPLY_IN_MESSAGE:]
        return f"the first of them is {text}" + (f", and ends with {end!r}" if end else "")
    logprobs = reply.first_token_logprobs or {}
    together = sum(label_probabilities(logprobs, recipe.labels.all).values())
    most = sorted(logprobs, key=logprobs.__getitem__, reverse=True)[:MAX_TOKENS_IN_MESSAGE]
    tokens = ", ".join(f"{token!r} {math.exp(logprobs[token]):.2f}" for token in most)
    return (
        f"in the first of them, {text}, the labels had {together:.2f} of the probability together; "
        f"the most probable first tokens were {tokens or '(none)'}"
    )


def check_position_bias(name: str, preferences: Mapping[ShownTexts, float]) -> None:
    """Check that a judge does not prefer the text in the same position every time.

    Every pair is judged in both orders, so such verdicts do not depend on the texts.

    Raises:
        UserError: all of at least MIN_VERDICTS_FOR_POSITION_BIAS verdicts prefer one position.
    """
    decided = [preference for preference in preferences.values() if preference != TIE]
    prefers_first = {preference > TIE for preference in decided}
    if len(decided) >= MIN_VERDICTS_FOR_POSITION_BIAS and len(prefers_first) == 1:
        position = "first" if prefers_first == {True} else "second"
        raise UserError(
            f"the judge {name} preferred the text shown {position} in all {len(decided)} verdicts, "
            "although every pair was shown in both orders. Change prompt or labels in "
            f"{recipe_path(LLMJudgeRecipe, name)}, or use another LLM. All replies are kept"
        )
