"""A hook of mkdocs.yml: links that lead out of docs/ work on the site as they do on GitHub."""

from xml.etree.ElementTree import Element

from markdown import Markdown
from markdown.extensions import Extension
from markdown.treeprocessors import Treeprocessor
from mkdocs.config.defaults import MkDocsConfig

# Pages of the site that include a file of the repository.
INCLUDED = {"config/README.md": "configuration.md"}
# After links are parsed (20), before MkDocs checks them (0).
PRIORITY = 10


def on_config(config: MkDocsConfig) -> None:
    """Add the extension, with the repository's address where mkdocs.yml names one."""
    config.markdown_extensions.append(RepositoryLinks(config.repo_url))


class RepositoryLinks(Extension):
    """Registers the treeprocessor for each page."""

    def __init__(self, repository: str | None):
        super().__init__()
        self.repository = repository

    def extendMarkdown(self, md: Markdown) -> None:
        """Called by Markdown."""
        md.treeprocessors.register(LinkRewriter(md, self.repository), "repository_links", PRIORITY)


class LinkRewriter(Treeprocessor):
    """Rewrites the links of a page that begin with `../`: all pages lie in docs/ itself."""

    def __init__(self, md: Markdown, repository: str | None):
        super().__init__(md)
        self.repository = repository

    def run(self, root: Element) -> None:
        """Called by Markdown with the parsed page."""
        for link in root.iter("a"):
            address = link.get("href", "")
            if address.startswith("../"):
                self.rewrite(link, address.removeprefix("../"))

    def rewrite(self, link: Element, address: str) -> None:
        """Lead a link to a page of the site, else to the repository, else nowhere."""
        path, mark, anchor = address.partition("#")
        # config/README.md, which a page includes, names the other pages as ../docs/page.md.
        page = INCLUDED.get(path) or path.removeprefix("docs/")
        if page != path:
            link.set("href", page + mark + anchor)
        elif self.repository:
            link.set("href", f"{self.repository.rstrip('/')}/blob/main/{address}")
        else:
            link.tag = "span"
            link.attrib.clear()
