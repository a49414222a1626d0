"""The results that a scorecard scores, by the names in their paths."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from aligners.configuration import results
from aligners.configuration.kinds.llms import LLMRecipe
from aligners.configuration.recipes import load_recipe
from aligners.configuration.results import ResultPath
from aligners.core.rows import Row, read_rows


@dataclass(frozen=True)
class ScoredResults:
    """The results to score, given by the names in their paths.

    Attributes:
        llms: base LLMs. Their recipes name the finetuned LLMs.
        systems: systems of the aligners that the workflow trains.
        external: external aligners.
    """

    criteria: list[str]
    inspector: str
    backbone: str
    datasets: list[str]
    llms: list[str]
    systems: list[str]
    external: list[str]

    def rows(self, pattern: ResultPath, needs: Sequence[str]) -> list[Row]:
        """Return the rows of one file per criterion, in the order of the criteria."""
        paths = [pattern.path(criterion=criterion) for criterion in self.criteria]
        return [row for path in paths for row in read_rows(path, needs)]

    def answer_files(self, dataset: str, llm: str) -> Iterator[tuple[str, Path, str]]:
        """Yield each system that is compared with a base LLM, its file, and the answers' field."""
        names = {"dataset": dataset, "llm": llm}
        finetuned = str(load_recipe(LLMRecipe, llm).finetuned)
        yield "finetuned", results.RESPONSES.path(dataset=dataset, llm=finetuned), "response"
        for system in self.systems:
            path = results.ALIGNED.path(**names, backbone=self.backbone, system=system)
            yield system, path, "aligned_response"
        for external in self.external:
            yield external, results.EXTERNAL.path(**names, external=external), "aligned_response"
