"""Errors of the environment variables that clients of HTTP read: proxies and certificates."""

from collections.abc import Iterator
from contextlib import contextmanager

from httpx2 import InvalidURL

from aligners.core.errors import UserError

# No result depends on this module, so fingerprints leave it out.
AFFECTS_RESULTS = False

# What a client raises for the URL of a proxy; ImportError is for one of SOCKS.
PROXY_ERRORS = (ValueError, InvalidURL, ImportError)


def describe_proxy(error: Exception) -> str:
    """Return what is wrong with a proxy and what to do, for one of PROXY_ERRORS."""
    return (
        f"{error}; correct the environment variable that names the proxy (HTTP_PROXY, HTTPS_PROXY "
        "or ALL_PROXY)"
    )


@contextmanager
def explained_environment(url: str) -> Iterator[None]:
    """Explain the errors that a client of httpx2 raises when it is made.

    Args:
        url: of the server, for the message.

    Raises:
        UserError: an environment variable names a proxy or a file of certificates that cannot be
            used.
    """
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{url}: the certificates cannot be read ({error}); correct the environment variables "
            "SSL_CERT_FILE, SSL_CERT_DIR and SSLKEYLOGFILE, or unset them"
        ) from None
    except PROXY_ERRORS as error:
        raise UserError(f"{url}: {describe_proxy(error)}") from None
