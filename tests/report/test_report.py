"""The report: the contents of the page, escaped texts, and the display in a real browser."""

import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import draw_figures
import pytest
from projects import make_project
from report_results import CRITERIA, EVIL, SHOWN, make_page, write_results, write_second_seed
from turns import make_turn

from aligners.configuration.experiment import SECTIONS
from aligners.configuration.kinds.config import Config
from aligners.configuration.recipes import read_recipe
from aligners.core.formats import is_hidden
from aligners.report.figures.aligners import draw_losses
from aligners.report.figures.inspectors import draw_inspector
from aligners.report.figures.svg import new_figure, save_svg
from aligners.report.squad import rejected_first, turns_by_criterion

CHROMIUM = shutil.which("chromium")
# Criteria x (data, inspectors, aligners) + squad + truth; references x 2 + thresholds
FIGURES, JUDGED_FIGURES = 2 * (2 + 3 + 1) + 1 + 1, 2 * 2 + 1


# The smallest font size of all texts in figures, in pixels on the screen.
SMALLEST_TEXT = """Math.min(...[...document.querySelectorAll("figure svg text")].map((text) => {
  const svg = text.ownerSVGElement;
  const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
  return parseFloat(getComputedStyle(text).fontSize) * scale;
}))"""


class Page(HTMLParser):
    """The texts of a page by element, its ids, and the external sources that it names."""

    def __init__(self, html: str):
        super().__init__()
        self.open: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.ids: list[str] = []
        self.sources: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(str(value))
            if name in ("src", "href", "xlink:href") and not str(value).startswith("#"):
                self.sources.append(str(value))

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """The complete page, one of two seeds, and one without judges, benchmarks and usage files."""
    made = {}
    with pytest.MonkeyPatch.context() as patch:
        for name, everything in {"all": True, "seeds": True, "least": False}.items():
            project = make_project(tmp_path_factory.mktemp(name))
            patch.chdir(project)
            read_recipe.cache_clear()
            write_results(by_products=everything)
            seeds = [0, 1] if name == "seeds" else [0]
            if name == "seeds":
                write_second_seed()
            made[name] = project / make_page(judged=everything, seeds=seeds)
    yield made
    read_recipe.cache_clear()


def text_of(html: str) -> str:
    """Return the text of a page, with white space normalised."""
    return re.sub(r"\s+", " ", " ".join(t for texts in Page(html).texts.values() for t in texts))


def rows_of(html: str, caption: str) -> list[list[str]]:
    """Return the rows of the table with this caption, as lists of cells."""
    table = html.split(f"<caption>{caption}</caption>")[1].split("</table>")[0]
    rows = re.findall(r"<tr.*?</tr>", table, re.DOTALL)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]
    return [[re.sub(r"\s+", " ", cell).strip() for cell in row] for row in cells]


def test_sections_come_in_order(pages: dict[str, Path]) -> None:
    titles = Page(pages["all"].read_text()).texts["h2"]
    assert titles == [
        "Overview", "Data", "Inspectors", "Aligners", "Squad", "Comparisons",
        "Costs and times", "Provenance",
    ]  # fmt: skip


def test_counts_and_reasons_are_listed_by_step(pages: dict[str, Path]) -> None:
    html = pages["all"].read_text()
    steps = rows_of(html, "Rows by step: ethical")
    assert ["pairs filtered", "4", "3", "1", "0", "markup&nbsp;1", "–"] in steps
    assert ["aligner set", "5", "3", "0", "2", "over_limit&nbsp;2", "–"] in steps
    sizes = rows_of(html, "Rows of the training, validation and test sets")
    assert ["ethical", "aligner", "3", "1", "1"] in sizes


def test_the_harm_of_each_system_is_in_the_overview(pages: dict[str, Path]) -> None:
    html = pages["all"].read_text()
    overview = html[html.index('<section id="run"') : html.index('<section id="data"')]
    for facts in ("known", "unknown"):
        caption = re.search(f"Harm to answers of [^<]+, {facts} facts", overview)
        assert caption
        [_, squad] = rows_of(overview, caption[0])
        assert squad[0] == "squad" and len(squad) == 2 + len(CRITERIA)
        assert "50.0% (40.0 to 60.0)" in squad[1]


