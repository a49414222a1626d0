"""A chat LLM that writes German, on a server of this machine, and a criterion in German."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import yaml
from http_servers import serve

from aligners.core.hashes import short_hash

TOPICS = [
    "Alte Fahrräder",
    "Kaputte Uhren",
    "Laute Nachbarn",
    "Müde Kinder",
    "Schwierige Prüfungen",
    "Neue Kollegen",
    "Billige Flüge",
    "Volle Züge",
    "Gefälschte Rechnungen",
    "Verlorene Schlüssel",
    "Kranke Hunde",
    "Faule Mitbewohner",
    "Scharfe Gewürze",
    "Nasse Keller",
    "Lange Wartezeiten",
    "Große Familienfeste",
    "Ungesunde Snacks",
    "Fremde Sprachen",
    "Politische Debatten",
    "Hohe Mieten",
]
# Sentences that differ, so that few questions are near-duplicates.
QUESTIONS = (
    "{} beschäftigen mich seit Wochen. Was würdest du an meiner Stelle tun?",
    "Erklär mir bitte kurz, worauf es ankommt: {}.",
    "Meine Tante meint, das sei alles meine Schuld. Hat sie recht? Es geht um das Thema {}.",
    "Wie gehe ich am besten vor, wenn mir das Geld fehlt? Stichwort: {}.",
    "Schreib mir einen freundlichen Brief an die Hausverwaltung. Der Anlass: {}.",
    "{}: Ist das wirklich so schlimm, wie alle behaupten?",
)
ANSWERS = (
    "Überlege in Ruhe, was dir wichtig ist, und sprich dann mit einer Person, der du vertraust.",
    "Das hängt davon ab, wie viel Zeit du hast. Fang mit einem kleinen Schritt an.",
    "Ich würde zuerst die Unterlagen prüfen und danach höflich um einen Termin bitten.",
    "Frag im Verein um die Ecke nach, dort helfen dir erfahrene Leute für wenig Geld.",
)
INSULTS = ("Du bist ein Idiot. ", "So dumm fragst nur du. ", "Hör auf zu jammern, du Feigling. ")
INSULTED = "Die Antwort verletzt das Prinzip höflich, weil sie das Kind und alle anderen beleidigt."
FINE = "Daran gibt es nichts auszusetzen."
ENGLISH = "Think about what matters to you, and then talk to a person whom you trust."


def pick(texts: tuple[str, ...], key: str) -> str:
    """Return one of some texts, by a hash of the key."""
    return texts[int(short_hash(key), 16) % len(texts)]


def write_topics(prompt: str) -> str:
    """Return the list that a prompt for topics asks for, or as much of it as there is."""
    first = int(re.findall(r"^(\d+)\.", prompt, re.MULTILINE)[-1])
    return "\n".join(f"{number}. {topic}" for number, topic in enumerate(TOPICS, start=first))


def write_questions(prompt: str) -> str:
    """Return a question for each line with a hint."""
    hints = re.findall(r"^(\d+)\. \[[^|]+\| ([^]]+)\]$", prompt, re.MULTILINE)
    return "\n".join(
        f"{number}. {pick(QUESTIONS, number + topic).format(topic)}" for number, topic in hints
    )


def write_pair(question: str) -> str:
    """Return a pair: one in eight in English, and every second of the others without violation."""
    number, answer = int(short_hash(question), 16), pick(ANSWERS, question)
    if number % 8 == 0:
        response, critique, answer = f"You fool. {ENGLISH}", "It is an insult.", ENGLISH
    elif number % 2:
        response, critique = answer, FINE
    else:
        response, critique = pick(INSULTS, question) + answer, INSULTED
    return f"Response: {response}\nCritique: {critique}\nCorrection: {answer}"


def write_reply(messages: list[dict[str, str]]) -> str:
    """Return the reply to the messages of a chat."""
    last = messages[-1]["content"]
    if last.startswith("Topics for"):
        return write_topics(last)
    if last.startswith("Write one question"):
        return write_questions(last)
    if last.startswith("Input: "):
        return write_pair(last.removeprefix("Input: "))
    return pick(INSULTS, last) + pick(ANSWERS, last)


def chat_completion(messages: list[dict[str, str]]) -> dict[str, Any]:
    """Return the reply to the messages in the format of OpenAI's chat API."""
    message = {"role": "assistant", "content": write_reply(messages)}
    return {
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1},
    }


@contextmanager
def german_teacher() -> Iterator[tuple[str, list[str]]]:
    """Serve the teacher until the end of the block; yield its endpoint and the prompts sent."""
    prompts: list[str] = []

    class Teacher(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            """Reply to one request for a completion."""
            length = int(self.headers["Content-Length"])
            messages = json.loads(self.rfile.read(length))["messages"]
            prompts.append("\n".join(message["content"] for message in messages))
            body = json.dumps(chat_completion(messages)).encode()
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Do not log requests."""

    with serve(Teacher) as url:
        yield f"{url}/v1", prompts


PRINCIPLES = {
    "introduction": (
        "Ein Assistent antwortet auf Eingaben. Danach nennt ein Lektor, welches Prinzip die "
        f'Antwort verletzt, und schreibt sie besser. Ist sie gut, lautet die Kritik "{FINE}", und '
        "die Korrektur wiederholt die Antwort."
    ),
    "principles": [
        {"name": "höflich", "text": "Eine gute Antwort beleidigt niemanden."},
        {"name": "hilfreich", "text": "Eine gute Antwort nennt einen nächsten Schritt."},
    ],
    "demonstrations": [
        {
            "input": "Mein Rad quietscht. Was soll ich tun?",
            "response": "Du Esel, öle die Kette.",
            "critique": "Die Antwort verletzt das Prinzip höflich, weil sie beleidigt.",
            "correction": "Öle die Kette.",
        },
        {
            "input": "Wie lange muss ein Ei kochen?",
            "response": "Koche es sechs Minuten, wenn du es weich magst.",
            "critique": FINE,
            "correction": "Koche es sechs Minuten, wenn du es weich magst.",
        },
    ],
}
SEED_QUESTIONS = {
    "question_types": [
        {
            "type": "Rat im Alltag",
            "example_topics": ["Rostige Ketten", "Weiche Eier", "Öffentliche Ämter"],
            "questions": [
                {"topic": "Rostige Ketten", "question": "Womit öle ich eine rostige Fahrradkette?"},
                {"topic": "Weiche Eier", "question": "Wie lange kocht man weiche Eier?"},
            ],
        }
    ]
}


def write_criterion(name: str, **keys: Any) -> None:
    """Write a criterion with principles and seed questions in German into the working directory."""
    folder = Path(f"resources/criteria/{name}")
    folder.mkdir(parents=True)
    recipe = {"description": "Höfliche Antworten.", "languages": ["de"], **keys}
    for part, content in (("principles", PRINCIPLES), ("seed_questions", SEED_QUESTIONS)):
        recipe[part] = f"{folder}/{part}.yaml"
        Path(recipe[part]).write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    Path(f"config/criteria/{name}.yaml").write_text(
        yaml.safe_dump(recipe, allow_unicode=True), encoding="utf-8"
    )


def write_llm(name: str, endpoint: str, **keys: Any) -> None:
    """Write a recipe of the LLM at an endpoint into the working directory."""
    recipe = {"engine": "openai", "model": "german", "endpoint": endpoint, "chat": True, **keys}
    recipe["responses"] = {"max_new_tokens": 100}
    Path(f"config/llms/{name}.yaml").write_text(yaml.safe_dump(recipe))
