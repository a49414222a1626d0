"""The command `aligners`."""

import sys

from tyro.extras import SubcommandApp

from aligners.closed_world.demo import run_demo
from aligners.closed_world.scorecard_table import print_scorecard
from aligners.errors import UserError

app = SubcommandApp()
app.command(name="demo")(run_demo)
app.command(name="scorecard")(print_scorecard)


def main() -> None:
    """Run the subcommand that the command line names."""
    try:
        app.cli(description="From a page of principles to an inspector and an aligner.")
    except UserError as error:
        sys.exit(f"error: {error}")