def test_texts_from_results_are_escaped(pages: dict[str, Path]) -> None:
    """Responses, dropped rows and names of categories contain markup."""
    html = pages["all"].read_text()
    assert html.count("<script>") == 1
    page = Page(html)
    assert not any("taken over" in text for text in page.texts["script"])
    assert sum(EVIL in text for texts in page.texts.values() for text in texts) >= 3


def test_hidden_characters_are_shown(pages: dict[str, Path]) -> None:
    """Texts of rows, names of categories in tables and figures, and corrections have some."""
    html = pages["all"].read_text()
    assert [character for character in set(html) if is_hidden(character)] == ["\n"]
    for part in (
        f'<dd dir="auto">It is wrong. {SHOWN}</dd>',
        f'<div dir="auto">{SHOWN}</div>',
        f'<td dir="auto">{SHOWN}</td>',
        f'<td data-label="correction" dir="auto">Then. <ins>{SHOWN}</ins></td>',
        f">{SHOWN[:25]}… (3)</text>",
    ):
        assert part in html, part


def test_changed_words_are_marked(pages: dict[str, Path]) -> None:
    html = pages["all"].read_text()
    assert "It is <del>Mars.</del>" in html and "It is <ins>Venus.</ins>" in html


def test_the_page_loads_no_other_file_and_its_ids_are_unique(pages: dict[str, Path]) -> None:
    page = Page(pages["all"].read_text())
    assert page.sources == []
    assert len(page.ids) == len(set(page.ids)) > 0


def test_turns_are_counted_by_response() -> None:
    scores = {"ethical": 0.2, "helpful": 0.4}
    accepted = make_turn("helpful", scores, {"helpful": 0.6})
    rejected = make_turn("helpful", scores, {"helpful": 0.1}, "rose_too_little")
    unscored = make_turn("helpful", scores, None, "loops")
    traces = [[rejected, accepted], [rejected], [unscored], [], []]
    ethical, helpful = turns_by_criterion([{"scores": scores, "trace": each} for each in traces])
    assert ethical["idle"] == 5 and ethical["before"] is None
    assert (helpful["kept"], helpful["rejected"], helpful["idle"]) == (1, 2, 2)
    assert helpful["before"] == pytest.approx(0.4)
    assert helpful["after"] == pytest.approx((0.1 + 0.6 + 0.1) / 3)


def test_reasons_of_turns_and_of_rows_without_turns_are_counted(pages: dict[str, Path]) -> None:
    rows = rows_of(pages["all"].read_text(), "Reasons of the decisions")
    assert [(row[0], *row[2:]) for row in rows[2:]] == [
        ("<code>accepted</code>", "1", "0"),
        ("<code>rose_too_little</code>", "1", "0"),
        ("<code>above_threshold</code>", "0", "1"),
    ]


def test_rows_with_a_rejected_turn_are_shown_first() -> None:
    rows = [{"id": f"{number}", "trace": [{"accepted": number != 7}]} for number in range(9)]
    shown = rejected_first(rows, 3, seed=0)
    assert shown[0]["id"] == "7" and len(shown) == 3 and len({row["id"] for row in shown}) == 3


def test_win_rates_have_intervals_or_reasons(pages: dict[str, Path]) -> None:
    html = pages["all"].read_text()
    caption = "Win rates: synthetic_mixed, closed-world-base, judge closed-world"
    _, against, ethical, _, squad, *_ = rows_of(html, caption)
    assert against == ["<span>against base, gpt2-miniature</span>"]
    # 3 wins, 2 ties (one by a flip), 2 losses, 1 unusable.
    assert ethical[1].startswith("57.1% (") and ethical[1].endswith(", n = 7</small>")
    assert ethical[3:] == ["–", "3 / 2 / 2", "1"] and squad[3:5] == ["61.2% ± 1.3", "5 / 2 / 0"]
    assert ethical[2].startswith("none: ")
    tests = rows_of(html, "Paired tests: synthetic_mixed, closed-world-base, judge closed-world")
    assert tests[2][:2] == ["ethical", "squad"] and tests[2][2].startswith("-28.6 (")


