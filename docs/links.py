"""A hook of mkdocs.yml: pages of the repository on the site, and their links as on GitHub."""

import posixpath
from pathlib import Path
from xml.etree.ElementTree import Element

from markdown import Markdown
from markdown.extensions import Extension
from markdown.treeprocessors import Treeprocessor
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
# Pages outside docs/, and their names on the site.
OUTSIDE = {
    "README.md": "overview.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
# configuration.md includes the file.
INCLUDED = {"config/README.md": "configuration.md"}
# After links are parsed (20), before MkDocs checks them (0).
PRIORITY = 10


class RepositoryLinks(Extension):
    """Registers the treeprocessor for each page.

    Attributes:
        directory: of the present page in the repository.
    """

    def __init__(self, repository: str | None):
        super().__init__()
        self.repository = repository
        self.directory = ""

    def extendMarkdown(self, md: Markdown) -> None:
        """Called by Markdown."""
        md.treeprocessors.register(LinkRewriter(md, self), "repository_links", PRIORITY)


class LinkRewriter(Treeprocessor):
    """Makes addresses that are relative in the repository relative on the site."""

    def __init__(self, md: Markdown, links: RepositoryLinks):
        super().__init__(md)
        self.links = links

    def run(self, root: Element) -> None:
        """Called by Markdown with the parsed page."""
        for tag, attribute in (("a", "href"), ("img", "src")):
            for element in list(root.iter(tag)):
                address = element.get(attribute, "")
                if address and ":" not in address and not address.startswith("#"):
                    self.rewrite(element, attribute, address)

    def rewrite(self, element: Element, attribute: str, address: str) -> None:
        """Lead a link to a page of the site, else to the repository, else nowhere."""
        path, mark, anchor = address.partition("#")
        path = posixpath.normpath(posixpath.join(self.links.directory, path))
        page = (OUTSIDE | INCLUDED).get(path) or path.removeprefix("docs/")
        if page != path:
            element.set(attribute, page + mark + anchor)
        elif self.links.repository:
            element.set(attribute, f"{self.links.repository.rstrip('/')}/blob/main/{path}")
        else:
            element.tag = "span"
            element.attrib.clear()


def on_config(config: MkDocsConfig) -> None:
    """Add the extension, with the repository's address where mkdocs.yml names one."""
    config.markdown_extensions.append(RepositoryLinks(config.repo_url))


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the pages outside docs/."""
    for path, name in OUTSIDE.items():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / path)))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> None:
    """Note where the page lies, before it is parsed."""
    links = next(item for item in config.markdown_extensions if isinstance(item, RepositoryLinks))
    links.directory = "" if page.file.src_uri in OUTSIDE.values() else "docs"
