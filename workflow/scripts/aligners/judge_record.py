"""Which judge the verdicts in results/judged/{judge}/ are of: those of two are not mixed."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aligners.errors import UserError
from aligners.fingerprint import llm_identity
from aligners.recipes import deciding_recipe, recipe_path
from aligners.rows import read_json, write_json

JUDGED = Path("results/judged")


def judge_identity(judge: str) -> dict[str, Any]:
    """Return what decides a judge's verdicts: the keys of its recipe, and of its LLM's."""
    recipe = deciding_recipe("judges", judge)
    llm = {"llm": llm_identity(recipe["llm"])} if "llm" in recipe else {}
    return {**recipe, **llm}


def check_judge(judge: str) -> None:
    """Refuse a judge whose recipe has changed since its first verdicts.

    Raises:
        UserError: says which keys have changed, and how to keep both.
    """
    record = record_path(judge)
    if not record.exists():
        return
    before, now = read_json(record)["identity"], judge_identity(judge)
    changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    if changed:
        raise UserError(
            f"{recipe_path('judges', judge)}: the judge has changed ({', '.join(changed)}) since "
            f"the verdicts in {record.parent} were made, and verdicts of two judges are not mixed. "
            "To keep both, give the changed judge a name of its own. To judge anew, delete "
            f"{record.parent}; to go on as before, take the change back: all verdicts are kept"
        )


def record_judge(judge: str, served_models: Iterable[str] = ()) -> None:
    """Note who judges, and which models its server says have answered.

    Raises:
        UserError: the recipe has changed, or the endpoint has had another model answer.
    """
    check_judge(judge)
    record = record_path(judge)
    known = read_json(record) if record.exists() else {}
    models = {*served_models, *known.get("served_models", [])}
    if len(models) > 1:
        raise UserError(
            f"the judge {judge}: its endpoint had several models answer under one name "
            f"({', '.join(sorted(models))}), and verdicts of two judges are not mixed. Name one of "
            f"them as the LLM's model, and delete {record.parent}; all verdicts are kept"
        )
    write_json(record, {"identity": judge_identity(judge), "served_models": sorted(models)})


def record_path(judge: str) -> Path:
    """Return the record of a judge."""
    return JUDGED / judge / "judge.json"