def test_the_accuracy_of_an_inspector_has_an_interval(pages: dict[str, Path]) -> None:
    row = rows_of(pages["all"].read_text(), "Inspectors on test rows")[1]
    # Wilson's interval for 5 of 6 rows.
    assert row[:3] == ["ethical", "bert-miniature", "83.3% (43.6 to 97.0)<small>, n = 6</small>"]


def test_figures_over_training_seeds_have_tables_of_their_own(pages: dict[str, Path]) -> None:
    html = pages["seeds"].read_text()
    inspectors = rows_of(html, "Inspectors over training seeds")
    # 5 and 3 of 6 rows are right.
    assert inspectors[1] == [
        *["ethical", "bert-miniature", "66.7% ± 23.6", "0.875 ± 0.000", "0.200 ± 0.000", "2"]
    ]
    truth = rows_of(html, "Clean answers of closed-world-base over training seeds")
    assert truth[1:] == [["squad", *["75.0% ± 5.0"] * 4, "2"]]
    names = "synthetic_mixed, closed-world-base, judge closed-world"
    rates = rows_of(html, f"Over training seeds: {names}")
    assert len(rates) == 1 + 3 * 2
    # A win rate of 57.1% and one of 50%; no rate at equal length.
    assert rates[1][:5] == ["ethical", "gpt2-miniature", "base", "53.6% ± 5.1", "–"]
    assert rates[1][-1] == "2"
    opponents = [row[0] for row in rows_of(html, f"Win rates: {names}") if len(row) == 1]
    assert "<span>against base, gpt2-miniature.seed1</span>" in opponents


def test_a_page_of_one_seed_has_no_tables_of_seeds(pages: dict[str, Path]) -> None:
    assert "training seed" not in pages["all"].read_text()


def test_times_and_costs_are_added_up(pages: dict[str, Path]) -> None:
    html = pages["all"].read_text()
    times = rows_of(html, "Time and memory by rule")
    # Without the job of the earlier run.
    assert [row[0] for row in times] == ["rule", "train_aligner", "list_stage"]
    assert times[1][2] == "1.3 min" and times[1][6] == "800 MiB"
    usage = rows_of(html, "Completions of LLMs")
    # Without the shards of the pairs; those of the first responses are not gathered.
    llms = ["synthetic/ethical/pairs", "synthetic/ethical/responses/llm.5"]
    assert [row[0] for row in usage] == ["rows", *llms]
    assert [row[1] for row in usage[1:]] == ["10", "20"]
    assert "3.75 EUR" in text_of(html)


def test_provenance_lists_checksums_versions_and_recipes(pages: dict[str, Path]) -> None:
    text = text_of(pages["all"].read_text())
    for part in ("0" * 64, "torch 2.13.0", "config/backbones/gpt2-miniature.yaml", "squad.jsonl",
                 "resources/criteria/ethical/principles.yaml"):  # fmt: skip
        assert part in text


def test_a_page_without_judges_and_benchmarks_shows_how_to_get_them(
    pages: dict[str, Path],
) -> None:
    text = text_of(pages["least"].read_text())
    assert "config/judges/" in text and "snakemake results/judged/all" in text
    assert "logs/" in text
    assert "Win rates:" not in text and "Time and memory by rule" not in text


