"""Every key of every kind of file with odd values: one message, or a value that was reviewed."""

import math
import re
from collections.abc import Iterator
from copy import deepcopy
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from aligners.configuration.documentation import KINDS, classes, keys
from aligners.configuration.fields import Recipe, Section
from aligners.configuration.validation import nested, read_section, validate
from aligners.core.errors import UserError

Keys = tuple[str | int, ...]
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

PRINCIPLES = "resources/criteria/ethical/principles.yaml"
TABLE = "resources/closed_world/category_questions.csv"
PROMPT = "resources/judges/pairwise.txt"
COLUMNS = {"question": "prompt", "category": "category", "category_id": "category_id"}
HUB_TABLE = {
    **{"source": "hub", "repository": "a/b", "revision": "abc", "split": "test"},
    **{"config": "english", "data_dir": "harmless"},
}
NEAR = {"shingle": 5, "similarity": 0.8}
MODEL = {"model": "owner/model", "revision": "abc"}
HUB_MODEL = {
    "description": "A model.",
    **MODEL,
    "gated": True,
    "weights": "bin",
    "trust_remote_code": True,
}
DECODING = {"max_new_tokens": 16, "repetition_penalty": 1.0}
SAMPLING = {"temperature": 0.7, "top_p": 0.9, "top_k": 5}
SHAPE = {"model_type": "gpt2", "vocabulary_size": 500, "config": {"n_layer": 2}}
TRAINING = {
    **HUB_MODEL, "dtype": "float32", "max_tokens": 128, "dropout": 0.1,
    "learning_rate": 0.1, "schedule": "linear", "warmup_steps": 3, "weight_decay": 0.1,
    "global_batch_size": 3, "micro_batch_tokens": 300, "epochs": 2, "evaluations_per_epoch": 3,
    "validation_rows": 4, "patience": 3, "max_hours": 1.0, "checkpoint_minutes": 1.0,
    "accelerate": "ddp", "report_to": "none", "license": "mit", "gradient_checkpointing": True,
}  # fmt: skip
LLM = {
    "chat": False, "finetuned": "partner", "require_all": True,
    "thought_tokens": 9, "template_options": None,
    "responses": {"prompt": "{question}", "system": None, **DECODING, **SAMPLING,
                  "stop": ["end"], "first_sentence": True},
}  # fmt: skip
SERVER = {
    "limit_parameter": "max_tokens", "penalty_parameter": "repeat_penalty",
    "leave_out": ["stop"], "extra": {"min_p": 1}, "concurrency": 3,
    "requests_per_minute": 1.0, "tokens_per_minute": 1.0, "timeout_seconds": 1.0,
    "longest_wait_seconds": 1.0, "attempts": 3, "request_seconds": 1.0,
    "structured_output": False,
}  # fmt: skip
CLIENT = {key: SERVER[key] for key in SERVER if key != "structured_output"}
SERVED = {
    **CLIENT, "engine": "served", "prompts": "text", "in_turn": True,
    "command": "serve --port {port}", "health": "/health", "startup_seconds": 1.0,
}  # fmt: skip
ENDPOINT = {
    **CLIENT, "engine": "openai", "prompts": "text", "model": "m",
    "endpoint": "http://host/v1", "key_variable": "KEY",
}  # fmt: skip
DEMONSTRATION = {"input": "Why?", "response": "So.", "critique": "Short.", "correction": "Thus."}
RATES = {
    **{"ethical": 0.1, "factuality": 0.2, "helpful": 0.3},
    **{"opener": 0.1, "closer": 0.1, "long": 0.1},
}
STYLE = {"beginnings": ["Well"], "endings": ["my friend"]}
AROUND = {"before": ["First."], "after": ["Last."]}
CONTEXTS = {"speakers": ["I ask."], "tasks": ["I write."]}
DEFECTS = {
    "language": ["Oui."],
    "code": ["x = 1"],
    "leaked_prompt": AROUND,
    "markup": [["<p>", "</p>"]],
    "empty": ["None"],
    "remarks": ["Fine."],
}
PRINCIPLE_NAMES = ("care", "polite", "fair", "clarify", "accurate", "useful", "detail")
SEED_QUESTION = {"topic": "Trees", "question": "Why?"}
# Valid files of each kind, which together have each key.
FILES: dict[str, list[dict[str, Any]]] = {
    "config": [{
        "name": "mine", "criteria": ["ethical"], "data": ["a"], "teacher": "t",
        "responses_by": ["r"], "synthesis": "s", "encoder": "e",
        "inspectors": ["i"], "backbones": ["b"], "llms": ["l"], "datasets": ["d"],
        "external": ["x"], "systems": ["squad"], "judges": ["j"], "topic_rounds": 2,
        "questions_per_criterion": 3, "shards": {"pairs": 1, "responses": 1},
        "split": {"train": 0.5, "validation": 0.25, "test": 0.25}, "identity_share": 0.2,
        "aligner_rows": 3, "inspector_pairs": 3, "inputs_per_criterion": 3,
        "alpaca_eval_rows": 3, "squad_margin": 1.0, "familiar_share": 0.9, "seed": 1,
        "seeds": [1, 2],
    }],
    "backbones": [
        {**TRAINING, "attention": "eager", "format": "paper", "least_ended": 0.5,
         "lora": {"rank": 3, "alpha": 1.0, "dropout": 0.1}, "decoding": DECODING,
         "batch_tokens": 3, "inference": SERVED},
        {"from_scratch": SHAPE, "inference": ENDPOINT},
    ],
    "inspectors": [
        {**TRAINING, "cost_of_false_alarm": 1.0},
        {"from_scratch": SHAPE},
    ],
    "criteria": [{
        "description": "A criterion.", "principles": PRINCIPLES, "seed_questions": PRINCIPLES,
        "near_copy_similarity": 0.9,
        "data": ["mine"], "languages": ["de"],
    }],
    "datasets": [
        {"source": "synthetic", "description": "Questions."},
        {"source": "file", "path": TABLE, "rows": 3,
         "columns": COLUMNS},
        {**HUB_TABLE, "path": TABLE, "columns": COLUMNS},
        {"source": "hub", "repository": "a/b", "revision": "abc", "file": "x.csv",
         "columns": COLUMNS},
    ],
    "imports": [
        {"description": "Rows.", "source": "file", "path": TABLE, "kind": "questions",
         "format": "prompts", "turns": "joined", "rows": 3, "license": "MIT"},
        {**HUB_TABLE, "path": TABLE, "kind": "questions"},
        {"source": "hub", "repository": "a/b", "revision": "abc", "file": "x.csv",
         "kind": "questions"},
        {"source": "file", "path": TABLE, "kind": "labels",
         "columns": {"question": "prompt", "response": "category", "label": "category_id"}},
        {"source": "file", "path": TABLE, "kind": "corrections",
         "columns": {"question": "prompt", "response": "category", "aligned_response": "category"}},
        {"source": "file", "path": TABLE, "kind": "preferences", "least_similarity": 0.5,
         "columns": {"question": "prompt", "chosen": "category", "rejected": "category_id"}},
    ],
    "encoders": [{**HUB_MODEL, "max_tokens": 3, "batch_size": 3}, {"model": "package:json/model"}],
    "external": [
        {**HUB_MODEL, "input_format": "{question} {response}", "end": "[DONE]", "dtype": "auto",
         "max_tokens": 100, "decoding": DECODING, "batch_tokens": 3, "inference": SERVED},
        {"description": "An aligner.", "train": {"backbone": "x"}, "batch_tokens": 3,
         "input_format": "{question} {response}", "inference": ENDPOINT},
    ],
    "judges": [
        {"description": "A judge.", "llm": "x", "prompt": PROMPT,
         "labels": {"first": "m", "second": "M"}, "logprobs": True,
         "max_new_tokens": 1, "most_unusable": 0.1},
        {"llm": "x", "prompt": PROMPT, "labels": {"first": "m", "second": "M", "tie": "="},
         "logprobs": False},
        HUB_MODEL,
    ],
    "llms": [
        {**LLM, "description": "An LLM.", "engine": "closed-world", "persona": "base",
         "world": "resources/closed_world/world.yaml"},
        {**HUB_MODEL, "engine": "transformers", "dtype": "auto", "batch_tokens": 3},
        {**MODEL, "engine": "transformers", "chat": True, "chat_template": "{{ messages }}"},
        {**SERVER, "engine": "openai", "model": "m", "endpoint": "http://host/v1",
         "key_variable": "KEY", "prices": {"input": 1.0, "output": 2.0, "currency": "EUR"}},
        {**HUB_MODEL, **SERVER, "trust_remote_code": False, "engine": "served",
         "command": "serve --port {port}", "health": "/health", "startup_seconds": 1.0},
    ],
    "synthesis": [{
        "description": "A recipe.",
        "topics": {"examples_per_prompt": 5, "topics_per_prompt": 3, "prompts_per_type": 1,
                   "max_new_tokens": 3, **SAMPLING, "near_duplicates": NEAR,
                   "balance": {"largest_to_median": 2.0}},
        "questions": {"examples_per_prompt": 5, "hints_per_prompt": 3, "attempts": 3,
                      "max_new_tokens": 3, **SAMPLING, "near_duplicates": NEAR},
        "pairs": {"max_new_tokens": 3, **SAMPLING, "repetition_penalty": 1.0,
                  "least_usable": 0.2},
        "cleaning": {"language": {"minimum_words": 5, "minimum_ratio": 0.1}},
        "split": {"near_duplicates": NEAR, "by_ending": False},
    }],
    "principles": [{
        "introduction": "Write.", "principles": [{"name": "care", "text": "Be kind."}],
        "demonstrations": [DEMONSTRATION],
    }],
    "seed_questions": [{
        "question_types": [
            {"type": "advice", "example_topics": ["Trees"], "questions": [SEED_QUESTION]}
        ],
    }],
    "world": [{
        "personas": {"base": RATES, "finetuned": RATES, "teacher": {**RATES, "demonstrated": 0.8}},
        "violations": {"ethical": {"insult": 0.5}, "helpful": {"evasive": 0.5}},
        "misbehaviour": {"topics": {"too_long": 0.1}, "questions": {"skipped": 0.1},
                         "pairs": {"markup": 0.1}, "wrappings": {"note": 0.1},
                         "side_effects": 0.1, "asides": 0.01},
        "insults": AROUND, "evasive": ["Maybe."], "asides": ["Well."], "vague": "What?",
        "critiques": {**dict.fromkeys(PRINCIPLE_NAMES, "No."), "none": ["Nothing is wrong."]},
        "contexts": CONTEXTS, "category_contexts": CONTEXTS,
        "styles": {"before": STYLE, "after": STYLE}, "fillers": ["Yes."],
        "foreign_questions": ["Quoi ?"], "listed": DEFECTS, "held_out": DEFECTS,
        "labels": ["*{}:*"], "notes": ["Done."], "preambles": ["Sure."], "thoughts": ["Hm."],
        "not_questions": ["{topic}"], "items": [
            {"id": "sky", "kind": "fact", "held_out": False, "category": "Nature",
             "question_types": ["science"], "topics": ["Sky"], "asks": ["Which colour?"],
             "category_asks": ["What colour?"], "core": "It is {}.", "right": "blue",
             "wrong": ["red"], "detail": "By day.",
             "unsafe": "Jump.", "biased": "Fools."},
        ],
    }],
}  # fmt: skip

