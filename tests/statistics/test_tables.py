"""Tables of an evaluation: their rows, columns and numbers, as CSV, Markdown and LaTeX."""

import html
import json
import re
from pathlib import Path

import pandas as pd
import pytest
import write_tables
from judged_files import CATEGORIES, write_judged
from projects import MINIATURE, make_project, run_snakemake
from yaml_edits import set_keys

from aligners.configuration import results
from aligners.core.formats import rate, rate_with_n
from aligners.core.rows import read_json, write_json
from aligners.core.yaml_files import read_yaml
from aligners.statistics.table_files import (
    Section,
    write_csv,
    write_latex,
    write_markdown,
)
from aligners.statistics.tables import (
    categories,
    category_sections,
    thresholds,
    win_rate_sections,
    win_rates,
)

JUDGE = "gpt-4.1-mini"
SYSTEMS = {"ethical": 0.5, "squad": 0.75, "squad-paper": 0.65}
REFERENCES = ["base", "finetuned"]
NAMES = {
    "dataset": ["my_set"],
    "llm": ["falcon-40b"],
    "backbone": ["phi-2", "gpt2-large"],
    "system": list(SYSTEMS),
    "reference": REFERENCES,
    "traced": ["gpt2-large", "phi-2"],
}
PLACES = results.THRESHOLDS.fill(judge=JUDGE).combinations(NAMES)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Comparisons of three systems with two backbones against two references."""
    root = tmp_path_factory.mktemp("judged")
    for place in PLACES:
        write_judged(root / "results/judged", JUDGE, SYSTEMS, REFERENCES, **place)
    return root


@pytest.fixture(scope="module")
def comparisons(judged: Path) -> list[Path]:
    """The files of the comparisons in the order of the configuration."""
    return [judged / path for path in results.COMPARISON.paths({**NAMES, "judge": [JUDGE]})]


@pytest.fixture(scope="module")
def directory(judged: Path) -> Path:
    """The directory of the tables that write_tables.py wrote."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(judged)
        write_tables.main(judge=JUDGE, names=json.dumps(NAMES))
    return judged / "results/tables" / JUDGE


def markdown_rows(text: str) -> list[list[str]]:
    """Return the cells of the tables' lines, without the rules under the headers."""
    lines = [line for line in text.splitlines() if line.startswith("|") and ":--" not in line]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_win_rates_have_a_column_for_each_backbone(
    directory: Path, comparisons: list[Path]
) -> None:
    header, *rows = markdown_rows((directory / "win_rates.md").read_text())
    assert header == ["dataset", "llm", "reference", "phi-2", "gpt2-large"]
    assert [row[:3] for row in rows] == [["my_set", "falcon-40b", name] for name in REFERENCES]
    [of_the_cell] = [path for path in comparisons if path.match("phi-2/squad/base/*")]
    assert rows[0][3] == rate_with_n(read_json(of_the_cell)["win_rate"])
    assert re.fullmatch(r"\d\d\.\d% \(\d\d\.\d to \d\d\.\d\), n=149", rows[0][3])


def test_the_csv_has_the_numbers_of_every_comparison(
    directory: Path, comparisons: list[Path]
) -> None:
    table = pd.read_csv(directory / "win_rates.csv")
    for path, row in zip(comparisons, table.to_dict("records"), strict=True):
        comparison = read_json(path)
        names = {field: comparison[field] for field in results.MODEL_OUTPUTS.fields}
        assert row.items() >= names.items()
        for key, column in (("value", "win_rate"), ("low", "low"), ("high", "high"), ("n", "n")):
            assert row[column] == pytest.approx(comparison["win_rate"][key], abs=1e-5)


