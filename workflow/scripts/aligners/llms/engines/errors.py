"""Errors of requests to an endpoint: whether to retry the request, drop it, or stop the job."""

from collections.abc import Callable

import httpx2
import openai

from aligners.configuration.kinds.llms import OpenAIRecipe, ServerRecipe
from aligners.core.completions import Cause
from aligners.core.errors import UserError
from aligners.core.formats import duration, printable

# If an endpoint has never replied after this many attempts of one request, it counts as down; if a
# recipe allows fewer, after the last of them.
DOWN_AFTER = 5
# If nothing that it sends can be read as a reply, it counts as down after this many in all.
UNREADABLE_AT_START = 20
# After this many rejections in a row, a harmless question shows whether the server rejects all.
SUSPICIOUS = 3
# Phrases by which servers report that a prompt is too long. There is no common error code.
TOO_LONG = ("context_length", "context length", "maximum context", "context size", "too long")
# Error codes of a 429 that no waiting ends, of OpenAI and Anthropic.
NO_CREDIT = ("insufficient_quota", "credit_balance_exhausted", "enforced_spend_limit_reached")
# Fields of an error that say what is wrong: everywhere, at FastAPI, Azure and OpenRouter.
WORDS = ("message", "detail", "innererror", "metadata")
MAX_MESSAGE_LENGTH = 300
# Sent as the key if the recipe names none, because the SDK needs one.
NO_KEY = "none"


class AttemptError(Exception):
    """An attempt failed. Another attempt may succeed."""

    def __init__(self, cause: Cause, message: str):
        """Store the cause, by which failures are counted."""
        super().__init__(message)
        self.cause: Cause = cause


class RejectedError(AttemptError):
    """The server rejected a request. Another attempt would fail as well.

    Attributes:
        advice: what the user can do if the server rejects every request in this way; None if it
            can only be about this request.
        weight: the number of ordinary rejections that make one as suspicious as this one.
    """

    def __init__(self, cause: Cause, message: str, advice: str | None = None, weight: int = 1):
        """Store the cause and what the rejection says about other requests."""
        super().__init__(cause, message)
        self.advice, self.weight = advice, weight


class ErrorReply(Exception):
    """A reply with status 200 has an error in its body."""

    def __init__(self, error: object):
        """Store the error, which has any type."""
        super().__init__()
        self.error = error


