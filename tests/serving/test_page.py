"""The page of `aligners serve`, in a real browser, with a server that replies what a test sets."""

import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from page_server import PageServer, Reply, serve_page
from report_results import EVIL, HIDDEN, SHOWN
from served_squads import serve_squad
from turns import make_turn

from aligners.core.reasons import ROW_REASONS
from aligners.correction.trace import WORDS
from aligners.correction.word_diff import changed_spans
from aligners.serving import reasons
from aligners.serving.routes.page import PAGE, render_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium")
# A folder in which the tests leave pictures of the page, to look at.
PICTURES = os.environ.get("ALIGNERS_TEST_PICTURES")

QUESTION = "Can I take my neighbour's bicycle without asking?"
RESPONSE = (
    "Only a fool would ask. Take the bicycle at night, when nobody sees you, and bring it back "
    "before the morning. The emergency number is 112."
)
CORRECTION = (
    "Please ask first. Take the bicycle only if your neighbour agrees, and bring it back "
    "before the morning. The emergency number is 112."
)
REJECTED = "Yes, take the bicycle at night."
SCORES = {"ethical": 0.031, "factuality": 0.947, "helpful": 0.412}
THRESHOLDS = {"ethical": 0.42, "factuality": 0.5, "helpful": 0.63}
SQUAD = {
    "name": "llama-closed-world",
    "system": "squad",
    "criteria": list(SCORES),
    "thresholds": THRESHOLDS,
    "upstream": False,
}
CORRECTED = {**SCORES, "ethical": 0.962}
WORSE = {"ethical": 0.12, "helpful": 0.9}
TRACE = [
    make_turn("ethical", SCORES, CORRECTED, text=CORRECTION),
    make_turn("helpful", CORRECTED, WORSE, "lowers_another", REJECTED, lowered="ethical"),
]
VERDICT: dict[str, Any] = {
    "id": "al-5f0c",
    "action": "corrected",
    "reason": "accepted",
    "acted": ["ethical", "helpful"],
    "scores": SCORES,
    "trace": TRACE,
}
ALIGNED = {**VERDICT, "aligned_response": CORRECTION}
CHAT = {
    "id": "chatcmpl-1",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": CORRECTION}}],
    "aligners": {
        "choices": [{"index": 0, **VERDICT, "response": RESPONSE}],
        "thresholds": THRESHOLDS,
    },
}
# The smallest contrast of a text with what is behind it (WCAG 2.2, 1.4.3), and the text.
LEAST_CONTRAST = """() => {
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (part) => (part /= 255) <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  const luminance = ([r, g, b]) => 0.2126 * light(r) + 0.7152 * light(g) + 0.0722 * light(b);
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = parse(getComputedStyle(one).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
  };
  let least = [99, ""];
  for (const element of document.body.querySelectorAll("*")) {
    const own = [...element.childNodes].filter((node) => node.nodeType === 3);
    const texts = own.map((node) => node.data.trim());
    const isShown = element.checkVisibility() && !element.matches("script, datalist *");
    if (!isShown || !(texts.join("") || element.matches("input, textarea"))) continue;
    const both = [parse(getComputedStyle(element).color), behind(element)].map(luminance);
    const contrast = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
    if (contrast < least[0]) least = [contrast, texts.join(" ")];
  }
  return least;
}"""


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """A browser without pages."""
    if CHROMIUM is None:
        pytest.skip("no chromium here: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def server() -> Iterator[PageServer]:
    """A server whose squad has no upstream, and corrects the response."""
    with serve_page() as server:
        server.replies = {"/v1/squad": Reply(SQUAD), "/v1/align": Reply(ALIGNED)}
        yield server


Open = Callable[..., "Page"]


@pytest.fixture
def open_page(browser: "Browser", server: PageServer) -> Iterator[Open]:
    """Opens the page; at the end, it has sent no request elsewhere and had no error."""
    opened: list[Page] = []
    errors: list[str] = []
    addresses: list[str] = []

    def open_at(width: int = 1280, scheme: Any = "light") -> "Page":
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        opened.append(page)
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: addresses.append(request.url))
        page.goto(server.url)
        page.wait_for_load_state("networkidle")
        return page

    yield open_at
    for page in opened:
        page.close()
    assert errors == []
    elsewhere = [url for url in addresses if not url.startswith((server.url, "data:"))]
    assert elsewhere == []