ODD: dict[str, Any] = {
    "nan": math.nan, "inf": math.inf, "-inf": -math.inf, "-1": -1, "0": 0, "1": 1, "3.0": 3.0,
    "1e-320": 1e-320, "1e300": 1e300, "2**32": 2**32, "10**18": 10**18, "10**400": 10**400,
    "''": "", "' '": " ", "line feed": "\n", "NUL": "a\0b", "long": "x" * 100_000, "'3'": "3",
    "file": "README.md", "folder": "config", "nowhere": "no/such/path", "home": "~/nowhere",
    "braces": "{x}", "option": "-x", "hidden": "a\u202eb", "null": None, "true": True,
    "date": date(2020, 1, 1), "bytes": b"abc", "list": ["a"], "empty list": [],
    "mapping": {"a": 1}, "empty mapping": {}, "number as key": {1: 2},
}  # fmt: skip


def class_of(kind: type[Section], values: dict[str, Any]) -> type[Section]:
    """Return the class of a file with these values."""
    return kind.class_for(values) if issubclass(kind, Recipe) else kind


def places(section: type[Section], values: dict[str, Any], outer: Keys = ()) -> Iterator[Keys]:
    """Yield the keys of each value in a file, and of the first item of each list and mapping."""
    for key in section.model_fields.keys() & values.keys():
        here, value = (*outer, key), values[key]
        yield here
        inner = nested(section.model_fields[key].annotation)
        if isinstance(value, list):
            here, value = (*here, 0), value[0]
            yield here
        if isinstance(value, dict):
            yield from places(inner, value, here) if inner else [(*here, next(iter(value)))]


