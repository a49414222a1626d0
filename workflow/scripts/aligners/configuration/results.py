"""The paths under results/: builds each path from names, and parses the names from a path.

Patterns have names in braces, as in Snakemake. docs/data.md describes each file.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from aligners.configuration.combinations import combinations

# Results do not depend on their paths, so fingerprints ignore this module.
AFFECTS_RESULTS = False

DIRECTORY = Path("results")
ROWS = ".jsonl"
# In the directory of a model: how it was trained, and when.
TRAINING_RECORD = "training.json"


class ResultPath(str):
    """A path under results/ with names in braces, such as `results/inputs/{dataset}.jsonl`."""

    @property
    def fields(self) -> list[str]:
        """The names in braces, in their order."""
        return re.findall(r"\{(\w+)\}", self)

    def fill(self, **names: str) -> "ResultPath":
        """Return the pattern with some names filled in."""
        text = str(self)
        for field, name in names.items():
            text = text.replace(f"{{{field}}}", name)
        return ResultPath(text)

    def path(self, **names: str) -> Path:
        """Return the path with all names filled in; extra names are ignored.

        Raises:
            KeyError: a name is missing.
        """
        return Path(self.format_map(names))

    def combinations(self, names: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
        """Return the names of each path, in all combinations; the last name varies fastest.

        A program whose result depends on the order calls the function, so that it counts.
        """
        return combinations(self.fields, names)

    def paths(self, names: Mapping[str, Sequence[str]]) -> list[Path]:
        """Return the paths of all combinations of names; the last name varies fastest."""
        return [self.path(**chosen) for chosen in self.combinations(names)]

    def names(self, path: Path | str) -> dict[str, str]:
        """Return the names in a path of this pattern, whatever directory contains results/.

        Raises:
            ValueError: the path does not match the pattern.
        """
        parts = re.split(r"\{(\w+)\}", self)
        # Every second part is a field.
        expression = "".join(
            f"(?P<{part}>[^/]+)" if place % 2 else re.escape(part)
            for place, part in enumerate(parts)
        )
        found = re.search(f"(?:^|/){expression}$", Path(path).as_posix())
        if not found:
            raise ValueError(f"{path} does not match {self}")
        return found.groupdict()

    def beside(self, ending: str) -> "ResultPath":
        """Return a file beside a file of rows: `topics.counts.json` for `topics.jsonl`."""
        return ResultPath(f"{self.removesuffix(ROWS)}.{ending}")


# Synthetic data
TOPICS = ResultPath("results/synthetic/{criterion}/topics.jsonl")
DISTINCT_TOPICS = ResultPath("results/synthetic/{criterion}/topics_deduplicated.jsonl")
IMPORTED = ResultPath("results/imported/{imported}.jsonl")
OWN_DATA = ResultPath("results/synthetic/{criterion}/own_data.jsonl")
QUESTIONS = ResultPath("results/synthetic/{criterion}/questions.jsonl")
QUESTIONS_TABLE = ResultPath("results/synthetic/{criterion}/questions.csv")
FIRST_RESPONSES_SHARD = ResultPath("results/synthetic/{criterion}/responses/{llm}/{shard}.jsonl")
PAIRS_SHARD = ResultPath("results/synthetic/{criterion}/pairs/{shard}.jsonl")
PAIRS = ResultPath("results/synthetic/{criterion}/pairs.jsonl")
SPLIT = ResultPath("results/synthetic/{criterion}/split.jsonl")
FAMILIAR_QUESTIONS = ResultPath("results/synthetic/familiar_questions.safetensors")
FILTERED_PAIRS = ResultPath("results/synthetic/{criterion}/pairs_filtered.jsonl")
CHECKED_PAIRS = ResultPath("results/synthetic/{criterion}/pairs_checked.json")
FILTERED_LABELS = ResultPath("results/synthetic/{criterion}/labels_filtered.jsonl")
SIMILARITY = ResultPath("results/synthetic/{criterion}/pairs_similarity.jsonl")
SIMILARITY_HISTOGRAM = ResultPath("results/synthetic/{criterion}/pairs_similarity.png")
TRAINING_SET = ResultPath("results/synthetic/{criterion}/{kind}/{side}.jsonl")
TRAINING_SET_COUNTS = ResultPath("results/synthetic/{criterion}/{kind}/counts.json")
TRAINING_SET_DROPPED = ResultPath("results/synthetic/{criterion}/{kind}/dropped.jsonl")

# Models
MODEL_RECORD = ResultPath("results/models/{hub_model}.json")
CONVERTED_MODEL = ResultPath("results/models/converted/{gguf}")
INSPECTOR = ResultPath("results/inspectors/{inspector}/{criterion}/model")
INSPECTOR_METRICS = ResultPath("results/inspectors/{inspector}/{criterion}/metrics.json")
INSPECTOR_SCORES = ResultPath("results/inspectors/{inspector}/{criterion}/test_scores.jsonl")
INSPECTOR_LOSSES = ResultPath("results/inspectors/{inspector}/{criterion}/losses.png")
INSPECTOR_CARD = ResultPath("results/inspectors/{inspector}/{criterion}/README.md")
ALIGNER = ResultPath("results/aligners/{backbone}/{aligner}/model")
ALIGNER_METRICS = ResultPath("results/aligners/{backbone}/{aligner}/metrics.json")
ALIGNER_LOSSES = ResultPath("results/aligners/{backbone}/{aligner}/losses.png")
ALIGNER_CARD = ResultPath("results/aligners/{backbone}/{aligner}/README.md")

SQUAD = ResultPath("results/squads/{backbone}/{system}")

# Responses and corrections
INPUTS = ResultPath("results/inputs/{dataset}.jsonl")
RESPONSES_SHARD = ResultPath("results/responses/{dataset}/{llm}/{shard}.jsonl")
RESPONSES = ResultPath("results/responses/{dataset}/{llm}.jsonl")
ALIGNED = ResultPath("results/aligned/{dataset}/{llm}/{backbone}/{system}.jsonl")
EXTERNAL = ResultPath("results/external/{dataset}/{llm}/{external}.jsonl")

# Comparisons
COMPARED = "{dataset}/{llm}/{backbone}/{system}/{reference}"
MODEL_OUTPUTS = ResultPath(f"results/alpaca_eval/{COMPARED}/model_outputs.json")
REFERENCE_OUTPUTS = ResultPath(f"results/alpaca_eval/{COMPARED}/reference_outputs.json")
VERDICTS = ResultPath(f"results/judged/{{judge}}/{COMPARED}/verdicts.jsonl")
COMPARISON = ResultPath(f"results/judged/{{judge}}/{COMPARED}/comparison.json")
TURNS = ResultPath("results/judged/{judge}/{dataset}/{llm}/{backbone}/turns.jsonl")
THRESHOLDS = ResultPath("results/judged/{judge}/{dataset}/{llm}/{backbone}/thresholds.csv")
PAIRED_TESTS = ResultPath("results/judged/{judge}/{dataset}/{llm}/paired_tests.json")
JUDGE_USAGE = ResultPath("results/judged/{judge}/{dataset}/{llm}.usage.json")
TABLE = ResultPath("results/tables/{judge}/{table}.{form}")
REPRODUCED_VERDICTS = ResultPath(f"results/reproduction/{{judge}}/{COMPARED}/verdicts.jsonl")
REPRODUCTION_USAGE = ResultPath("results/reproduction/{judge}/{dataset}/{llm}.usage.json")
REPORTED_BESIDE_OURS = ResultPath("results/reproduction/{judge}/win_rates.{form}")

# Report, scorecard and records
FIGURES = ResultPath("results/figures/{section}")
REPORT = ResultPath("results/report.html")
SCORECARD = ResultPath("results/closed_world/scorecard.json")
RULE_SCORECARD = ResultPath("results/exact_rules/scorecard.json")
RULE_TABLE = ResultPath("results/exact_rules/scorecard.md")
DEMO_RUN = ResultPath("results/closed_world/run.json")
EXPERIMENT_RECORD = ResultPath("results/experiment.json")
STAGE_LIST = ResultPath("results/{stage}/all")

# Fields whose names come from another key of the experiment than the field's own.
SPANS = {
    TOPICS: {"criterion": "generated"},
    TOPICS.beside("counts.json"): {"criterion": "generated"},
    DISTINCT_TOPICS: {"criterion": "generated"},
    DISTINCT_TOPICS.beside("counts.json"): {"criterion": "generated"},
    QUESTIONS: {"criterion": "generated"},
    QUESTIONS_TABLE: {"criterion": "generated"},
    QUESTIONS.beside("counts.json"): {"criterion": "generated"},
    OWN_DATA: {"criterion": "importing"},
    OWN_DATA.beside("counts.json"): {"criterion": "importing"},
    FILTERED_LABELS: {"criterion": "labelled"},
    FILTERED_LABELS.beside("counts.json"): {"criterion": "labelled"},
    RESPONSES: {"llm": "answering"},
    RESPONSES.beside("counts.json"): {"llm": "answering"},
    SQUAD: {"system": "squad"},
    TURNS: {"backbone": "traced"},
    THRESHOLDS: {"backbone": "traced"},
}


def spanned(pattern: ResultPath, names: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """Return the names of an experiment by field, replaced for the pattern as SPANS defines."""
    return {**names, **{field: names[key] for field, key in SPANS.get(pattern, {}).items()}}


def given_names(text: str, **single: str) -> dict[str, list[str]]:
    """Return a program's names by field: lists from JSON text, and single names."""
    return {**json.loads(text), **{field: [name] for field, name in single.items()}}


# The files that the `all` of a stage lists: no shards, counts, dropped rows and usage files.
STAGES = {
    "models": [MODEL_RECORD],
    "imported": [IMPORTED],
    "synthetic": [
        TOPICS,
        DISTINCT_TOPICS,
        QUESTIONS,
        QUESTIONS_TABLE,
        OWN_DATA,
        PAIRS,
        SPLIT,
        FILTERED_PAIRS,
        FILTERED_LABELS,
        SIMILARITY,
        SIMILARITY_HISTOGRAM,
        TRAINING_SET,
    ],
    "inspectors": [
        INSPECTOR,
        INSPECTOR_METRICS,
        INSPECTOR_SCORES,
        INSPECTOR_LOSSES,
        INSPECTOR_CARD,
    ],
    "aligners": [ALIGNER, ALIGNER_METRICS, ALIGNER_LOSSES, ALIGNER_CARD],
    "squads": [SQUAD],
    "responses": [RESPONSES],
    "aligned": [ALIGNED],
    "external": [EXTERNAL],
    "alpaca_eval": [MODEL_OUTPUTS, REFERENCE_OUTPUTS],
    "judged": [VERDICTS, COMPARISON, PAIRED_TESTS, THRESHOLDS],
    "tables": [TABLE],
}