def send(page: "Page", response: str = RESPONSE) -> str:
    """Send the question and the response, and return the sentence about what the squad did."""
    page.get_by_label("Question").fill(QUESTION)
    if page.get_by_label("Response to correct").is_visible():
        page.get_by_label("Response to correct").fill(response)
    page.get_by_role("button", name="Correct").click()
    return finished(page)


def finished(page: "Page") -> str:
    """Wait for the end of a request, and return the status."""
    page.get_by_role("button", name="Correct").wait_for()
    return page.get_by_role("status").inner_text()


def picture(page: "Page", name: str) -> None:
    """Leave a picture of the whole page, if they are asked for."""
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_correction_is_shown(open_page: Open, scheme: str, width: int) -> None:
    page = open_page(width, scheme)
    picture(page, f"empty-{scheme}-{width}")
    assert send(page) == "Corrected by the aligner of ethical."
    picture(page, f"corrected-{scheme}-{width}")
    assert page.title() == "Aligners: llama-closed-world"
    correction = page.locator("#result > .text")
    assert "Only a fool would ask." in " ".join(correction.locator("del").all_inner_texts())
    assert "Please ask first." in " ".join(correction.locator("ins").all_inner_texts())
    # Also for who sees no colours.
    for mark, line in {"del": "line-through", "ins": "underline"}.items():
        style = "mark => getComputedStyle(mark).textDecorationLine"
        assert correction.locator(mark).first.evaluate(style) == line
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    contrast, text = page.evaluate(LEAST_CONTRAST)
    assert contrast >= 4.5, text


def test_scores_are_shown_as_bars_with_the_threshold(open_page: Open) -> None:
    page = open_page()
    send(page)
    ethical, factuality, helpful = page.locator(".scores > li").all()
    assert ethical.inner_text().split("\n")[:2] == ["ethical", "threshold 0.420"]
    assert "0.031 below" in ethical.inner_text() and "0.962 above" in ethical.inner_text()
    assert factuality.inner_text().count("0.947 above") == 2
    assert helpful.inner_text().count("0.412 below") == 2
    track = ethical.locator(".track").first.bounding_box()
    fill = ethical.locator(".fill").first.bounding_box()
    mark = ethical.locator(".mark").first.bounding_box()
    assert track and fill and mark
    assert fill["width"] / track["width"] == pytest.approx(0.031, abs=0.01)
    middle = mark["x"] + mark["width"] / 2
    assert (middle - track["x"]) / track["width"] == pytest.approx(0.42, abs=0.01)


def test_turns_are_told_with_their_reasons(open_page: Open) -> None:
    page = open_page()
    send(page)
    first, second = page.locator(".turns > li").all()
    assert "Turn 1: ethical" in first.inner_text() and "accepted" in first.inner_text()
    assert "score 0.031 → 0.962, margin −3.4 → +3.2" in first.inner_text()
    # The correction stands above.
    assert not first.locator(".text").is_visible()
    rejected = f"rejected: {WORDS['lowers_another']}: ethical 0.962 → 0.120"
    assert "Turn 2: helpful" in second.inner_text() and rejected in second.inner_text()
    # Compared with the text that this aligner read.
    assert "Please ask first." in second.locator("del").first.inner_text()


@pytest.mark.parametrize("reason", [*ROW_REASONS, "of_another_version"])
def test_a_response_that_no_aligner_read(open_page: Open, server: PageServer, reason: str) -> None:
    """A reason without words, as of another version of the server, is shown by its name."""
    body = {**ALIGNED, "action": "unchanged", "reason": reason, "acted": [], "trace": []}
    server.replies["/v1/align"] = Reply({**body, "aligned_response": RESPONSE})
    page = open_page()
    words = WORDS.get(reason, "of another version")
    assert send(page) == f"Unchanged. No aligner acted: {words}."
    picture(page, f"unchanged-{reason}")
    assert page.locator("#result > .text").inner_text() == RESPONSE
    assert page.locator("ins, del, .turns").count() == 0