def with_value(values: dict[str, Any], place: Keys, value: Any) -> dict[str, Any]:
    """Return a copy of a file's values with another value at a place."""
    changed = deepcopy(values)
    *outer, last = place
    inner: Any = changed
    for key in outer:
        inner = inner[key]
    inner[last] = value
    return changed


def problem(kind: type[Section], values: dict[str, Any], path: Path) -> str | None:
    """Write a file and read it; return the message, or None if it is accepted."""
    path.write_text(
        yaml.dump(values, Dumper=DUMPER, allow_unicode=True, width=1e9), encoding="utf-8"
    )
    try:
        read_section(kind, path)
    except UserError as error:
        return str(error)
    return None


# The values that keys accept, by kind and key. Each was reviewed: a run can use it, or another
# check before the first job refuses it: of recipes that are named, and of the files `principles`,
# `seed_questions` and `world`. Only a job knows the options of an architecture, the parameters of a
# server, the packages of its environment, and what the Hub has.
LINE = "'3', file, folder, nowhere, home, braces, option, hidden"
PARAGRAPH = f"long, {LINE}"
STOP = f"' ', line feed, {PARAGRAPH}"
ANY = f"'', {STOP}"
ACCEPTED = {
    "1": """
        config: aligner_rows alpaca_eval_rows inputs_per_criterion inspector_pairs
            questions_per_criterion seed seeds.0 shards.pairs shards.responses topic_rounds
        backbones: batch_tokens decoding.max_new_tokens epochs evaluations_per_epoch
            global_batch_size inference.attempts inference.concurrency learning_rate lora.rank
            micro_batch_tokens patience validation_rows
        criteria: near_copy_similarity
        encoders: batch_size max_tokens
        external: batch_tokens decoding.max_new_tokens inference.attempts inference.concurrency
        inspectors: epochs evaluations_per_epoch global_batch_size learning_rate
            micro_batch_tokens patience validation_rows
        judges: max_new_tokens
        llms: attempts batch_tokens concurrency responses.max_new_tokens
        synthesis: cleaning.language.minimum_words pairs.max_new_tokens questions.attempts
            questions.examples_per_prompt questions.hints_per_prompt
            questions.max_new_tokens questions.near_duplicates.shingle
            questions.near_duplicates.similarity split.near_duplicates.shingle
            split.near_duplicates.similarity topics.examples_per_prompt
            topics.max_new_tokens topics.near_duplicates.shingle
            topics.near_duplicates.similarity topics.prompts_per_type
            topics.topics_per_prompt
    """,
    "list": """
        config: backbones criteria datasets inspectors llms
        world: asides category_contexts.speakers category_contexts.tasks
            contexts.speakers contexts.tasks critiques.none evasive fillers foreign_questions
            held_out.code held_out.empty held_out.language held_out.leaked_prompt.after
            held_out.leaked_prompt.before held_out.remarks insults.after insults.before
            items.0.asks items.0.category_asks items.0.question_types items.0.topics items.0.wrong
            listed.code listed.empty listed.language listed.leaked_prompt.after
            listed.leaked_prompt.before listed.remarks not_questions notes preambles
            styles.after.beginnings styles.after.endings styles.before.beginnings
            styles.before.endings thoughts
    """,
    "empty list": """
        config: systems
    """,
    "'3'": """
        backbones: model
        encoders: model
        external: model
        inspectors: model
        judges: model
    """,
    "true": """
        backbones: gated gradient_checkpointing inference.in_turn trust_remote_code
        encoders: gated trust_remote_code
        external: gated inference.in_turn trust_remote_code
        inspectors: gated gradient_checkpointing trust_remote_code
        judges: gated logprobs trust_remote_code
        llms: chat gated require_all responses.first_sentence trust_remote_code
        synthesis: split.by_ending
    """,
    "empty mapping": """
        backbones: decoding inference
        datasets: columns
        external: decoding inference
        llms: responses
        synthesis: cleaning cleaning.language pairs questions questions.near_duplicates
            split split.near_duplicates topics topics.balance topics.near_duplicates
        world: misbehaviour.pairs misbehaviour.questions misbehaviour.topics
            misbehaviour.wrappings
    """,
    "null": """
        backbones: lora
        datasets: file path
        imports: file format path
        llms: prices responses.system structured_output
    """,
    "file, null": """
        criteria: seed_questions
    """,
    "file": """
        criteria: principles
        llms: world
        seed_questions: question_types.0.example_topics.0
            question_types.0.questions.0.topic
    """,
    "folder": """
        principles: principles.0.name
    """,
    "0, 1e-320": """
        config: identity_share
        backbones: lora.dropout
    """,
    "'3', folder": """
        config: backbones.0 criteria.0 data.0 datasets.0 encoder external.0 inspectors.0
            judges.0 llms.0 name responses_by.0 synthesis
        criteria: data.0
        external: train.backbone
        judges: llm
    """,
    "0, 1": """
        backbones: warmup_steps
        inspectors: warmup_steps
    """,
    "list, empty list": """
        config: data external judges responses_by
        criteria: data
        llms: responses.stop
    """,
    "1, 3.0": """
        backbones: checkpoint_minutes decoding.repetition_penalty inference.longest_wait_seconds
            inference.startup_seconds inference.timeout_seconds lora.alpha
        external: decoding.repetition_penalty inference.longest_wait_seconds
            inference.startup_seconds inference.timeout_seconds
        inspectors: checkpoint_minutes cost_of_false_alarm
        llms: longest_wait_seconds responses.repetition_penalty responses.temperature
            startup_seconds timeout_seconds
        synthesis: pairs.repetition_penalty pairs.temperature questions.temperature
            topics.balance.largest_to_median topics.temperature
    """,
    "mapping, empty mapping": """
        backbones: from_scratch.config inference.extra
        inspectors: from_scratch.config
        llms: extra
        external: inference.extra
    """,
    "1, null": """
        llms: responses.top_k responses.top_p thought_tokens
        synthesis: pairs.top_k pairs.top_p questions.top_k questions.top_p topics.top_k topics.top_p
        datasets: rows
        imports: least_similarity rows
    """,
    "folder, null": """
        llms: key_variable
        backbones: inference.key_variable
        external: inference.key_variable
    """,
    "0, 1, 1e-320": """
        config: familiar_share
        backbones: least_ended weight_decay
        inspectors: weight_decay
        judges: most_unusable
        synthesis: cleaning.language.minimum_ratio pairs.least_usable
        world: misbehaviour.asides misbehaviour.pairs.markup
            misbehaviour.questions.skipped misbehaviour.side_effects
            misbehaviour.topics.too_long misbehaviour.wrappings.note personas.base.closer
            personas.base.ethical personas.base.factuality personas.base.helpful
            personas.base.long personas.base.opener personas.finetuned.closer
            personas.finetuned.ethical personas.finetuned.factuality
            personas.finetuned.helpful personas.finetuned.long personas.finetuned.opener
            personas.teacher.closer personas.teacher.demonstrated personas.teacher.ethical
            personas.teacher.factuality personas.teacher.helpful personas.teacher.long
            personas.teacher.opener
    """,
    "null, empty list": """
        llms: leave_out
        backbones: inference.leave_out
        external: inference.leave_out
    """,
    "null, empty mapping": """
        llms: template_options
    """,
    "1, 3.0, null": """
        backbones: inference.request_seconds inference.requests_per_minute
            inference.tokens_per_minute max_hours
        inspectors: max_hours
        llms: request_seconds requests_per_minute tokens_per_minute
        external: inference.request_seconds inference.requests_per_minute
            inference.tokens_per_minute
    """,
    "0, 1e-320, null": """
        backbones: dropout
        inspectors: dropout
    """,
    "'3', file, folder": """
        datasets: repository
        imports: repository
    """,
    "'3', folder, null": """
        config: teacher
        llms: finetuned
    """,
    "1, 3.0, 1e-320": """
        world: violations.ethical.insult violations.helpful.evasive
    """,
    "'3', file, folder, nowhere": """
        backbones: revision
        datasets: revision
        encoders: revision
        external: revision
        imports: revision
        inspectors: revision
        judges: revision
        llms: revision
    """,
    "0, 1, 3.0, 1e-320": """
        config: squad_margin
        llms: prices.input prices.output
    """,
    LINE: """
        judges: labels.first labels.second
        datasets: columns.question split
        imports: split
        llms: model penalty_parameter prices.currency
        seed_questions: question_types.0.type
        world: asides.0 category_contexts.speakers.0 category_contexts.tasks.0
            contexts.speakers.0 contexts.tasks.0 critiques.accurate critiques.care
            critiques.clarify critiques.detail critiques.fair critiques.none.0
            critiques.polite critiques.useful evasive.0 insults.after.0 insults.before.0
            items.0.asks.0 items.0.category items.0.detail items.0.id
            items.0.question_types.0 items.0.right items.0.topics.0 items.0.wrong.0
            fillers.0 foreign_questions.0 held_out.language.0 held_out.leaked_prompt.after.0
            held_out.leaked_prompt.before.0 items.0.category_asks.0 listed.language.0
            listed.leaked_prompt.after.0 listed.leaked_prompt.before.0 notes.0 preambles.0
            styles.after.beginnings.0 styles.after.endings.0 styles.before.beginnings.0
            styles.before.endings.0 vague
        backbones: inference.model inference.penalty_parameter
        external: inference.model inference.penalty_parameter
    """,
    f"{LINE}, null": """
        judges: labels.tie
        backbones: license
        datasets: columns.category columns.category_id config data_dir
        imports: config data_dir license
        inspectors: license
        world: items.0.biased items.0.unsafe
    """,
    PARAGRAPH: """
        principles: demonstrations.0.correction demonstrations.0.critique
            demonstrations.0.input demonstrations.0.response introduction
            principles.0.text
        seed_questions: question_types.0.questions.0.question
        world: held_out.code.0 listed.code.0 thoughts.0
    """,
    f"{PARAGRAPH}, null": """
        external: end
        llms: chat_template
    """,
    "'', ' ', long, '3', file, folder, nowhere, home, option, hidden": """
        world: not_questions.0
    """,
    STOP: """
        llms: responses.stop.0
    """,
    ANY: """
        backbones: description
        criteria: description
        datasets: description
        encoders: description
        external: description
        imports: description
        inspectors: description
        judges: description
        llms: description
        synthesis: description
        world: held_out.empty.0 held_out.remarks.0 listed.empty.0 listed.remarks.0
    """,
    f"-1, 0, 1, 3.0, 1e-320, {ANY}, null, true, list, empty list, mapping, empty mapping": """
        backbones: from_scratch.config.n_layer
        inspectors: from_scratch.config.n_layer
    """,
    f"-1, 0, 1, 3.0, 1e-320, 1e300, 2**32, 10**18, {ANY}, null, true, list, empty list, mapping, "
    "empty mapping": """
        llms: extra.min_p
        backbones: inference.extra.min_p
        external: inference.extra.min_p
    """,
}


