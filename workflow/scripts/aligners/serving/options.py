"""The options of `aligners serve`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

# No result of the workflow depends on the server, so fingerprints leave it out.
AFFECTS_RESULTS = False

OnError = Literal["original", "refuse"]
StreamMode = Literal["hold", "observe"]

LOCAL_HOSTS = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class ServeOptions:
    """What to serve, and how.

    Attributes:
        squad: directory of a squad, or its repository on the Hugging Face Hub as owner/name, with
            @revision if it is not to be the main branch. The server asks the Hub once, when it
            starts.
        inference: YAML file that says where the aligners generate, with the keys that a backbone's
            recipe has under `inference`; by default, in the process with the models.
        upstream: base URL of the LLM's API, such as http://127.0.0.1:8080/v1. Without it, there
            are no chat completions.
        upstream_key_variable: environment variable with the key of the upstream. Without it, the
            upstream gets the client's Authorization if this server has no keys of its own, and no
            key otherwise.
        host: address to listen on. Any but 127.0.0.1, ::1 and localhost needs keys.
        port: port to listen on; 0 for any free one.
        key_file: file with one key on each line, which clients send as Authorization: Bearer KEY.
            The environment variable ALIGNERS_KEYS can have keys too, separated by commas.
        on_error: what a client gets if the squad fails: the original response, or an error 503.
        stream: hold sends a stream after its correction; observe passes it through, and its last
            chunk says what the squad would do.
        pass_through: other paths that go to the upstream without the squad, such as
            /v1/embeddings.
        page: serve a web page at / to try the squad.
        log_texts: JSON Lines file to which questions, responses and corrections are appended;
            `aligners import` reads it. Without it, no texts are logged.
        timeout: seconds within which the squad has to finish a response. If its models work so long
            without a result, their process is started again.
        upstream_timeout: seconds within which the upstream has to finish an answer.
        max_body_mb: largest body of a request, and of an answer of the upstream, in MB.
        max_characters: longest question or response that the squad examines; a longer one is
            skipped. Inspectors read a long response in windows, and no aligner reads it whole.
        max_queue: responses at most that wait for the squad, or that the upstream writes for
            requests in progress; more requests get a 429.
        max_requests: requests at the same time at most; more get a 429.
        ping_seconds: a stream that waits gets a comment each time so many seconds have passed, so
            that no proxy closes it. Before the first, errors still have their own status.
        shutdown_seconds: how long running requests can finish after SIGTERM, rounded up to whole
            seconds.
    """

    squad: str
    inference: Path | None = None
    upstream: str | None = None
    upstream_key_variable: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    key_file: Path | None = None
    on_error: OnError = "original"
    stream: StreamMode = "hold"
    pass_through: tuple[str, ...] = ()
    page: bool = False
    log_texts: Path | None = None
    timeout: float = 60.0
    upstream_timeout: float = 600.0
    max_body_mb: float = 20.0
    max_characters: int = 20_000
    max_queue: int = 512
    max_requests: int = 512
    ping_seconds: float = 15.0
    shutdown_seconds: float = 30.0

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the server."""
        return self.host in LOCAL_HOSTS

    @property
    def max_body(self) -> int:
        """Largest body in bytes."""
        return int(self.max_body_mb * 1_000_000)