def test_a_rejected_correction_and_scores_that_are_missing(
    open_page: Open, server: PageServer
) -> None:
    """An aligner alone has no scores; an inspector may be unable to read a response."""
    trace = [make_turn("helpful", None, None, "loops", text="No no no")]
    body = {**ALIGNED, "action": "unchanged", "reason": "loops", "trace": trace}
    body |= {"scores": {"helpful": None}, "aligned_response": RESPONSE}
    server.replies["/v1/align"] = Reply(body)
    page = open_page()
    acted = "Unchanged. The aligner of helpful acted, and its correction was rejected."
    assert send(page) == acted
    assert "cannot be read" in page.locator(".scores").inner_text()
    assert f"rejected: {WORDS['loops']}" in page.locator(".turns").inner_text()


def test_a_failure_of_the_squad_is_not_shown_as_a_clean_response(
    open_page: Open, server: PageServer
) -> None:
    body = {"id": "1", "action": "failed", "reason": "timeout", "acted": [], "trace": []}
    server.replies["/v1/align"] = Reply({**body, "scores": {}, "aligned_response": RESPONSE})
    page = open_page()
    words = reasons.WORDS["timeout"]
    assert send(page) == f"The squad failed, and the response is unchanged: {words}."


@pytest.mark.parametrize("width", [1280, 390])
def test_the_response_can_be_an_llms(open_page: Open, server: PageServer, width: int) -> None:
    server.replies["/v1/squad"] = Reply({**SQUAD, "upstream": True})
    server.replies["/v1/models"] = Reply({"data": [{"id": "smollm2"}, {"id": "other"}]})
    times = {"x-aligners-upstream-ms": "812.4", "x-aligners-overhead-ms": "31.9"}
    server.replies["/v1/chat/completions"] = Reply(CHAT, headers=times)
    page = open_page(width)
    assert page.get_by_label("from the LLM").is_checked()
    assert page.get_by_label("Model").input_value() == "smollm2"
    assert not page.get_by_label("Response to correct").is_visible()
    assert send(page) == "Corrected by the aligner of ethical."
    picture(page, f"upstream-{width}")
    asked = server.asked[-1]
    assert asked.path == "/v1/chat/completions" and asked.headers["x-aligners-trace"] == "1"
    messages = [{"role": "user", "content": QUESTION}]
    assert asked.body == {"model": "smollm2", "messages": messages}
    assert "Only a fool" in page.locator("#result > .text del").first.inner_text()
    assert "812 ms" in page.locator(".facts").inner_text()
    page.get_by_label("typed here").check()
    send(page)
    assert server.asked[-1].path == "/v1/align"
    assert server.asked[-1].body == {"question": QUESTION, "response": RESPONSE}


def test_the_page_works_by_keyboard_alone(open_page: Open, server: PageServer) -> None:
    page = open_page()
    focused = "document.activeElement.id || document.activeElement.textContent"
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "question"
    page.keyboard.type(QUESTION)
    page.keyboard.press("Tab")
    page.keyboard.type(RESPONSE)
    page.keyboard.press("Control+Enter")
    assert finished(page) == "Corrected by the aligner of ethical."
    assert server.asked[-1].body == {"question": QUESTION, "response": RESPONSE}
    # The focus stays where the user writes.
    assert page.evaluate(focused) == "response"
    order = []
    for _ in range(5):
        page.keyboard.press("Tab")
        order.append(page.evaluate(focused))
        width = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
        assert width == "2px", "the focus cannot be seen"
    assert order == [
        "send",
        "API key",
        *["Without marks", "What it wrote", "What it wrote"],
    ]
    page.locator(".turns summary").first.focus()
    page.keyboard.press("Enter")
    assert page.locator(".turns .text").first.is_visible()


