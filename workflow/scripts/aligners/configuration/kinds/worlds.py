"""The file of a closed world, which the recipes of its LLMs name."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from aligners.configuration.fields import Form, Line, Section, Share, Text, WrongKey, differ

AFFECTS_RESULTS = False

Defect = Literal[
    "unparsable",
    "leaked_prompt",
    "markup",
    "code",
    "language",
    "empty",
    "uncorrected",
    "contradiction",
]
Wrapping = Literal["note", "markdown", "preamble", "thought", "remark"]
Lines = Annotated[list[Line], Field(min_length=1), AfterValidator(differ)]
# A defect can be a text without content.
Texts = Annotated[list[str], Field(min_length=1)]
Weight = Annotated[float, Field(ge=0, le=1_000_000)]


def at_most_one(rates: dict[str, float]) -> dict[str, float]:
    """Return the rates of defects of which a text has at most one.

    Raises:
        ValueError: they add up to more than 1.
    """
    if sum(rates.values()) > 1:
        raise ValueError(f"the rates add up to {sum(rates.values()):g}; lower one")
    return rates


def has_a_weight(weights: dict[str, float]) -> dict[str, float]:
    """Return weights by which one of several kinds is chosen.

    Raises:
        ValueError: all are 0.
    """
    if not any(weights.values()):
        raise ValueError("all weights are 0; raise one")
    return weights


def has_one_place(text: str) -> str:
    """Return a text with one {} in it.

    Raises:
        ValueError: it has none or several, or other braces.
    """
    if text.count("{}") != 1 or text.count("{") + text.count("}") != 2:
        raise ValueError("not a text with one {} in place of the name; correct it")
    return text


class Rates(Section):
    """How often a persona violates each criterion, and the style of its answers."""

    ethical: Share
    """Share of the answers with an insult, or with an unsafe or biased sentence."""
    factuality: Share
    """Share of the answers with a wrong value."""
    helpful: Share
    """Share of the answers that evade the question or leave out the detail."""
    opener: Share
    """Share of the answers that begin with a sentence of style."""
    closer: Share
    """Share of the answers that end with a sentence of style."""
    long: Share
    """Share of the answers with 15 to 30 fillers."""


class TeacherRates(Rates):
    """How often the teacher violates each criterion."""

    demonstrated: Share
    """Share of the responses that violate the criterion for which the teacher writes pairs."""


class Personas(Section):
    """How often each persona violates each criterion."""

    base: Rates
    """The base LLM."""
    finetuned: Rates
    """Its finetuned partner."""
    teacher: TeacherRates
    """The teacher."""


class Violations(Section):
    """How a violation looks, as weights."""

    ethical: Annotated[
        dict[Literal["insult", "sentence", "both"], Weight], AfterValidator(has_a_weight)
    ]
    """Weights of an insult, of the unsafe or biased sentence of the item, and of both."""
    helpful: Annotated[
        dict[Literal["evasive", "evasive_with_detail", "no_detail"], Weight],
        AfterValidator(has_a_weight),
    ]
    """Weights of an evasive sentence, of one with the detail, and of an answer without the
    detail."""


class Misbehaviour(Section):
    """How often the teacher makes each error."""

    topics: Annotated[
        dict[
            Literal[
                "duplicate",
                "near_duplicate",
                "too_long",
                "lower_case",
                "final_punctuation",
                "slashes",
                "escape",
                "at_sign",
                "underscore",
                "very_long",
            ],
            Share,
        ],
        AfterValidator(at_most_one),
    ]
    """Share of the lines with topics that have each error."""
    questions: Annotated[
        dict[
            Literal[
                "skipped",
                "without_number",
                "duplicate",
                "near_duplicate",
                "not_a_question",
                "language",
            ],
            Share,
        ],
        AfterValidator(at_most_one),
    ]
    """Share of the lines with questions that have each error."""
    pairs: Annotated[
        dict[
            Defect,
            Share,
        ],
        AfterValidator(at_most_one),
    ]
    """Share of the pairs that have each defect, and are to be dropped."""
    wrappings: Annotated[
        dict[Wrapping, Share],
        AfterValidator(at_most_one),
    ]
    """Share of the other pairs with each addition around the three texts. A `remark` stands in
    place of a correction that would equal the response."""
    side_effects: Share
    """Share of the corrections that violate another criterion."""
    asides: Share
    """Share of the pairs with each of the `asides`."""


class BeforeAndAfter(Section):
    """Sentences before an answer, and sentences after it."""

    before: Lines
    """Sentences before the answer."""
    after: Lines
    """Sentences after the answer."""


class Critiques(Section):
    """The critique of a response, by the principle that it violates."""

    care: Line
    """The response is not safe."""
    polite: Line
    """The response insults."""
    fair: Line
    """The response is biased."""
    clarify: Line
    """The response guesses."""
    accurate: Line
    """The response is wrong."""
    useful: Line
    """The response evades the question."""
    detail: Line
    """The response leaves out the detail."""
    none: Lines
    """Critiques of a response that violates no principle."""


class Contexts(Section):
    """Sentences before a question."""

    speakers: Lines
    """Sentences about the person who asks."""
    tasks: Lines
    """Sentences about the reason to ask."""


LabelForm = Annotated[str, AfterValidator(has_one_place)]
Tags = Annotated[list[str], Field(min_length=2, max_length=2)]


class Defects(Section):
    """Forms of the defects of pairs."""

    language: Lines
    """Answers in other languages."""
    code: Annotated[list[Text], Field(min_length=1)]
    """Texts that are code."""
    leaked_prompt: BeforeAndAfter
    """Parts of a prompt before and after an answer."""
    markup: Annotated[list[Tags], Field(min_length=1)]
    """Pairs of an opening and a closing tag."""
    empty: Texts
    """Answers without content."""
    remarks: Texts
    """Texts in place of a correction that only say that there is nothing to correct."""


class Style(Section):
    """Sentences of style: each beginning with each ending."""

    beginnings: Lines
    """Beginnings, without a full stop."""
    endings: Lines
    """Endings."""


class Styles(Section):
    """Sentences of style, which meet every criterion. A third are those of the LLMs whose responses
    are corrected, the others are the teacher's."""

    before: Style
    """Sentences before an answer."""
    after: Style
    """Sentences after an answer."""


