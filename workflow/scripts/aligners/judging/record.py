"""Records which judge gave the verdicts, and refuses to mix the verdicts of two judges."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aligners.configuration import results
from aligners.configuration.fingerprint import llm_identity
from aligners.configuration.kinds.judges import JudgeRecipe
from aligners.configuration.recipes import deciding_recipe, recipe_path
from aligners.core.errors import UserError
from aligners.core.rows import read_json, write_json

SUFFIX = ".judge.json"


def judge_identity(judge: str) -> dict[str, Any]:
    """Return what decides a judge's verdicts: keys of its recipe and of its LLM's recipe."""
    recipe = deciding_recipe(JudgeRecipe, judge)
    llm = {"llm": llm_identity(recipe["llm"])} if "llm" in recipe else {}
    return {**recipe, **llm}


def check_judge(judge: str) -> None:
    """Refuse a judge whose recipe has changed since its first verdicts.

    Raises:
        UserError: says which keys have changed, and how to keep both.
    """
    now = judge_identity(judge)
    for path in records(judge):
        before = read_json(path)["identity"]
        keys = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
        if keys:
            directory = path.parents[1]
            raise UserError(
                f"{recipe_path(JudgeRecipe, judge)}: the judge has changed ({', '.join(keys)}) "
                f"since the verdicts in {directory} were made, and verdicts of two judges are not "
                "mixed. "
                "To keep both, give the changed judge a name of its own. To judge anew, delete "
                f"{directory}; to go on as before, take the change back: all verdicts are kept"
            )


def record_judge(judge: str, usage: Path, served_models: Iterable[str]) -> None:
    """Record who gave a job's verdicts, and the names of the models that a server reported.

    Each job writes its own record, {llm}.judge.json beside its usage file, because two jobs may
    end at the same time.

    Raises:
        UserError: the recipe has changed, or the endpoint used another model.
    """
    check_judge(judge)
    path = usage.with_name(usage.name.replace(".usage.json", SUFFIX))
    write_json(path, {"identity": judge_identity(judge), "served_models": sorted(served_models)})
    models = {model for each in records(judge) for model in read_json(each)["served_models"]}
    if len(models) > 1:
        raise UserError(
            f"the judge {judge}: its endpoint had several models answer under one name "
            f"({', '.join(sorted(models))}), and verdicts of two judges are not mixed. Name one of "
            f"them as the LLM's model, and delete {path.parents[1]}; all verdicts are kept"
        )


def records(judge: str) -> list[Path]:
    """Return the records of a judge's jobs: its verdicts, and those by the paper's protocol."""
    return sorted(results.DIRECTORY.glob(f"*/{judge}/*/*{SUFFIX}"))