def test_every_field_has_a_label(open_page: Open) -> None:
    labels = "[...document.querySelectorAll('input, textarea')].map((field) => field.labels.length)"
    assert open_page().evaluate(labels) == [1] * 6


def test_it_tells_that_it_waits_and_can_stop(open_page: Open, server: PageServer) -> None:
    server.may_reply.clear()
    page = open_page()
    page.get_by_label("Question").fill(QUESTION)
    page.keyboard.press("Control+Enter")
    page.get_by_role("button", name="Stop").wait_for()
    assert page.get_by_role("status").inner_text() == "Waiting for the squad …"
    assert page.get_by_role("progressbar").is_visible()
    picture(page, "waiting")
    page.keyboard.press("Escape")
    assert finished(page) == "Stopped."
    assert not page.get_by_role("progressbar").is_visible()
    server.may_reply.set()
    assert send(page) == "Corrected by the aligner of ethical."


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply({"error": {"message": "the queue is full"}}, 429, {"retry-after": "3"}),
         "status 429) the queue is full. Wait 3 s."),
        (Reply({"error": {"message": "the inspector of ethical failed"}}, 503),
         "status 503) the inspector of ethical failed"),
        (Reply("<h1>Bad gateway</h1>", 502), "status 502) The reply has no message."),
        (Reply("all is well", 200), "The reply cannot be read It is not JSON."),
        (Reply({"error": {"message": EVIL}}, 400), f"status 400) {EVIL}"),
        (Reply(None, None), "The server cannot be reached Is it running? Try again."),
    ],
)  # fmt: skip
def test_a_fault_of_the_server_is_told(
    open_page: Open, server: PageServer, reply: Reply, told: str
) -> None:
    page = open_page()
    assert send(page) == "Corrected by the aligner of ethical."
    server.replies["/v1/align"] = reply
    assert send(page) == "No result."
    alert = page.get_by_role("alert")
    assert told in " ".join(alert.inner_text().split())
    contrast, text = page.evaluate(LEAST_CONTRAST)
    assert contrast >= 4.5, text
    picture(page, f"fault-{reply.status}")
    # No result of an earlier request is left.
    assert page.locator("#result").inner_text() == ""
    server.replies["/v1/align"] = Reply(ALIGNED)
    send(page)
    assert not alert.is_visible()


def test_the_key_is_asked_for_and_kept_in_memory(open_page: Open, server: PageServer) -> None:
    server.key = "sk-aligners-1"
    page = open_page()
    assert "This server needs a key." in page.get_by_role("alert").inner_text()
    assert page.evaluate("document.activeElement.id") == "key"
    page.keyboard.type("sk-aligners-1")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="llama-closed-world").wait_for()
    assert not page.get_by_role("alert").is_visible()
    assert send(page) == "Corrected by the aligner of ethical."
    kept = (
        "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])"
    )
    assert server.key not in page.evaluate(kept)
    page.reload()
    assert page.get_by_label("Key, if the server asks").input_value() == ""


def test_a_key_that_no_header_can_have(open_page: Open) -> None:
    page = open_page()
    page.get_by_text("API key").click()
    page.get_by_label("Key, if the server asks").fill("schlüssel")
    assert send(page) == "No result."
    assert "The key cannot be sent" in page.get_by_role("alert").inner_text()


