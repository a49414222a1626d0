"""What went wrong with a request: a fault of one attempt, a refused request, or the job's end."""

from collections.abc import Callable

import openai

from aligners.configuration.kinds.llms import OpenAIRecipe, ServerRecipe
from aligners.core.completions import Cause
from aligners.core.errors import UserError

# Attempts of one request after which an endpoint that never answered counts as down.
DOWN_AFTER = 5
# Refused requests before the first completion that stop the job: the recipe is wrong.
REFUSED_AT_FIRST = 3
# Phrases by which servers report that a prompt is too long; there is no common error code.
TOO_LONG = ("context_length", "context length", "maximum context", "context size", "too long")
LONGEST_MESSAGE = 300


class Faulty(Exception):
    """An attempt that failed; another one may succeed."""

    def __init__(self, cause: Cause, message: str):
        """Keep the cause for the counts."""
        super().__init__(message)
        self.cause: Cause = cause


class Refused(Faulty):
    """A request that the server will refuse again."""


class Faults:
    """Maps the SDK's errors to Faulty, Refused and UserError.

    The mapping depends on what the endpoint has done so far, in all its requests.

    Attributes:
        answered: whether any reply has come, an error included.
        completed: whether any request has its completion.
        refused: number of refused requests.
    """

    def __init__(self, recipe: ServerRecipe, url: str, key: str, check_server: Callable[[], None]):
        """Start with an endpoint that has not been asked; see `Endpoint` for the arguments."""
        self.recipe, self.url, self.key, self.check_server = recipe, url, key, check_server
        self.answered = self.completed = False
        self.refused = 0

    def check_credit(self, error: openai.RateLimitError) -> None:
        """Raise a UserError if waiting does not help, because the account is empty."""
        self.answered = True
        if error.code == "insufficient_quota":
            raise UserError(
                f"{self.url}: the account has no credit left; add some, "
                "then run again: what was completed is kept"
            )

    def of_connection(self, error: openai.APIConnectionError, attempt: int) -> Exception:
        """Return the exception for a broken connection."""
        self.check_server()
        shown = self.shown(error.__cause__)
        if not self.answered and attempt >= DOWN_AFTER:
            return UserError(
                f"{self.url} cannot be reached ({shown}); "
                "start the server, or mend the key endpoint of the recipe"
            )
        return Faulty("connection", f"the connection broke: {shown}")

    def of_status(self, error: openai.APIStatusError) -> Exception:
        """Return the exception for an HTTP status that is an error."""
        self.answered = True
        status, message = error.status_code, self.shown(error.message)
        where = f"{self.url} (HTTP {status})"
        if status in (401, 403):
            return UserError(f"{where} refuses the key; {self.key_advice()}")
        if status == 404 or error.code == "model_not_found":
            return UserError(
                f"{where} has no model {self.recipe.model}: {message}. Mend the key model of "
                "the recipe, or endpoint, which most often ends in /v1"
            )
        if status >= 500 or status in (408, 409):
            return Faulty("server_error", f"HTTP {status}: {message}")
        if any(words in message.lower() for words in TOO_LONG):
            return Refused("prompt_too_long", f"the prompt does not fit the context: {message}")
        return self.refusal(
            f"HTTP {status}: {message}",
            f"{where} refuses the requests: {message}. Mend the recipe: "
            "the keys chat, extra and limit_parameter, and those of the decoding",
        )

    def of_logprobs(self) -> Exception:
        """Return the exception for a reply without the log-probabilities that were asked for."""
        missing = "no log-probabilities of tokens"
        return self.refusal(
            f"the reply holds {missing}",
            f"{self.url}: the replies hold {missing}; "
            "ask a server that gives them, or set logprobs: false in the judge's recipe",
        )

    def refusal(self, message: str, advice: str) -> Exception:
        """Return the exception for a refused request; several at first stop the job."""
        self.refused += 1
        if not self.completed and self.refused >= REFUSED_AT_FIRST:
            return UserError(advice)
        return Refused("refused", message)

    def key_advice(self) -> str:
        """Return what to do about a key that is refused."""
        recipe = self.recipe
        if isinstance(recipe, OpenAIRecipe) and (variable := recipe.key_variable):
            return f"set {variable} in the environment to one that it takes"
        return "name the environment's variable that holds one as key_variable in the recipe"

    def shown(self, message: object) -> str:
        """Return a message fit to be shown: short, and without the key if a server repeats it."""
        text = " ".join(str(message).replace(self.key, "***").split())
        return text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]}…"
