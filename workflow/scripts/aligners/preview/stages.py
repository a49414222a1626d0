"""The first rows of each stage for one criterion.

The functions that build the requests of a run build those of the preview, and the parsers of a run
read the completions. A stage gets the first rows of the stage before.
"""

from collections.abc import Iterator

from aligners.configuration.experiment import has_seed_questions, imports_of, needs_teacher
from aligners.configuration.kinds.config import Config
from aligners.core.rows import Row, by_id
from aligners.estimate.stages import imported_to_pair
from aligners.preview.asking import Ask
from aligners.preview.exchange import StagePreview
from aligners.preview.responses import local_questions, preview_responses
from aligners.preview.synthesis import (
    preview_first_responses,
    preview_import,
    preview_pairs,
    preview_questions,
    preview_topics,
)
from aligners.preview.verdicts import preview_verdicts
from aligners.synthesis.first_responses import responding_llm
from aligners.synthesis.task import load_task


def preview_stages(config: Config, criterion: str, count: int, ask: Ask) -> Iterator[StagePreview]:
    """Yield the first rows of each stage in the order of a run.

    Nothing of a stage is sent before the stage before has been taken from the iterator, so that a
    caller can stop there. Each stage needs rows of the one before (`StagePreview.check`).

    Args:
        config: of the run.
        criterion: of the topics, questions and pairs.
        count: number of rows.
        ask: sends requests (`asking`).

    Raises:
        UserError: an LLM cannot be used.
    """
    asked: list[Row] = []
    pairs: list[Row] = []
    if config.teacher and needs_teacher(config, criterion):
        task = load_task(criterion, config.teacher, config.synthesis, config.seed)
        if has_seed_questions(criterion):
            yield (topics := preview_topics(task, config.teacher, count, ask))
            yield (questions := preview_questions(task, config, topics.kept(), count, ask))
            asked = list(by_id(questions.kept()).values())[:count]
        asked += imported_to_pair(config, criterion)[:count]
        for llm in config.responses_by:
            unanswered = [row for row in asked if "response" not in row]
            own = [row for row in unanswered if responding_llm(row, config.responses_by) == llm]
            if own:
                yield (first := preview_first_responses(task, llm, own, ask))
                given = by_id(first.kept())
                asked = [{**question, **given.get(question["id"], {})} for question in asked]
        if config.responses_by:
            asked = [question for question in asked if "response" in question]
        yield (written := preview_pairs(task, config.teacher, asked, ask))
        pairs = written.kept()
    for name in imports_of(config, criterion):
        yield (imported := preview_import(config, criterion, name, count))
        pairs += [row for row in imported.kept() if "aligned_response" in row]
    dataset, inputs = local_questions(config, count)
    inputs = inputs or pairs[:count]
    for llm in config.llms:
        yield preview_responses(config, llm, dataset, inputs, ask)
    for judge in config.judges:
        yield preview_verdicts(judge, criterion, pairs, ask)