def test_every_category_has_a_row_with_its_n(directory: Path) -> None:
    rows = markdown_rows((directory / "categories.md").read_text())
    assert len(rows) == len(REFERENCES) * (1 + len(CATEGORIES))
    assert sorted(html.unescape(row[0]) for row in rows[1:6]) == sorted(CATEGORIES.values())
    assert all(re.search(r"n=(29|30)$", cell) for row in rows[1:6] for cell in row[1:])
    table = pd.read_csv(directory / "categories.csv")
    assert len(table) == 2 * len(SYSTEMS) * len(REFERENCES) * len(CATEGORIES)
    assert table.groupby(["backbone", "system", "reference"])["n"].sum().unique() == [149]


def test_a_backbone_without_a_category_leaves_its_cell_empty() -> None:
    def comparison(backbone: str, *names: str) -> dict:
        cell = {"dataset": "d", "llm": "l", "backbone": backbone, "system": "squad"}
        rate = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 9}
        return {**cell, "reference": "base", "by_category": dict.fromkeys(names, rate)}

    [section] = category_sections(categories([comparison("a", "x", "y"), comparison("b", "x")]))
    text = "50.0% (40.0 to 60.0), n=9"
    assert section.title == "d, l against base"
    assert section.table.to_numpy().tolist() == [["x", text, text], ["y", text, "-"]]


def test_ablations_have_a_row_for_every_system(directory: Path, comparisons: list[Path]) -> None:
    header, *rows = markdown_rows((directory / "ablations.md").read_text())
    assert header == [
        *["backbone", "system", "win rate", "length controlled"],
        *["harm rate", "copy rate", "flip rate", "n"],
    ]
    systems = [[place["backbone"], system] for place in PLACES for system in SYSTEMS]
    assert [row[:2] for row in rows[: len(systems)]] == systems
    assert rows[0][4] == rate(read_json(comparisons[0])["harm_rate"]) != "-"
    assert rows[len(systems) + 1][4] == "-"  # There is no harm rate against the finetuned LLM.
    comparison = read_json(comparisons[0])
    assert rows[0][3] == rate(comparison["length_controlled"]["rate"])
    assert rows[0][6] == rate(comparison["flip_rate"])