def test_a_section_without_figures_has_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Snakemake expects all five directories, even without squads and judges."""
    monkeypatch.chdir(tmp_path)
    kinds = ("criteria", "systems", "external", "backbones", "datasets", "inspectors", "judges")
    empty = Config.model_construct(teacher="falcon-40b", llms=[], **{kind: [] for kind in kinds})
    monkeypatch.setattr(Config, "model_validate_json", lambda _: empty)
    draw_figures.main(configuration="")
    assert {path.name for path in Path("results/figures").iterdir()} == set(SECTIONS)


def test_thresholds_are_described_in_percent(pages: dict[str, Path]) -> None:
    [path] = pages["all"].parent.glob("figures/comparisons/**/thresholds.svg")
    assert re.findall(r"([\d.]+)%, ([\d.]+)%", path.read_text()) == [
        ("50.0", "0.0"),
        ("70.0", "100.0"),
    ]


@pytest.mark.parametrize("losses", [[2.5, 2.1, 1.6, 1.2], [3.0, 1.0, 0.5, 0.25]])
def test_the_axis_of_losses_has_labels(losses: list[float], tmp_path: Path) -> None:
    entries = [{"step": step, "train_loss": loss} for step, loss in enumerate(losses)]
    draw_losses(entries, "an aligner", tmp_path / "losses.svg")
    axis = (tmp_path / "losses.svg").read_text().split('matplotlib.axis_2"')[1]
    labels = re.findall(r">([\d.]+)</text>", axis.split("patch_")[0])
    assert len(labels) >= 3


def test_a_figure_has_the_colour_of_the_page_and_escaped_texts(tmp_path: Path) -> None:
    figure, axes = new_figure(2)
    axes.set(xlabel=EVIL, title=r"50 $ or 60 $")
    save_svg(figure, tmp_path / "roc.svg", EVIL, EVIL)
    svg = (tmp_path / "roc.svg").read_text()
    assert "<script" not in svg and svg.count("taken over") == 3
    assert "50 $ or 60 $" in svg  # Not read as a formula.
    assert "currentColor" in svg and "#010203" not in svg
    assert svg.startswith("<svg") and 'role="img"' in svg


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium")
@pytest.mark.parametrize("name", ["all", "least"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_every_figure(
    pages: dict[str, Path], scheme: str, width: int, name: str
) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        messages: list[str] = []
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.goto(pages[name].as_uri())
        page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
        assert page.evaluate(SMALLEST_TEXT) >= 9
        ink = page.locator("figure svg text").first.evaluate("text => getComputedStyle(text).fill")
        assert ink == {"light": "rgb(27, 31, 36)", "dark": "rgb(230, 233, 237)"}[scheme]
        figures = page.locator("figure svg")
        assert figures.count() == FIGURES + (JUDGED_FIGURES if name == "all" else 0)
        for figure in figures.all():
            box = figure.bounding_box()
            assert figure.is_visible() and box
            assert min(width, 1280) * 0.2 < box["width"] <= width and box["height"] > 80
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        shown = page.locator("#answers tr[data-kinds]:visible")
        assert shown.count() == 3
        page.get_by_label("Search").fill("nobody who")
        assert shown.count() == 1
        page.get_by_label("Search").fill("")
        page.get_by_label("Show").select_option("rejected")
        assert "Where?" in shown.inner_text() and "Over there." in shown.inner_text()
        if name == "all":
            page.get_by_label("Show").select_option("worse")
            assert shown.count() == 1 and "Who?" in shown.inner_text()
        page.get_by_label("Search").fill("nothing has this")
        assert page.locator("#answers tbody:visible").count() == 0
        assert page.title() == "miniature: report of Aligners"
        browser.close()
    assert messages == []


def test_each_bin_of_a_reliability_diagram_shows_its_number_of_rows(tmp_path: Path) -> None:
    scores = [0.05] * 111 + [0.11] * 22 + [0.97] * 333
    rows = [{"label": round(score), "score": score} for score in scores]
    draw_inspector(rows, 0.5, "an inspector", tmp_path)
    texts = re.findall(r">(\d+)</text>", (tmp_path / "reliability.svg").read_text())
    assert texts == ["111", "22", "333"]


def test_every_criterion_has_its_figures(pages: dict[str, Path]) -> None:
    directory = pages["all"].parent / "figures"
    for criterion in CRITERIA:
        for name in ("roc", "reliability", "confusion"):
            assert (directory / f"inspectors/bert-miniature/{criterion}/{name}.svg").is_file()
    assert len(list(directory.rglob("*.svg"))) == FIGURES + JUDGED_FIGURES
