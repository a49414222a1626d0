"""The page at `/`, on which a person tries the squad."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from aligners.correction import trace
from aligners.serving import reasons

AFFECTS_RESULTS = False

PAGE = Path(__file__).with_name("page.html")
SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


@dataclass(frozen=True)
class Page:
    """The page, and the headers that it is sent with."""

    html: str
    headers: Mapping[str, str]


@cache
def render_page() -> Page:
    """Return the page, with what the names of reasons mean.

    Its headers let a browser run the page's own script alone, send requests to this server alone,
    and show the page in no frame.
    """
    # "<" would begin a tag, such as one that ends the element of the words.
    inserted = json.dumps({**trace.WORDS, **reasons.WORDS}).replace("<", "\\u003c")
    html = PAGE.read_text(encoding="utf-8").replace("{{words}}", inserted)
    [script] = SCRIPT.findall(html)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    headers = {
        "content-security-policy": policy,
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "cache-control": "no-cache",
    }
    return Page(html, headers)
