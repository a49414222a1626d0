"""The configuration of an experiment: config/config.yaml, and files that are merged over it."""

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from aligners.configuration.kinds.fields import (
    Name,
    Names,
    NotDeciding,
    Section,
    Share,
    differ,
)
from aligners.configuration.systems import SYSTEMS

DECIDES = False

SomeNames = Annotated[Names, Field(min_length=1)]


def known_system(name: str) -> str:
    """Return the name of a system.

    Raises:
        ValueError: there is no such system.
    """
    if name not in SYSTEMS:
        raise ValueError(f"{name!r} is not a system; use one of {', '.join(SYSTEMS)}")
    return name


class Shards(Section):
    """Numbers of jobs that share a long stage."""

    pairs: int = Field(ge=1, le=10_000)
    """Jobs for the pairs of one criterion."""
    responses: int = Field(ge=1, le=10_000)
    """Jobs for the responses of one LLM to one data set."""


class SplitShares(Section):
    """Shares of the question groups for training, validation and test. Their sum is 1."""

    train: float = Field(gt=0, lt=1)
    """Share for training."""
    validation: float = Field(gt=0, lt=1)
    """Share for selecting the best step or epoch, and for calibration."""
    test: float = Field(gt=0, lt=1)
    """Share that is held out for the metrics and the synthetic test inputs."""

    @model_validator(mode="after")
    def sum_is_one(self) -> "SplitShares":
        """Check that the shares add up to 1."""
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the shares add up to {total:g}; change one so that the sum is 1")
        return self


class Config(Section):
    """WHAT runs: names of recipes, sizes and the seed."""

    name: NotDeciding[Name]
    """Name of the experiment. It is recorded in results/. A run with another name stops, so
    that results of two experiments never mix."""
    criteria: SomeNames
    """Criteria, each a file of config/criteria/. Add a new one at the end: a question whose
    near-duplicates are in two splits is dropped from the later criterion."""
    teacher: Name
    """LLM of config/llms/ that writes the topics, the questions and the pairs."""
    synthesis: Name
    """Recipe of config/synthesis/ for making and cleaning the data."""
    encoder: Name
    """Sentence encoder of config/encoders/ that measures the similarity of a correction and its
    response."""
    inspectors: SomeNames
    """Inspectors of config/inspectors/, one model for each criterion. The squads use the first."""
    backbones: SomeNames
    """Backbones of config/backbones/, one aligner for each criterion."""
    llms: SomeNames
    """LLMs of config/llms/ that respond to the test inputs. The aligners correct the responses of
    the base LLMs. The finetuned partner of each base LLM has to be in this list too."""
    datasets: SomeNames
    """Test inputs, each a file of config/datasets/."""
    external: Names
    """External aligners of config/external/ to compare with. May be empty."""
    systems: Annotated[list[Annotated[str, AfterValidator(known_system)]], AfterValidator(differ)]
    """Systems to run in addition to the individual aligners: squads of individual aligners, and the
    conditioned aligner, which reads the principles of a criterion as text, alone or in a squad. It
    is trained only if it is listed alone or in a squad. Any of `squad`, `squad-paper`,
    `conditioned`, `squad-conditioned`."""
    judges: Names = Field(default_factory=list)
    """Judges of config/judges/ that compare the systems with their references. They run only for
    results/judged/all and the files that depend on it."""
    topic_rounds: int = Field(ge=1)
    """Rounds of topic generation for each criterion."""
    questions_per_criterion: int = Field(ge=1)
    """Number of questions of each criterion that the teacher is asked to write. Duplicates among
    them are dropped."""
    shards: Shards
    """Numbers of jobs that share a long stage."""
    split: SplitShares
    """Shares of the question groups for training, validation and test. Their sum is 1."""
    identity_share: float = Field(0.2, ge=0, le=0.5)
    """Share of identity rows in the aligner set: rows whose correction equals the response. From
    them, an aligner learns to leave good responses unchanged."""
    aligner_rows: int = Field(80_000, ge=1)
    """Maximum number of training rows of an aligner. If there are more, a seeded sample is used."""
    inspector_pairs: int = Field(70_000, ge=1)
    """Maximum number of pairs for an inspector in all splits together, with two rows each. If there
    are more, a seeded sample is used."""
    inputs_per_criterion: int = Field(5_000, ge=1)
    """Held-out questions of each criterion in a data set whose source is `synthetic`."""
    alpaca_eval_rows: int = Field(800, ge=1)
    """Maximum number of rows of an AlpacaEval file. They are a seeded sample, the same for every
    comparison of a data set."""
    squad_threshold: Share = 0.5
    """In a squad, an aligner acts on a response only if the inspector of its criterion gives a
    lower score."""
    seed: int = Field(0, ge=0, lt=2**32)
    """Seed of every sample, shuffle and training."""
