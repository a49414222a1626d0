"""Which experiment results/ belongs to: two never mix."""

from pathlib import Path

from aligners.core.errors import UserError
from aligners.core.rows import read_json, write_json

RECORD = Path("results/experiment.json")


def check_experiment(name: str) -> None:
    """Refuse to go on in results/ that another experiment made.

    Raises:
        UserError: says how to keep both.
    """
    if RECORD.exists() and (other := read_json(RECORD)["name"]) != name:
        raise UserError(
            f"results/ was made by the experiment {other!r}, and this is {name!r}. To keep both, "
            f"move it away first: mv results results-{other}. To continue {other!r}, give its "
            "configuration with --configfile"
        )


def record_experiment(name: str) -> None:
    """Note in results/ which experiment makes it.

    Raises:
        UserError: another one made what is there.
    """
    check_experiment(name)
    if not RECORD.exists():
        write_json(RECORD, {"name": name})