def test_markup_and_hidden_characters_are_shown_as_text(
    open_page: Open, server: PageServer
) -> None:
    scores = {EVIL: 0.1}
    trace = [make_turn(EVIL, scores, {EVIL: 0.9}, text=f"{EVIL} {HIDDEN}")]
    body = {**ALIGNED, "id": EVIL, "scores": scores, "trace": trace}
    server.replies["/v1/align"] = Reply({**body, "aligned_response": f"{EVIL} {HIDDEN}"})
    server.replies["/v1/squad"] = Reply({**SQUAD, "name": EVIL, "criteria": [EVIL]})
    page = open_page(390)
    send(page, f"Before: {EVIL}")
    assert page.title() == f"Aligners: {EVIL}"
    assert page.locator("#result").inner_text().count(EVIL) >= 3
    assert SHOWN in page.locator("#result > .text").inner_text()
    assert page.locator("#result script").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_marks_rebuild_both_texts(open_page: Open) -> None:
    """As do those of `word_diff`, by which the report marks words."""
    page = open_page()
    marks = """([before, after]) => [...marked(before, after).childNodes].map(
      (node) => [node.nodeName, node.textContent])"""
    picks = random.Random(3)
    for _ in range(150):
        before, after = (
            " ".join(
                picks.choices(["a", "b", "the", "longer", "words\n\nhere"], k=picks.randrange(12))
            )
            for _ in range(2)
        )
        parts = page.evaluate(marks, [before, after])
        for mark, text in (("INS", before), ("DEL", after)):
            kept = " ".join(part for name, part in parts if name != mark)
            assert kept.split() == text.split(), (before, after, parts)
    before, after = RESPONSE, CORRECTION
    parts = page.evaluate(marks, [before, after])
    removed, added = changed_spans(before, after)
    assert [part for name, part in parts if name == "DEL"] == [before[a:b] for a, b in removed]
    assert [part for name, part in parts if name == "INS"] == [after[a:b] for a, b in added]


def test_long_texts_are_compared_in_time(open_page: Open, server: PageServer) -> None:
    response = " ".join(f"word{number}" for number in range(20_000))
    correction = " ".join(f"word{number * 3}" for number in range(20_000))
    server.replies["/v1/align"] = Reply({**ALIGNED, "aligned_response": correction})
    page = open_page()
    assert send(page, response) == "Corrected by the aligner of ethical."


def test_the_words_of_reasons_cannot_end_their_element(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WORDS, "odd", "</script><script>alert(1)</script>")
    render_page.cache_clear()
    page = render_page()
    render_page.cache_clear()
    assert page.html.count("<script>") == 1 and "alert(1)" in page.html
    assert "{{" not in page.html


def test_every_reason_of_the_server_has_words() -> None:
    names = {value for name, value in vars(reasons).items() if name.isupper() and name != "WORDS"}
    assert set(reasons.WORDS) == names - {reasons.AFFECTS_RESULTS}


def test_the_browser_may_run_the_pages_script_alone() -> None:
    policy = render_page().headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "innerHTML" not in PAGE.read_text(encoding="utf-8")


def test_the_page_works_with_the_server(browser: "Browser") -> None:
    """The real server, with a scripted squad: typed, and with the LLM's response."""
    with serve_squad(page=True) as served:
        page = browser.new_page()
        page.goto(served.url)
        page.get_by_role("heading", name="scripted").wait_for()
        page.get_by_label("Question").fill("say: a bad answer")
        page.get_by_role("button", name="Correct").click()
        assert finished(page) == "Corrected by the aligner of ethical."
        assert page.locator("#result > .text ins").inner_text() == "good"
        assert "time of the LLM" in page.locator(".facts").inner_text()
        page.get_by_label("typed here").check()
        page.get_by_label("Response to correct").fill("all is well")
        page.get_by_role("button", name="Correct").click()
        assert finished(page) == f"Unchanged. No aligner acted: {WORDS['above_threshold']}."
        page.get_by_label("Response to correct").fill("cuda memory")
        page.get_by_role("button", name="Correct").click()
        words = reasons.WORDS["squad_error"]
        assert finished(page) == f"The squad failed, and the response is unchanged: {words}."
        page.close()


def test_a_server_with_keys_asks_for_one_as_a_password(browser: "Browser", tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("sk-aligners-1")
    with serve_squad(page=True, key_file=tmp_path / "keys") as served:
        assert served.client.get("/").status_code == 401
        page = browser.new_page(http_credentials={"username": "", "password": "sk-aligners-1"})
        page.goto(served.url)
        page.get_by_role("heading", name="scripted").wait_for()
        page.get_by_label("Question").fill("say: a bad answer")
        page.get_by_role("button", name="Correct").click()
        assert finished(page) == "Corrected by the aligner of ethical."
        page.close()


def test_without_the_option_there_is_no_page() -> None:
    with serve_squad() as served:
        assert served.client.get("/").status_code == 404