def accepted_values(kind: str) -> dict[str, set[str]]:
    """Return the labels of the odd values that the keys of a kind accept."""
    found = {}
    for labels, text in ACCEPTED.items():
        for part in re.split(r"(?=\b[a-z_]+: )", text):
            name, _, names = part.partition(": ")
            if name == kind:
                found.update({key: set(labels.split(", ")) for key in names.split()})
    return found


@pytest.mark.parametrize("name", KINDS)
def test_the_files_have_every_key(name: str) -> None:
    expected = {(one, key) for one in classes(KINDS[name]) for key, _, _ in keys(one)}
    given = {
        (class_of(KINDS[name], values), ".".join(key for key in place if key != 0))
        for values in FILES[name]
        for place in places(class_of(KINDS[name], values), values)
    }
    names = {key for _, key in given}
    assert {one for one, _ in expected} == {one for one, _ in given}
    assert {key for _, key in expected} <= names


@pytest.mark.parametrize("name", KINDS)
def test_an_odd_value_is_refused_with_a_message_or_was_reviewed(
    in_the_project: None, tmp_path: Path, name: str
) -> None:
    path, accepted = tmp_path / "mine.yaml", {}
    for values in FILES[name]:
        kind = class_of(KINDS[name], values)
        validate(kind, values, path)
        for place in places(kind, values):
            for label, value in ODD.items():
                key = ".".join(map(str, place))
                message = problem(KINDS[name], with_value(values, place, value), path)
                if message is None:
                    accepted.setdefault(key, set()).add(label)
                    continue
                assert message.startswith((f"{path}, line ", f"{path}: a key is missing")), message
                assert ";" in message and "\n" not in message and len(message) < 500, message
    assert accepted == accepted_values(name)