def test_the_csv_has_the_reason_for_a_missing_length_controlled_rate(
    comparisons: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    changed = read_json(comparisons[0])
    changed["length_controlled"] = {"rate": None, "reason": "too few questions, or so"}
    write_json(results.COMPARISON.path(**changed), changed)
    place = {field: [changed[field]] for field in results.COMPARISON.fields}
    write_json(results.PAIRED_TESTS.path(**changed), [])
    write_tables.main(judge=JUDGE, names=json.dumps({**place, "traced": []}))
    tables = Path("results/tables") / JUDGE
    assert markdown_rows((tables / "ablations.md").read_text())[1][3] == "-"
    table = pd.read_csv(tables / "ablations.csv").set_index("rate")
    assert table.loc["length_controlled", "reason"] == "too few questions, or so"
    assert pd.isna(table.loc["length_controlled", "value"])
    assert table["reason"].notna().sum() == 1


def test_threshold_tables_have_the_rows_of_the_curves(directory: Path) -> None:
    rows = markdown_rows((directory / "thresholds.md").read_text())
    assert rows[2] == ["0", "85.0%", "80.0%", "70.0% (62.0 to 77.0)", "149"]
    table = pd.read_csv(directory / "thresholds.csv")
    assert table["backbone"].tolist() == ["gpt2-large"] * 2 + ["phi-2"] * 2


def test_paired_tests_show_points_and_adjusted_p(directory: Path) -> None:
    header, *rows = markdown_rows((directory / "paired_tests.md").read_text())
    assert header[:5] == ["backbone", "reference", "first", "second", "difference"]
    assert re.fullmatch(r"-\d+\.\d \(-\d+\.\d to -\d+\.\d\)", rows[0][4])
    assert rows[0][5:] == ["149", "below 0.001", "below 0.001"]
    assert pd.read_csv(directory / "paired_tests.csv")["difference"].between(-1, 1).all()


@pytest.fixture(scope="module")
def of_seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the tables of a backbone with three training seeds."""
    root = tmp_path_factory.mktemp("seeds")
    names = {**NAMES, "backbone": ["phi-2", "phi-2.seed1", "phi-2.seed9"], "traced": ["phi-2"]}
    tests = []
    for backbone, quality in zip(names["backbone"], (0.75, 0.65, 0.55), strict=True):
        systems = {**SYSTEMS, "squad": quality}
        place = {"dataset": "my_set", "llm": "falcon-40b", "backbone": backbone}
        write_judged(root / "results/judged", JUDGE, systems, REFERENCES, **place)
        path = root / results.PAIRED_TESTS.path(judge=JUDGE, **place)
        tests += read_json(path)
        write_json(path, tests)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        write_tables.main(judge=JUDGE, names=json.dumps(names))
    return root / "results/tables" / JUDGE


@pytest.mark.parametrize(
    ("table", "value", "keys"),
    [
        ("win_rates", "win_rate", ["system", "reference"]),
        ("categories", "win_rate", ["system", "reference", "category"]),
        ("ablations", "value", ["system", "reference", "rate"]),
        ("paired_tests", "difference", ["reference", "first", "second"]),
    ],
)
def test_each_estimate_has_mean_and_deviation_over_its_seeds(
    of_seeds: Path, table: str, value: str, keys: list[str]
) -> None:
    lines = pd.read_csv(of_seeds / f"{table}.csv")
    assert set(lines["backbone"]) == {"phi-2", "phi-2.seed1", "phi-2.seed9"}
    for _, group in lines.groupby(keys):
        values = group[value].dropna()
        assert len(group) == 3 and set(group["seeds"]) == {len(values)}
        if len(values):
            assert group["mean"].tolist() == pytest.approx([values.mean()] * 3, abs=1e-5)
            assert group["sd"].tolist() == pytest.approx([values.std(ddof=1)] * 3, abs=1e-5)


def test_a_text_has_the_first_seed_with_its_interval_beside_the_mean(of_seeds: Path) -> None:
    header, row, _ = markdown_rows((of_seeds / "win_rates.md").read_text())
    assert header[3:] == ["phi-2"]
    estimate = r"\d\d\.\d% \(\d\d\.\d to \d\d\.\d\)"
    assert re.fullmatch(rf"{estimate}, n=149; 3 seeds: \d\d\.\d% ± \d+\.\d", row[3])
    rows = markdown_rows((of_seeds / "ablations.md").read_text())
    assert [row[:2] for row in rows[1:4]] == [["phi-2", system] for system in SYSTEMS]
    assert re.fullmatch(rf"{estimate}; 3 seeds: \d\d\.\d% ± \d+\.\d", rows[1][2])


def test_a_paired_test_of_each_seed_has_a_row(of_seeds: Path) -> None:
    header, *rows = markdown_rows((of_seeds / "paired_tests.md").read_text())
    assert header[4:6] == ["difference", "over seeds"]
    assert len(rows) == 3 * len(REFERENCES) * 3
    assert all(re.fullmatch(r"[+-]\d+\.\d ± \d+\.\d", row[5]) for row in rows)


def test_tables_of_one_seed_have_no_columns_of_seeds(directory: Path) -> None:
    for path in directory.glob("*.csv"):
        assert not {"mean", "sd", "seeds"} & set(pd.read_csv(path).columns), path
    assert "seed" not in (directory / "win_rates.md").read_text()


def test_latex_tables_use_booktabs_and_escape_special_characters(directory: Path) -> None:
    paths = list(directory.glob("*.tex"))
    assert len(paths) == 5
    for path in paths:
        lines = [line for line in path.read_text().splitlines() if not line.startswith("%")]
        text = "\n".join(lines)
        assert text.count(r"\toprule") == text.count(r"\end{table}") > 0
        assert not re.search(r"(?<!\\)[_%#$]|<", text), path
        for line in lines:
            columns = re.search(r"\\begin\{tabular\}\{(l+)\}", line)
            width = len(columns.group(1)) if columns else None
            if width:
                expected = width
            elif line.endswith(r"\\") and "caption" not in line:
                assert len(re.findall(r"(?<!\\)&", line)) == expected - 1, line
    assert r"my\_set, falcon-40b against base" in (directory / "categories.tex").read_text()
    assert r"R\&D 100\%" in (directory / "categories.tex").read_text()


@pytest.mark.parametrize(
    ("name", "markdown", "latex"),
    [
        ("a|b", r"a\|b", "a|b"),
        ("a\\", r"a\\", r"a\textbackslash{}"),
        ("one\n\n two\r\n## three", "one two ## three", r"one two \#\# three"),
        ("<img src=x> &lt;", "&lt;img src=x&gt; &amp;lt;", r"<img src=x> \&lt;"),
        ("[a](b) *c* `d`", r"\[a\](b) \*c\* \`d\`", "{[}a{]}(b) {*}c{*} `d`"),
        (r"\input{x} %_^~$#", r"\\input{x} %_^~$#", r"\textbackslash{}input\{x\} \%\_"
         r"\textasciicircum{}\textasciitilde{}\$\#"),
        ("\u202ea\x1b[2J", r"\\u202ea\\x1b\[2J", r"\textbackslash{}u202ea"
         r"\textbackslash{}x1b{[}2J"),
    ],
)  # fmt: skip
def test_a_name_stays_text_within_its_cell(
    tmp_path: Path, name: str, markdown: str, latex: str
) -> None:
    section = Section(name, pd.DataFrame({"category": [name], name: ["-"]}))
    write_markdown(tmp_path / "table.md", "t", "n", [section])
    text = (tmp_path / "table.md").read_text()
    assert markdown_rows(text) == [["category", markdown], [markdown, "-"]]
    assert f"\n## {markdown}\n" in text
    write_latex(tmp_path / "table.tex", "t", [section])
    text = (tmp_path / "table.tex").read_text()
    assert f"\n{latex} & - \\\\\n" in text
    assert f"\ncategory & {latex} \\\\\n" in text
    assert f"\\caption{{t: {latex}}}" in text


def test_no_text_of_a_csv_is_a_formula(tmp_path: Path) -> None:
    changed = ["=1+1", "+1", "-1", "@x", "\t=1", "\n=1", "＝1"]
    unchanged = ["'=1", "a=1", "a\nb", "", 'a,"b']
    table = pd.DataFrame(
        {"text": [*changed, *unchanged], "number": [-0.25, None, *[-3.0] * 10], "n": -1}
    )
    write_csv(tmp_path / "table.csv", table)
    read = pd.read_csv(tmp_path / "table.csv", keep_default_na=False, na_values={"number": [""]})
    assert read["text"].tolist() == [f"'{text}" for text in changed] + unchanged
    assert read["number"].tolist() == pytest.approx(table["number"].tolist(), nan_ok=True)
    assert read["n"].tolist() == table["n"].tolist()
    assert "\n'+1,,-1\n" in (tmp_path / "table.csv").read_text()


def test_a_carriage_return_does_not_end_a_row_of_a_csv(tmp_path: Path) -> None:
    write_csv(tmp_path / "table.csv", pd.DataFrame({"text": ["\r=1", "a\r\nb\rc"], "n": 1}))
    assert (tmp_path / "table.csv").read_bytes() == b'text,n\n"\'\n=1",1\n"a\nb\nc",1\n'


def test_without_comparisons_the_tables_are_empty(tmp_path: Path) -> None:
    assert win_rate_sections(win_rates([])) == []
    assert thresholds([]).empty
    write_markdown(tmp_path / "t.md", "Win rates", "Notes.", [])
    text = (tmp_path / "t.md").read_text()
    assert "no such comparison" in text and markdown_rows(text) == []


# The rule


def test_without_judges_the_list_of_tables_is_empty(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    config = project / MINIATURE
    if "judges" in read_yaml(config):
        set_keys(str(config), judges=[])
    run_snakemake(project, "results/tables/all")
    assert (project / "results/tables/all").read_text() == ""