class WorldItem(Section):
    """A subject of questions, with the parts of its good and bad answers."""

    id: Line
    """Name of the item."""
    kind: Literal["fact", "how-to", "group", "unclear"]
    """Kind of the item. The right answer to an `unclear` question asks back."""
    held_out: bool = False
    """If `true`, training questions never ask for the item."""
    category: Line
    """Category of the item in the data set with categories."""
    question_types: Lines
    """Question types that the item fits."""
    topics: Lines
    """Topics that the item fits."""
    asks: Lines
    """The ways to ask for the item."""
    category_asks: Lines
    """The ways to ask for the item in the data set with categories."""
    core: Annotated[str, Form(r"^[^{}]*\{\}[^{}]*$", "a sentence with one {} for the value")]
    """Sentence that answers the question, with {} in the place of the value."""
    right: Line
    """The right value."""
    wrong: Lines
    """Wrong values."""
    detail: Line
    """Sentence without which an answer is not helpful."""
    unsafe: Line | None = None
    """An unsafe sentence."""
    biased: Line | None = None
    """A biased sentence."""

    @model_validator(mode="after")
    def right_is_not_wrong(self) -> "WorldItem":
        """Check that the right value is not among the wrong ones."""
        if self.right in self.wrong:
            raise WrongKey("wrong", f"{self.right!r} is also the right value; remove it here")
        return self


class WorldFile(Section):
    """A small world of questions whose good and bad answers are known.

    A question is a context and one of the ways to ask for an item. An answer consists of whole
    sentences.
    """

    personas: Personas
    """How often each persona violates each criterion."""
    violations: Violations
    """How a violation looks, as weights."""
    misbehaviour: Misbehaviour
    """How often the teacher makes each error."""
    insults: BeforeAndAfter
    """Insults before and after an answer."""
    evasive: Lines
    """Sentences that evade the question."""
    asides: Lines
    """Good sentences that careless filters drop."""
    vague: Line
    """Answer to a question that is not of the world."""
    critiques: Critiques
    """The critique of a response, by the principle that it violates."""
    contexts: Contexts
    """Contexts of the questions."""
    category_contexts: Contexts
    """Contexts of the questions in the data set with categories."""
    styles: Styles
    """Sentences at the beginning and at the end of answers."""
    fillers: Lines
    """Sentences that make an answer long. They meet every criterion."""
    foreign_questions: Lines
    """Questions in other languages."""
    listed: Defects
    """Forms of defects that the authors of filters may look at."""
    held_out: Defects
    """Forms of defects on which filters are only tested."""
    labels: Annotated[list[LabelForm], Field(min_length=1)]
    """Labels of critiques and corrections in Markdown, with {} in the place of the name."""
    notes: Lines
    """Notes after a pair."""
    preambles: Lines
    """Texts before a pair."""
    thoughts: Annotated[list[Text], Field(min_length=1)]
    """Thoughts before a pair."""
    not_questions: Annotated[
        list[
            Annotated[str, Form(r"^[^{}]*(\{topic\}[^{}]*)*$", "a text without braces but {topic}")]
        ],
        Field(min_length=1),
    ]
    """Lines that are no questions. {topic} is replaced by the topic."""
    items: Annotated[list[WorldItem], Field(min_length=1)]
    """Subjects of questions."""

    @model_validator(mode="after")
    def rates_and_items_fit(self) -> "WorldFile":
        """Check the rate of asides, and that names differ and some item is not held out."""
        total = self.misbehaviour.asides * len(self.asides)
        if total > 1:
            raise WrongKey(
                "misbehaviour.asides",
                f"{len(self.asides)} asides of this rate add up to {total:g}; lower it",
            )
        try:
            differ([item.id for item in self.items])
        except ValueError as error:
            raise WrongKey("items", str(error)) from None
        if all(item.held_out for item in self.items):
            raise WrongKey("items", "all items are held out; set held_out: false for some")
        return self
