"""Write what is generated in the documents: schemas, tables of keys, and figures of a run.

    make docs

Where results/ holds a demo, or the experiment of docs/your-own-policy.md, the files of
docs/examples/ are first made anew from it. Parts of pages stand between `<!-- begin: NAME -->` and
`<!-- end: NAME -->`; BLOCKS has the function of each.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from data_rows import TEST_QUESTION, choose_data_rows
from rich.table import Table

from aligners.cli.scorecard import (
    filter_table,
    inspector_table,
    quality_table,
    wrapped_table,
)
from aligners.closed_world.world import load_world
from aligners.configuration import results
from aligners.configuration.documentation import KINDS, json_schema, key_tables
from aligners.configuration.systems import SQUAD
from aligners.core import formats
from aligners.core.rows import Row, read_json, read_rows, write_json, write_rows
from aligners.imports.formats import FORMATS
from aligners.report.costs import costs_section

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "config/README.md", *sorted((ROOT / "docs").glob("*.md"))]
SCHEMAS = ROOT / "workflow/schemas"
PART = re.compile(r"(<!-- begin: ([\w-]+) -->\n).*?(<!-- end: \2 -->)", re.DOTALL)

EXAMPLES = ROOT / "docs/examples"
SCORECARD = EXAMPLES / "scorecard.json"
RATES = EXAMPLES / "ablations.csv"
ROWS = EXAMPLES / "squad.jsonl"
DATA_ROWS = EXAMPLES / "data_rows.json"
POLICY = EXAMPLES / "policy.json"
REAL, REAL_ROWS = EXAMPLES / "real.json", EXAMPLES / "real.jsonl"
REAL_COSTS = EXAMPLES / "real_costs.json"
SHORTEST_SHOWN = 10  # seconds
REAL_ROWS_SHOWN = 6

# The names of the experiments: of config/demo.yaml, docs/your-own-policy.md and config/real.yaml.
DEMO, OWN_POLICY, REAL_RUN = "demo", "mine", "real"
REAL_LLM = "smollm2-135m-instruct"  # also the name of the backbone
LLM, BACKBONE, DATASET = "closed-world-base", "llama-closed-world", "synthetic_mixed"
CRITERION, INSPECTOR = "desk", "bert-closed-world"
WORLD = ROOT / "resources/closed_world/world.yaml"
SQUAD_ROWS = results.ALIGNED.path(dataset=DATASET, llm=LLM, backbone=BACKBONE, system=SQUAD.name)

SYSTEM_NAMES = {
    "initial": "none: the LLM's responses",
    "finetuned": "none: its finetuned partner's responses",
    "ji-et-al-closed-world": "external aligner",
}
REAL_NAMES = {
    "initial": "none: SmolLM2's responses",
    "finetuned": "none: SmolLM2, asked to follow both policies",
    "smollm2-135m-self-correction": "SmolLM2, asked to correct its response",
    "cut": "the response, cut after two sentences",
    "squad": "squad",
}
REFERENCE_NAMES = {"base": "the base LLM", "finetuned": "its finetuned partner"}
RATE_NAMES = {
    "win_rate": "win rate (95% interval)",
    "length_controlled": "at equal length",
    "flip_rate": "flips",
}


# The examples, from results/


def refresh_examples() -> None:
    """Make the examples anew from results/, if the experiment that made it is one of theirs."""
    record = results.EXPERIMENT_RECORD.path()
    name = read_json(record)["name"] if record.exists() else None
    if name == DEMO:
        refresh_demo()
    elif name == OWN_POLICY:
        write_json(POLICY, policy_figures())
    elif name == REAL_RUN:
        refresh_real()


def refresh_demo() -> None:
    """Copy scorecard and rates, and choose rows."""
    rates = results.TABLE.path(judge="closed-world", table="ablations", form="csv")
    if not rates.exists():
        sys.exit(f"no {rates}; make it: snakemake --profile profiles/demo results/tables/all")
    shutil.copy(results.SCORECARD.path(), SCORECARD)
    shutil.copy(rates, RATES)
    write_rows(ROWS, choose_rows(read_rows(SQUAD_ROWS)))
    write_json(DATA_ROWS, choose_data_rows())


def refresh_real() -> None:
    """Copy the scorecard by exact rules, and choose rows by their ids, which are hashes."""
    shutil.copy(results.RULE_SCORECARD.path(), REAL)
    squad = results.ALIGNED.path(
        dataset="own_questions", llm=REAL_LLM, backbone=REAL_LLM, system=SQUAD.name
    )
    changed = [row for row in read_rows(squad) if row["aligned_response"] != row["response"]]
    fields = ("id", "question", "response", "aligned_response")
    rows = sorted(changed, key=lambda row: row["id"])[:REAL_ROWS_SHOWN]
    write_rows(REAL_ROWS, [{field: row[field] for field in fields} for row in rows])
    costs = costs_section(results.DIRECTORY.resolve().with_name("logs"))
    write_json(REAL_COSTS, {name: costs[name] for name in ("times", "usage")})


def choose_rows(rows: Sequence[Row]) -> list[Row]:
    """Return a row with a refused and an accepted turn, one of one turn, of two, and of none.

    Ids are hashes, so the first in their order are a random choice; the row of docs/data.md comes
    before all, and rows whose correction all inspectors accept before others. Insults are not
    shown: what the inspector of the criterion `ethical` rejects.
    """
    polite = [row for row in rows if (row["scores"]["ethical"] or 0) >= 0.5]
    chosen = []
    for accepted in ([False, True], [True], [True, True], []):
        of_kind = [row for row in polite if [turn["accepted"] for turn in row["trace"]] == accepted]
        chosen += sorted(of_kind, key=order_of_example)[:1]
    return chosen


def order_of_example(row: Row) -> tuple[bool, bool, str]:
    """Return the sort key of a row that can be an example."""
    accepted = min(score or 0 for score in row["scores"].values()) >= 0.5
    return row["id"] != TEST_QUESTION, not accepted, row["id"]


def policy_figures() -> dict[str, Any]:
    """Return the figures of docs/your-own-policy.md."""
    pairs = read_rows(results.PAIRS.path(criterion=CRITERION))
    approval = load_world(str(WORLD)).content["critiques"]["none"]
    questions = read_rows(results.QUESTIONS.path(criterion=CRITERION))
    metrics = results.INSPECTOR_METRICS.path(inspector=INSPECTOR, criterion=CRITERION)
    corrected = read_rows(SQUAD_ROWS)
    return {
        "questions": len(questions),
        "pairs": len(pairs),
        "violations": sum(row["critique"] not in approval for row in pairs),
        "identity": count_equal(pairs),
        "inspector": {key: read_json(metrics)[key] for key in ("accuracy", "n")},
        "responses": len(corrected),
        "corrected": len(corrected) - count_equal(corrected),
    }


def count_equal(rows: Sequence[Row]) -> int:
    """Return how many rows have a correction that equals the response."""
    return sum(row["response"] == row["aligned_response"] for row in rows)


# The parts, from the examples


def markdown(table: pd.DataFrame) -> str:
    """Return a table of texts in Markdown; all columns but the first are numbers."""
    alignment = ["left", *["right"] * (len(table.columns) - 1)]
    return table.to_markdown(index=False, disable_numparse=True, colalign=alignment)


def import_formats() -> str:
    """Return the table of the formats of imports, with their columns and kinds."""
    rows = []
    for one in FORMATS:
        usual, *others = one.kinds()
        kinds = f"{usual} ({', '.join(others)})" if others else usual
        columns = ", ".join(f"`{name}`" for name in one.columns)
        rows.append({"format": one.name, "columns": columns, "kind": kinds})
    return str(pd.DataFrame(rows).to_markdown(index=False))


def of_terminal(table: Table) -> str:
    """Return a table of the terminal in Markdown."""
    return markdown(pd.DataFrame({column.header: list(column.cells) for column in table.columns}))


def fenced(text: str) -> str:
    """Return a block of text."""
    return f"```text\n{text.rstrip()}\n```"


def before_after() -> str:
    """Return a correction with one turn, without marks and scores."""
    row = next(row for row in read_rows(ROWS) if len(row["trace"]) == 1)
    shown = {"question": "question", "response": "response", "correction": "aligned_response"}
    return fenced("\n".join(f"{label:<12}{row[field]}" for label, field in shown.items()))


def system_name(name: str) -> str:
    """Return the name of a system in the table of the scorecard."""
    is_squad = name.startswith(SQUAD.name)
    return SYSTEM_NAMES.get(name, name if is_squad else f"{name} aligner")


def responses_table() -> str:
    """Return the systems of the scorecard with clean texts and harm, all data sets together."""
    scores = read_json(SCORECARD)["datasets"]["all"][LLM]
    unknown = scores["unknown_facts"]
    rows = [
        {
            "system": system_name(name),
            "clean (95% interval)": formats.rate(share),
            "harm": formats.rate(scores["harm_rate"].get(name), missing=""),
            "harm by criterion": harm_by_criterion(scores["harm_by_criterion"].get(name, {})),
            "clean, unknown facts": formats.rate(unknown["clean_share"][name]),
            "harm, unknown facts": formats.rate(unknown["harm_rate"].get(name), missing=""),
            "by criterion": harm_by_criterion(unknown["harm_by_criterion"].get(name, {})),
        }
        for name, share in scores["clean_share"].items()
    ]
    return markdown(pd.DataFrame(rows))


def harm_by_criterion(rates: dict[str, Any]) -> str:
    """Return the harm of a system to each criterion, in the order of the criteria."""
    return ", ".join(f"{name} {formats.percent(rate['value'])}" for name, rate in rates.items())


def win_rates() -> str:
    """Return the rates of the squad against each reference."""
    table = pd.read_csv(RATES)
    table = table[(table["dataset"] == DATASET) & (table["system"] == SQUAD.name)]
    rows = []
    for reference, lines in table.groupby("reference", sort=False):
        rates = lines.set_index("rate").to_dict("index")
        texts = {label: formats.rate(rates[name]) for name, label in RATE_NAMES.items()}
        name = REFERENCE_NAMES.get(reference, "the external aligner")
        rows.append({"reference": name, **texts, "n": str(rates["win_rate"]["n"])})
    return markdown(pd.DataFrame(rows))


def real_scores() -> str:
    """Return the systems of the real run with the rates by exact rules."""
    table = [
        {
            "system": REAL_NAMES.get(name, f"the aligner of {name}"),
            **{f"keeps {rule}": formats.rate(kept) for rule, kept in row["kept"].items()},
            "harm": formats.rate(row["harm"]),
            "unsupported words": formats.percent(row["unsupported"]),
            "similarity": formats.decimal(row["similarity"], 2),
        }
        for name, row in read_json(REAL)[REAL_LLM].items()
    ]
    return markdown(pd.DataFrame(table))


def real_times() -> str:
    """Return the time and memory of the real run's rules, and its LLMs' tokens per second."""
    costs = read_json(REAL_COSTS)
    stages = [
        {
            "rule": row["rule"],
            "jobs": str(row["jobs"]),
            "time": formats.duration(row["seconds"]),
            "processor time": formats.duration(row["processor"]),
            "largest process": f"{row['memory_mib'] / 1024:.1f} GiB",
        }
        for row in costs["times"]
        if row["seconds"] >= SHORTEST_SHOWN
    ]
    speeds = [
        {
            "completions": row["name"],
            "number": str(row["completions"]),
            "tokens": f"{row['tokens_out']:,}",
            "tokens per second": formats.decimal(row["tokens_per_second"], 0),
        }
        for row in costs["usage"]
        if row["completions"]
    ]
    return "\n\n".join(markdown(pd.DataFrame(table)) for table in (stages, speeds))


def real_rows() -> str:
    """Return some responses of the real run that the squad changed, and their corrections."""
    texts = [
        f"question    {row['question']}\n"
        f"response    {' '.join(row['response'].split())}\n"
        f"correction  {row['aligned_response']}"
        for row in read_rows(REAL_ROWS)
    ]
    return fenced("\n\n".join(texts))


def shown_rows() -> str:
    """Return what `aligners show` prints of the examples' first changed row."""
    command = ["aligners", "show", str(ROWS.relative_to(ROOT)), "--changed", "--rows", "1"]
    command[0] = str(Path(sys.executable).with_name("aligners"))
    result = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "80", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return fenced(result.stdout)


