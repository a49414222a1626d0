"""Who may use the server: keys, and protection of a server without keys from web pages."""

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from aligners.core.errors import UserError
from aligners.core.rows import read_text
from aligners.serving.errors import AUTHENTICATION, PERMISSION, ApiError, bad_request
from aligners.serving.options import LOCAL_HOSTS, ServeOptions

AFFECTS_RESULTS = False

KEYS_VARIABLE = "ALIGNERS_KEYS"
# Names under which clients put a key into a URL, where proxies and browsers store it.
KEY_PARAMETERS = {"key", "api_key", "apikey", "api-key", "token", "access_token", "authorization"}


def read_keys(options: ServeOptions) -> list[str]:
    """Return the keys of the key file and of the environment.

    Raises:
        UserError: the file has none, a key has an unusable character, or the address needs keys
            and there are none.
    """
    keys = [key.strip() for key in os.environ.get(KEYS_VARIABLE, "").split(",") if key.strip()]
    places = [KEYS_VARIABLE] * len(keys)
    if options.key_file is not None:
        found = keys_of_file(options.key_file)
        keys, places = keys + found, places + [str(options.key_file)] * len(found)
    for key, place in zip(keys, places, strict=True):
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise UserError(f"{place}: a key has a character that HTTP cannot send; correct it")
    if not keys and not options.is_local:
        raise UserError(
            f"--host {options.host}: other machines can reach this address, so clients need a key; "
            f"write one into a file for --key-file, or set the environment variable {KEYS_VARIABLE}"
        )
    return keys


def keys_of_file(path: Path) -> list[str]:
    """Return the keys of a file, one on each line; lines that begin with # are comments.

    Raises:
        UserError: the file cannot be read, or has no key.
    """
    lines = [line.strip() for line in read_text(path).splitlines()]
    keys = [line for line in lines if line and not line.startswith("#")]
    if not keys:
        raise UserError(f"{path}: no key; write one key on each line")
    return keys


class Access:
    """Checks requests before anything else reads them."""

    def __init__(self, keys: Sequence[str]):
        """Keep only digests, so that no message or dump can show a key."""
        self.digests = [digest(key) for key in keys]

    def check(self, headers: Mapping[str, str], query: str) -> None:
        """Check the key of a request, or without keys, that no web page sent it.

        Args:
            headers: by name in small letters.
            query: of the URL.

        Raises:
            ApiError: the request is not allowed.
        """
        self.check_query(query)
        if "origin" in headers and not sends_bearer(headers):
            check_origin(headers)
        if not self.digests:
            check_host(headers)
            return
        given = given_key(headers)
        if given is None:
            raise unauthorized("no key; send the header Authorization: Bearer KEY", "missing_key")
        # Compares all, so that the time does not tell which key is similar.
        matches = [hmac.compare_digest(digest(given), known) for known in self.digests]
        if not any(matches):
            raise unauthorized("the key is wrong; send one of the server's keys", "invalid_key")

    def check_query(self, query: str) -> None:
        """Check that the URL has no key.

        Raises:
            ApiError: it has one.
        """
        if not query:
            return
        for name, _ in parse_qsl(query, keep_blank_values=True):
            if name.lower() in KEY_PARAMETERS:
                raise bad_request(
                    f"the URL has a key in the parameter {name!r}, where logs would keep it; send "
                    "the header Authorization: Bearer KEY, and replace this key",
                    "key_in_query",
                    name,
                )


def digest(key: str) -> bytes:
    """Return a digest of a key; all have the same length."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def sends_bearer(headers: Mapping[str, str]) -> bool:
    """Return whether a program chose to send a key; a browser does not add these by itself."""
    scheme = headers.get("authorization", "").partition(" ")[0].lower()
    return scheme == "bearer" or "x-api-key" in headers


def given_key(headers: Mapping[str, str]) -> str | None:
    """Return the key of a request; None if it has none.

    It is sent as Authorization: Bearer, as x-api-key (LiteLLM's guardrails), or as the password of
    Authorization: Basic (browsers).
    """
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2] or None
        except (binascii.Error, UnicodeDecodeError):
            return None
    return headers.get("x-api-key") or None


def check_origin(headers: Mapping[str, str]) -> None:
    """Check that a web page of another site did not send the request.

    Raises:
        ApiError: one did.
    """
    try:
        site = urlsplit(headers["origin"]).netloc.lower()
    except ValueError:
        site = None
    if site != headers.get("host", "").lower():
        raise ApiError(
            403,
            "a web page of another site sent this request; send it from a program, with a key in "
            "the header Authorization: Bearer KEY",
            "cross_origin",
            PERMISSION,
        )


def check_host(headers: Mapping[str, str]) -> None:
    """Check that a request to a server without keys names this machine.

    A web page can let a name of its own lead to 127.0.0.1, and then read what it likes.

    Raises:
        ApiError: the header Host names another machine.
    """
    try:
        name = urlsplit(f"//{headers.get('host', '')}").hostname
    except ValueError:
        name = None
    if name not in LOCAL_HOSTS:
        raise ApiError(
            403,
            "the header Host does not name this machine, and the server has no keys; start it with "
            "--key-file to use it under another name",
            "unknown_host",
            PERMISSION,
        )


def unauthorized(message: str, code: str) -> ApiError:
    """Return the error of a request without a valid key."""
    # Browsers ask for the key as a password.
    headers = {"www-authenticate": 'Basic realm="aligners", charset="UTF-8"'}
    return ApiError(401, message, code, AUTHENTICATION, headers=headers)
