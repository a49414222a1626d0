"""The command `aligners`."""

from pathlib import Path
from typing import Annotated

from tyro.conf import OmitArgPrefixes, arg
from tyro.extras import SubcommandApp

from aligners.cli.demo import run_demo
from aligners.cli.import_options import ImportOptions
from aligners.cli.scorecard import print_scorecard
from aligners.core.program import one_message
from aligners.core.progress import show_progress
from aligners.correction.corrections_file import Filters
from aligners.export.formats import FormatName
from aligners.serving.options import ServeOptions

app = SubcommandApp()
app.command(name="demo")(run_demo)
app.command(name="scorecard")(print_scorecard)


@app.command
def estimate(
    *, config: Path = Path("config/config.yaml"), sample: int = 0, output: Path | None = None
) -> None:
    """Estimate requests, tokens, time and money of a run before it starts.

    Args:
        config: configuration of the run; it is merged over config/config.yaml.
        sample: number of requests of each stage to send, to measure tokens and time; 0 sends
            none.
        output: JSON file to write the figures to.
    """
    # Imported here and below, so that the other commands start faster.
    from aligners.estimate.table import print_estimate

    show_progress()
    print_estimate(config, sample, output)


@app.command(name="import")
def import_command(table: str, /, options: OmitArgPrefixes[ImportOptions]) -> None:
    """Read data of your own: find the format of a table, show two rows, and write a recipe.

    Args:
        table: path of a table, or hub:owner/name for a data set of the Hub, with @revision if it
            is not to be the newest commit.
        options: what to import.
    """
    from aligners.cli.imports import import_table

    import_table(table, options)


@app.command
def preview(
    *,
    config: Path = Path("config/config.yaml"),
    criterion: str | None = None,
    rows: int = 3,
) -> None:
    """Show the first rows of each stage of a run, with the prompts as sent, before it starts.

    It sends some requests of each stage, for which a provider may charge. The run does not send
    them again.

    Args:
        config: configuration of the run; it is merged over config/config.yaml.
        criterion: of the topics, questions and pairs; by default, the first of the configuration.
        rows: number of rows of each stage.
    """
    from aligners.cli.preview import print_preview

    show_progress()
    print_preview(config, criterion, rows)


@app.command
def export(
    criterion: str,
    /,
    *,
    format: Annotated[FormatName, arg(name="as")],
    output: Path,
) -> None:
    """Write a criterion's training sets in the format of another trainer, with a card.

    Args:
        criterion: a criterion, or all.
        format: prompt-completion, alpaca and messages are for training an aligner, preference is
            for training an LLM, and unpaired-preference is for training an inspector.
        output: directory to write, with a file for each split; it must not have files yet.
    """
    from aligners.cli.export import export_and_report

    export_and_report(criterion, format, output)


@app.command
def correct(
    path: Path,
    /,
    *,
    squad: str,
    output: Annotated[Path, arg(aliases=["-o"])],
    question: str | None = None,
    response: str | None = None,
    inference: Path | None = None,
) -> None:
    """Correct the responses in a table with a trained squad.

    The output has the columns of the table, and aligned_response, action, reason, scores and trace.
    If the command is interrupted, the same command continues where it was.

    Args:
        path: table of questions and responses: CSV, TSV, JSON, JSON Lines or Parquet.
        squad: directory of the squad, such as results/squads/<backbone>/<system>, or its repository
            on the Hugging Face Hub as owner/name, with @revision if it is not to be the main
            branch.
        output: file to write, .jsonl or .csv; it must not exist yet.
        question: column of the questions; by default, it is found by its name.
        response: column of the responses; by default, it is found by its name.
        inference: YAML file that says where the aligners generate, with the keys that a backbone's
            recipe has under `inference`; by default, in this process.
    """
    from aligners.cli.correct import correct_and_report
    from aligners.squads.response_files import Table

    correct_and_report(Table(path, question, response), squad, output, inference)


@app.command
def chat(
    *,
    squad: str,
    upstream: str | None = None,
    model: str = "default",
    key_variable: str = "OPENAI_API_KEY",
    inference: Path | None = None,
) -> None:
    """Try a squad by hand: ask an LLM, and see its response before and after, and why.

    Args:
        squad: directory of the squad, or its repository on the Hugging Face Hub as owner/name, with
            @revision if it is not to be the main branch.
        upstream: URL of the LLM's API, such as http://127.0.0.1:8080/v1; without it, you type the
            responses too.
        model: name of the LLM on the server.
        key_variable: environment variable with the API key.
        inference: YAML file that says where the aligners generate, with the keys that a backbone's
            recipe has under `inference`; by default, in this process.
    """
    from aligners.cli.chat import Upstream, load_and_chat

    asked = Upstream(upstream, model, key_variable) if upstream else None
    load_and_chat(squad, inference, asked)


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
    """Publish a model, a squad or a data set on the Hugging Face Hub, with the token in HF_TOKEN.

    Args:
        path: directory of a model or a squad, or directory with JSON Lines files.
        repo: repository on the Hub, as owner/name; created if it does not exist.
        private: create a private repository; an existing one has to be private.
        revision: branch of the repository, created if it does not exist; without it, the main
            branch.
        message: commit message.
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
    """Print responses and corrections of a file, with marked changes, scores and trace.

    Args:
        path: JSON Lines file in results/responses, results/aligned or results/external.
        filters: conditions. A row is printed if it meets all of them.
        rows: largest number of rows to print.
        seed: print a random choice of rows with this seed; without it, the first rows.
    """
    from aligners.cli.show import show_answers

    show_answers(path, filters, rows, seed)


@app.command
def serve(options: OmitArgPrefixes[ServeOptions]) -> None:
    """Serve a squad: an API like OpenAI's, whose responses the squad corrects.

    It stands before the LLM of your choice (--upstream). Without one, it corrects the responses
    that it is sent.

    Args:
        options: what to serve, and how.
    """
    from aligners.cli.serve import start_server

    start_server(options)


def main() -> None:
    """Run the subcommand given on the command line."""
    with one_message():
        app.cli(description="Use squads, look at results, publish. snakemake runs the workflow.")
