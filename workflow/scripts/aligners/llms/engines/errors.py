"""Errors of requests to an endpoint: whether to retry the request, drop it, or stop the job."""

from collections.abc import Callable

import openai

from aligners.configuration.kinds.llms import OpenAIRecipe, ServerRecipe
from aligners.core.completions import Cause
from aligners.core.errors import UserError

# If an endpoint has never replied after this many attempts of one request, it counts as down.
DOWN_AFTER = 5
# If this many requests are rejected before the first completion, the recipe is wrong.
REJECTED_AT_START = 3
# Phrases by which servers report that a prompt is too long. There is no common error code.
TOO_LONG = ("context_length", "context length", "maximum context", "context size", "too long")
MAX_MESSAGE_LENGTH = 300


class AttemptError(Exception):
    """An attempt failed. Another attempt may succeed."""

    def __init__(self, cause: Cause, message: str):
        """Store the cause, by which failures are counted."""
        super().__init__(message)
        self.cause: Cause = cause


class RejectedError(AttemptError):
    """The server rejected a request. Another attempt would fail as well."""


class ErrorMapper:
    """Maps the SDK's errors to AttemptError, RejectedError and UserError.

    The mapping depends on the endpoint's earlier replies to all requests.

    Attributes:
        replied: whether the endpoint has sent any reply, including errors.
        completed: whether any request has a completion.
        rejected: number of rejected requests.
    """

    def __init__(self, recipe: ServerRecipe, url: str, key: str, check_server: Callable[[], None]):
        """Start with an endpoint that got no request yet; see `Endpoint` for the arguments."""
        self.recipe, self.url, self.key, self.check_server = recipe, url, key, check_server
        self.replied = self.completed = False
        self.rejected = 0

    def check_credit(self, error: openai.RateLimitError) -> None:
        """Check that the server rejected a request because of its rate limit only.

        Raises:
            UserError: the account has no credit, so that waiting does not help.
        """
        self.replied = True
        if error.code == "insufficient_quota":
            raise UserError(
                f"{self.url}: the account has no credit left; add credit and run "
                "again. Finished completions are kept"
            )

    def from_connection_error(self, error: openai.APIConnectionError, attempt: int) -> Exception:
        """Return the exception for a failed connection."""
        self.check_server()
        reason = self.redact(error.__cause__)
        if not self.replied and attempt >= DOWN_AFTER:
            return UserError(
                f"{self.url} cannot be reached ({reason}); "
                "start the server, or correct the key endpoint of the recipe"
            )
        return AttemptError("connection", f"the connection failed: {reason}")

    def from_status_error(self, error: openai.APIStatusError) -> Exception:
        """Return the exception for an HTTP status that reports an error."""
        self.replied = True
        status, message = error.status_code, self.redact(error.message)
        where = f"{self.url} (HTTP {status})"
        if status in (401, 403):
            return UserError(f"{where} rejects the key; {self.key_advice()}")
        if status == 404 or error.code == "model_not_found":
            return UserError(
                f"{where} has no model {self.recipe.model}: {message}. Correct the key model "
                "of the recipe, or its key endpoint, which most often ends in /v1"
            )
        if status >= 500 or status in (408, 409):
            return AttemptError("server_error", f"HTTP {status}: {message}")
        if any(phrase in message.lower() for phrase in TOO_LONG):
            return RejectedError(
                "prompt_too_long", f"the prompt does not fit into the context: {message}"
            )
        return self.rejection(
            f"HTTP {status}: {message}",
            f"{where} rejects the requests: {message}. Check these keys of the recipe: chat, "
            "extra, limit_parameter, and those of the decoding",
        )

    def missing_logprobs(self) -> Exception:
        """Return the exception for a reply without the requested log-probabilities."""
        return self.rejection(
            "the reply has no log-probabilities of tokens",
            f"{self.url}: the replies have no log-probabilities of tokens; "
            "use a server that returns them, or set logprobs: false in the judge's recipe",
        )

    def rejection(self, message: str, advice: str) -> Exception:
        """Return the exception for a rejected request. Several at the start stop the job."""
        self.rejected += 1
        if not self.completed and self.rejected >= REJECTED_AT_START:
            return UserError(advice)
        return RejectedError("refused", message)

    def key_advice(self) -> str:
        """Return what a user can do if the server rejects the API key."""
        recipe = self.recipe
        if isinstance(recipe, OpenAIRecipe) and (variable := recipe.key_variable):
            return f"set the environment variable {variable} to a valid key"
        return (
            "set key_variable in the recipe to the name of an environment variable with a valid key"
        )

    def redact(self, message: object) -> str:
        """Return a message on one line, shortened, and without the API key."""
        text = " ".join(str(message).replace(self.key, "***").split())
        return text if len(text) <= MAX_MESSAGE_LENGTH else f"{text[:MAX_MESSAGE_LENGTH]}…"
