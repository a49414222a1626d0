"""The configuration of an experiment: config/config.yaml, and files that are merged over it."""

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from aligners.configuration.fields import (
    Count,
    Few,
    Name,
    Names,
    NotDeciding,
    Section,
    Share,
    WrongKey,
    differ,
    shortened,
)
from aligners.configuration.systems import SYSTEMS

AFFECTS_RESULTS = False

SomeNames = Annotated[Names, Field(min_length=1)]
# A smaller share may select no group at all.
SideShare = Annotated[float, Field(ge=0.001, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


def known_system(name: str) -> str:
    """Return the name of a system.

    Raises:
        ValueError: there is no such system.
    """
    if name not in SYSTEMS:
        raise ValueError(f"{shortened(name)} is not a system; use one of {', '.join(SYSTEMS)}")
    return name


class Shards(Section):
    """Number of jobs into which a long generation is divided."""

    pairs: Few
    """Number of jobs for the pairs of one criterion."""
    responses: Few
    """Number of jobs for the responses of one LLM to one data set."""


class SplitShares(Section):
    """Shares of the question groups for training, validation and test. Their sum is 1."""

    train: SideShare
    """Share for training."""
    validation: SideShare
    """Share for the choice of the best step, and for calibration."""
    test: SideShare
    """Share that is held out for the metrics and the synthetic test questions."""

    @model_validator(mode="after")
    def sum_is_one(self) -> "SplitShares":
        """Check that the shares add up to 1."""
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the shares add up to {total:g}; change one so that the sum is 1")
        return self


class Config(Section):
    """What runs: names of recipes, sizes and seeds."""

    name: NotDeciding[Name]
    """Name of the experiment. It is recorded in results/, so that the results of two experiments
    are never mixed."""
    criteria: SomeNames
    """Criteria of config/criteria/. Add a new criterion at the end, because the order matters: if a
    question is a near-duplicate of questions in different splits, it is dropped from the later
    criterion."""
    data: Names = Field(default_factory=list)
    """Imports of config/imports/ that every criterion uses, beside those of its own recipe. For
    instance, the responses of your own LLM, which the teacher corrects by each criterion."""
    teacher: Name | None = None
    """LLM of config/llms/ that writes the topics, the questions and the pairs. Criteria that have
    only corrections, preferences or labels of your own need none."""
    responses_by: Names = Field(default_factory=list)
    """LLMs of config/llms/ that write the first responses of the pairs, each a part of them. The
    teacher then writes only critiques and corrections. By default, the teacher writes the responses
    too."""
    synthesis: Name
    """Recipe of config/synthesis/ that defines how the training data are made and cleaned."""
    encoder: Name
    """Sentence encoder of config/encoders/. It measures how similar a correction is to its
    response."""
    inspectors: SomeNames
    """Inspectors of config/inspectors/. Each is trained once for each criterion. The squads use the
    first inspector of the list."""
    backbones: SomeNames
    """Backbones of config/backbones/. On each backbone, one aligner is trained for each
    criterion."""
    llms: SomeNames
    """LLMs of config/llms/ that respond to the test questions. The aligners correct the responses
    of the base LLMs. The recipe of a base LLM names its finetuned partner, which must be in this
    list too."""
    datasets: SomeNames
    """Data sets of config/datasets/ with the test questions."""
    external: Names
    """External aligners of config/external/ that the squads are compared with. The list can be
    empty."""
    systems: Annotated[list[Annotated[str, AfterValidator(known_system)]], AfterValidator(differ)]
    """Systems that run in addition to the individual aligners: any of `squad`, `squad-paper`,
    `conditioned`, `squad-conditioned`. The conditioned aligner is trained only if one of the last
    two is in the list."""
    judges: Names = Field(default_factory=list)
    """Judges of config/judges/ that compare the systems with their references. They run only if you
    request results/judged/all or a file that depends on verdicts."""
    topic_rounds: Few
    """Number of rounds of topic generation for each criterion."""
    questions_per_criterion: Count
    """Number of questions that are requested from the teacher for each criterion, before
    deduplication."""
    shards: Shards
    """Number of jobs into which a long generation is divided."""
    split: SplitShares
    """Shares of the question groups for training, validation and test. Their sum is 1."""
    identity_share: float = Field(0.2, ge=0, le=0.5)
    """Share of identity rows in the training set of an aligner. In an identity row, the correction
    equals the response. From these rows, the aligner learns to leave good responses unchanged."""
    aligner_rows: Count = 80_000
    """Maximum number of training rows of an aligner. If there are more, a random sample is used."""
    inspector_pairs: Count = 70_000
    """Maximum number of pairs for an inspector, in all splits together. Each pair gives two rows.
    If there are more, a random sample is used."""
    inputs_per_criterion: Count = 5_000
    """Maximum number of held-out questions of each criterion in a data set with `source:
    synthetic`."""
    alpaca_eval_rows: Count = 800
    """Maximum number of rows of an AlpacaEval file. If there are more, a random sample is used, the
    same for all comparisons of a data set."""
    squad_margin: float = Field(1.0, ge=0, le=100)
    """The gate of a squad accepts a correction only if it raises the log odds of the aligner's own
    inspector by at least this, in logits. At 1, the odds that the response is aligned must become
    2.7 times as high: a score of 0.5 must rise to 0.73. A smaller rise can come from wording alone,
    because an inspector scores two equally good texts differently."""
    familiar_share: Share = 0.99
    """Least share of the validation questions that a squad counts as familiar. It decides how far a
    question may be from each training question, as sentence embeddings. A squad leaves responses to
    other questions alone."""
    seed: Seed = 0
    """Seed of all random samples and shuffles, of the completions, and of the first training of
    each model."""
    seeds: Annotated[list[Seed], Field(min_length=1), AfterValidator(differ)] = Field(
        default_factory=lambda values: [values.get("seed", 0)]
    )
    """Seeds of the trainings, with `seed` first; by default only `seed`. Each inspector and each
    aligner is trained once for each seed, on the same data. Tables, report and scorecard give the
    mean and the spread over the seeds. Add a new seed at the end. With n seeds, trainings,
    corrections and verdicts cost n times as much."""

    @model_validator(mode="after")
    def first_training_has_the_seed(self) -> "Config":
        """Check that the seeds of the trainings begin with the seed of the data."""
        if self.seeds[0] != self.seed:
            raise WrongKey(
                "seeds",
                f"the first seed is {self.seeds[0]}, but the key seed is {self.seed}; begin the "
                f"list with {self.seed}, or set seed: {self.seeds[0]}",
            )
        return self
