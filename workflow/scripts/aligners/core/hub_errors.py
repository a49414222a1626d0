"""Errors of the Hugging Face Hub's client as texts: what is wrong, and what to do."""

from httpx2 import InvalidURL, RequestError  # the HTTP library of huggingface_hub
from huggingface_hub import get_token
from huggingface_hub.constants import ENDPOINT
from huggingface_hub.errors import HfHubHTTPError

from aligners.core.http_environment import describe_proxy

# No result depends on this module, so fingerprints leave it out.
AFFECTS_RESULTS = False

# What the client raises. HfHubHTTPError is an OSError, but errors of connections are not.
HUB_ERRORS = (OSError, RequestError, InvalidURL, ImportError, ValueError, RuntimeError)


def describe(error: BaseException, again: str) -> str:
    """Return what is wrong and what to do, in one line; it can have the token (`without_token`).

    Args:
        error: of the Hub's client.
        again: how the user repeats the request.
    """
    if isinstance(error, RequestError):
        # The error's text can contain a header.
        return (
            f"the connection to the Hub at {ENDPOINT} failed ({type(error).__name__}); check the "
            f"network, then {again}"
        )
    if isinstance(error, InvalidURL | ImportError):  # The Hub's ValueErrors are not of a proxy.
        return describe_proxy(error)
    if not isinstance(error, HfHubHTTPError):
        return " ".join(str(error).split())
    return (
        f"the Hub responded with status {error.response.status_code} ({reason_of(error)}); if the "
        f"reason is temporary, {again}"
    )


def reason_of(error: HfHubHTTPError) -> str:
    """Return the reason that the Hub gives for an error, in one line."""
    return " ".join((error.server_message or "").split()) or "no reason given"


def without_token(text: str) -> str:
    """Return a text without the token of the Hub, which a server can repeat in its errors."""
    try:
        token = get_token()
    except (OSError, ValueError):  # a file of a token that cannot be read, so none was sent
        return text
    return text.replace(token, "<token>") if token else text