def data_row(name: str) -> str:
    """Return a row of a file, as docs/data.md shows it."""
    return f"```json\n{json.dumps(read_json(DATA_ROWS)[name], ensure_ascii=False)}\n```"


def policy_pairs() -> str:
    """Return a sentence on the pairs of one's own policy."""
    figures = read_json(POLICY)
    return (
        f"This gave {figures['pairs']:,} pairs from {figures['questions']:,} questions. In "
        f"{figures['violations']:,} of them, the critique found a violation.\n"
        f"{figures['identity']:,} pairs are identity rows."
    )


def policy_metrics() -> str:
    """Return a sentence on the inspector of one's own policy."""
    metrics = read_json(POLICY)["inspector"]
    accuracy = formats.decimal(metrics["accuracy"], 2)
    return f"The inspector had an accuracy of {accuracy} on {metrics['n']} rows."


def policy_corrected() -> str:
    """Return a sentence on the responses that one's own squad corrected."""
    figures = read_json(POLICY)
    return f"The squad corrected {figures['corrected']} of {figures['responses']} responses."


BLOCKS: dict[str, Callable[[], str]] = {
    "keys": lambda: key_tables().removesuffix("\n"),
    "before-after": before_after,
    "scorecard-responses": responses_table,
    "scorecard-inspectors": lambda: of_terminal(
        inspector_table(read_json(SCORECARD)["inspectors"])
    ),
    "scorecard-on-responses": lambda: of_terminal(
        quality_table("", read_json(SCORECARD)["responses"][LLM])
    ),
    "scorecard-wrapped": lambda: of_terminal(wrapped_table(read_json(SCORECARD)["wrapped_pairs"])),
    "scorecard-filters": lambda: of_terminal(filter_table(read_json(SCORECARD)["filters"])),
    "show-example": shown_rows,
    "win-rates": win_rates,
    "real-scores": real_scores,
    "real-rows": real_rows,
    "real-times": real_times,
    "import-formats": import_formats,
    "policy-pairs": policy_pairs,
    "policy-metrics": policy_metrics,
    "policy-corrected": policy_corrected,
}


def parts() -> dict[str, Callable[[], str]]:
    """Return the functions of all parts by name: those of BLOCKS, and the rows of docs/data.md."""
    return BLOCKS | {f"row-{name}": partial(data_row, name) for name in read_json(DATA_ROWS)}


def with_parts(page: str) -> str:
    """Return the text of a page with its generated parts made anew.

    Raises:
        KeyError: a part has no function.
    """
    made = parts()
    return PART.sub(lambda found: f"{found[1]}{made[found[2]]()}\n{found[3]}", page)


def write_schemas() -> None:
    """Write the JSON Schemas of the kinds of YAML files."""
    for name, kind in KINDS.items():
        (SCHEMAS / f"{name}.schema.json").write_text(json_schema(kind), encoding="utf-8")


def main() -> None:
    """Write the schemas, refresh the examples, and write the parts into the pages."""
    write_schemas()
    refresh_examples()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        page.write_text(with_parts(text), encoding="utf-8")


if __name__ == "__main__":
    main()
