"""The command `aligners`."""

import sys
from pathlib import Path

from tyro.conf import OmitArgPrefixes
from tyro.extras import SubcommandApp

from aligners.cli.demo import run_demo
from aligners.cli.scorecard import print_scorecard
from aligners.core.errors import UserError
from aligners.correction.corrections_file import Filters

app = SubcommandApp()
app.command(name="demo")(run_demo)
app.command(name="scorecard")(print_scorecard)


@app.command
def estimate(
    *, config: Path = Path("config/config.yaml"), sample: int = 0, output: Path | None = None
) -> None:
    """Print before a run how many requests, tokens, hours and how much money it will take.

    Args:
        config: the configuration of the run, laid over config/config.yaml.
        sample: requests of each stage that are sent, to measure tokens and time; 0 sends none.
        output: JSON file for the figures.
    """
    # Here and below: libraries that the other commands need not wait for.
    from aligners.estimate.table import print_estimate

    print_estimate(config, sample, output)


@app.command
def push(
    path: Path,
    /,
    *,
    repo: str,
    private: bool = False,
    revision: str | None = None,
    message: str = "Upload with aligners",
) -> None:
    """Publish a model or a data set on the Hugging Face Hub; HF_TOKEN holds the token.

    Args:
        path: directory of a model, or of JSON Lines files.
        repo: where to, as owner/name; made if it is not there.
        private: make it private.
        revision: branch, made if it is not there.
        message: of the commit.
    """
    from aligners.publishing.push import push_directory

    push_directory(path, repo, private, revision, message)


@app.command
def show(
    path: Path,
    /,
    filters: OmitArgPrefixes[Filters],
    *,
    rows: int = 10,
    seed: int | None = None,
) -> None:
    """Print rows of a file of answers: question, answers with what changed, scores and trace.

    Args:
        path: JSON Lines file in results/responses, results/aligned or results/external.
        filters: which rows; all conditions that are given have to hold.
        rows: at most how many are shown.
        seed: of a random choice; without it, the first of the file are shown.
    """
    from aligners.cli.show import show_answers

    show_answers(path, filters, rows, seed)


def main() -> None:
    """Run the subcommand that the command line names."""
    try:
        app.cli(description="From a page of principles to an inspector and an aligner.")
    except UserError as error:
        sys.exit(f"error: {error}")