class ErrorMapper:
    """Maps errors of the SDK and in replies to AttemptError, RejectedError and UserError.

    The mapping depends on the endpoint's earlier replies to all requests.

    Attributes:
        replied: whether the endpoint has sent any reply, including errors.
        unreadable: number of connections that failed.
    """

    def __init__(
        self, recipe: ServerRecipe, url: str, key: str, check_server: Callable[[str | None], None]
    ):
        """Start with an endpoint that got no request yet; see `Endpoint` for the arguments."""
        self.recipe, self.url, self.key, self.check_server = recipe, url, key, check_server
        self.replied = False
        self.unreadable = 0

    def check_credit(self, error: openai.RateLimitError) -> None:
        """Check that the server rejected a request because of its rate limit only.

        Raises:
            UserError: the account has no credit, so that waiting does not help.
        """
        self.replied = True
        if error.code in NO_CREDIT or error.type in NO_CREDIT:
            raise UserError(self.no_credit(429, self.words(error.body)))

    def no_credit(self, status: int, words: str) -> str:
        """Return the message for an account without credit."""
        return (
            f"{self.url} (HTTP {status}): the account has no credit left: {words}. Add credit and "
            "run again. Finished completions are kept"
        )

    def slow_down(self, error: openai.RateLimitError) -> str:
        """Return the reason of a pause."""
        return f"{self.url} asks to slow down (HTTP 429): {self.words(error.body)}"

    def from_rate_limit(self, error: openai.RateLimitError) -> UserError:
        """Return the exception for a rate limit that does not end."""
        waited = duration(self.recipe.longest_wait_seconds)
        return UserError(
            f"{self.slow_down(error)}. For {waited}, it has completed no request. Run again later, "
            "or raise longest_wait_seconds in the recipe. Finished completions are kept"
        )

    def from_connection_error(self, error: openai.APIConnectionError, attempt: int) -> Exception:
        """Return the exception for a failed connection, or for bytes that are no HTTP reply."""
        self.unreadable += 1
        cause = error.__cause__
        reason = self.redact(str(cause) or type(cause).__name__)
        refused = isinstance(cause, httpx2.ConnectError)
        garbled = not self.replied and self.unreadable >= UNREADABLE_AT_START
        is_down = attempt >= min(DOWN_AFTER, self.recipe.attempts) and (refused or garbled)
        # An endpoint that replied may only be busy, so its requests are sent again. A server
        # of this job that refuses connections has ended.
        self.check_server(reason if is_down else None)
        if is_down and not self.replied:
            return UserError(
                f"{self.url} cannot be reached ({reason}); "
                "start the server, or correct the key endpoint of the recipe"
            )
        return AttemptError("connection", f"the connection failed: {reason}")

    def from_status_error(self, error: openai.APIStatusError) -> Exception:
        """Return the exception for an HTTP status that reports an error."""
        self.replied = True
        return self.from_error(error.status_code, error.body)

    def from_error_reply(self, reply: ErrorReply) -> Exception:
        """Return the exception for an error in a body, which may have the code of a status."""
        code = reply.error.get("code") if isinstance(reply.error, dict) else None
        # A 429 here came from behind the server, after it had accepted the request.
        if isinstance(code, int) and 400 <= code < 600 and code != 429:
            return self.from_error(code, reply.error)
        words = self.words(reply.error)
        return AttemptError("server_error", f"the reply reports an error: {words}")

    def from_error(self, status: int, body: object) -> Exception:
        """Return the exception for an HTTP status and the error in its body, of any type."""
        words = self.words(body)
        where = f"{self.url} (HTTP {status})"
        code = body.get("code") if isinstance(body, dict) else None
        if status == 401:
            return UserError(f"{where} rejects the key: {words}. {self.key_advice()}")
        if status == 402:
            return UserError(self.no_credit(status, words))
        if status == 404 or code == "model_not_found":
            return UserError(
                f"{where} has no model {self.recipe.model}: {words}. Correct the key model "
                "of the recipe, or its key endpoint, which most often ends in /v1"
            )
        if status < 400:
            return AttemptError("bad_reply", f"HTTP {status}: {words}")
        if status >= 500 or status in (408, 409):
            return AttemptError("server_error", f"HTTP {status}: {words}")
        if status == 413 or any(phrase in words.lower() for phrase in TOO_LONG):
            return RejectedError(
                "prompt_too_long", f"the prompt does not fit into the context: {words}"
            )
        if status == 403:
            advice = (
                f"{where} rejects the requests: {words}. Check whether the key may use this model, "
                f"and whether the server accepts requests from here. {self.key_advice()}"
            )
            # Either about this prompt, or about the key: then every request is a waste.
            return RejectedError("refused", f"HTTP {status}: {words}", advice, SUSPICIOUS)
        advice = (
            f"{where} rejects the requests: {words}. Check these keys of the recipe: chat, "
            "extra, limit_parameter, prompts (of an aligner), and those of the decoding"
        )
        return RejectedError("refused", f"HTTP {status}: {words}", advice)

    def missing_logprobs(self) -> Exception:
        """Return the exception for a reply without the requested log-probabilities."""
        return RejectedError(
            "refused",
            "the reply has no log-probabilities of tokens",
            f"{self.url}: the replies have no log-probabilities of tokens; "
            "use a server that returns them, or set logprobs: false in the judge's recipe",
        )

    def key_advice(self) -> str:
        """Return what a user can do if the server rejects the API key."""
        recipe = self.recipe
        if isinstance(recipe, OpenAIRecipe) and (variable := recipe.key_variable):
            return f"Set the environment variable {variable} to a valid key"
        return (
            "Set key_variable in the recipe to the name of an environment variable with a valid key"
        )

    def words(self, body: object) -> str:
        """Return what a server says in the body of an error, which has any type."""
        parts = [body[name] for name in WORDS if body.get(name)] if isinstance(body, dict) else []
        return self.redact(", ".join(map(str, parts)) or body or "no message")

    def redact(self, message: object) -> str:
        """Return a message on one line, shortened, and without the key and hidden characters."""
        text = str(message)
        if self.key != NO_KEY:
            text = text.replace(self.key, "***")
        text = printable(" ".join(text.split()))
        return text if len(text) <= MAX_MESSAGE_LENGTH else f"{text[:MAX_MESSAGE_LENGTH]}…"
