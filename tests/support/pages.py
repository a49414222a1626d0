"""The pages of the documentation, taken apart: blocks, links, code spans and tables."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token
from projects import ROOT

COMMANDS = "sh"
# Shown and not run: it has a <placeholder>.
TEMPLATE = "sh template"
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "config/README.md",
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")),
]


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: what stands behind the opening fence, without a title.
        title: of `title="config/llms/own.yaml"`, the file that the block shows; else empty.
        line: number of its first line in the page, from 1.
    """

    page: str
    language: str
    title: str
    line: int
    text: str


@dataclass(frozen=True)
class Table:
    """A table: its column titles, and its cells as written, row by row."""

    columns: list[str]
    rows: list[list[str]]

    def column(self, title: str) -> list[str]:
        """Return the cells of a column."""
        place = self.columns.index(title)
        return [row[place] for row in self.rows]


def read_page(page: str) -> str:
    """Return the text of a page, named from the project's root."""
    return (ROOT / page).read_text(encoding="utf-8")


@cache
def tokens(page: str) -> list[Token]:
    """Return the parsed page."""
    return MarkdownIt("commonmark").enable("table").parse(read_page(page))


def blocks(page: str, language: str | None = None) -> list[Block]:
    """Return the fenced blocks of a page, all or those of a language, in order."""
    found = []
    for token in tokens(page):
        if token.type == "fence" and token.map:
            title = re.search(r'title="(.*?)"', token.info)
            name = re.sub(r'\s*title=".*?"', "", token.info).strip()
            found.append(
                Block(page, name, title[1] if title else "", token.map[0] + 2, token.content)
            )
    return [block for block in found if language in (None, block.language)]


def inline(page: str, kind: str) -> Iterator[Token]:
    """Yield the parts of a kind in the running text of a page, tables included."""
    for token in tokens(page):
        yield from (part for part in token.children or [] if part.type == kind)


def code_spans(page: str) -> list[str]:
    """Return what stands in backticks in the running text of a page."""
    return [token.content for token in inline(page, "code_inline")]


def links(page: str) -> list[str]:
    """Return the addresses of the links and images of a page."""
    linked = [str(token.attrs["href"]) for token in inline(page, "link_open")]
    return linked + [str(token.attrs["src"]) for token in inline(page, "image")]


def anchors(page: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and mkdocs.yml make them."""
    parsed = tokens(page)
    headings = [
        "".join(part.content for part in following.children or [])
        for token, following in pairwise(parsed)
        if token.type == "heading_open"
    ]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def tables(page: str) -> list[Table]:
    """Return the tables of a page."""
    found: list[Table] = []
    parsed = tokens(page)
    for token, following in pairwise(parsed):
        if token.type == "table_open":
            found.append(Table([], []))
        elif token.type == "tr_open" and found[-1].columns:
            found[-1].rows.append([])
        elif token.type == "th_open":
            found[-1].columns.append(following.content)
        elif token.type == "td_open":
            found[-1].rows[-1].append(following.content)
    return found
