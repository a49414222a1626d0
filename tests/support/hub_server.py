"""A stand-in for the Hugging Face Hub, for tests: it keeps what a client uploads, and gives it out.

It listens on 127.0.0.1 alone, and answers as the Hub does what `huggingface_hub` asks when it
makes a repository and uploads a folder (small files in the commit, large ones by Git LFS), and when
it downloads one.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

TOKEN = "hf_only_for_the_tests"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Repository:
    """What was made and sent: content by path for each branch."""

    private: bool = False
    branches: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"main": {}})
    messages: list[str] = field(default_factory=list)


@dataclass
class Hub:
    """The state of the stand-in.

    Attributes:
        repositories: by type and name, such as ("model", "someone/thing").
        requests: method, path, headers with names in lower case, and body of all that came.
        refusals: status by a pattern of the path, for requests that are to fail.
        lfs_from: size in bytes from which a file goes by LFS.
    """

    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    refusals: dict[str, int] = field(default_factory=dict)
    lfs_from: int = 1000
    large: dict[str, bytes] = field(default_factory=dict)
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    timeout = 20
    hub: Hub

    def do_GET(self) -> None:
        self.take("GET")

    def do_HEAD(self) -> None:
        self.take("HEAD")

    def do_POST(self) -> None:
        self.take("POST")

    def do_PUT(self) -> None:
        self.take("PUT")

    def log_message(self, format: str, *arguments: Any) -> None:
        """Print nothing."""

    def take(self, method: str) -> None:
        """Read a request, note it, and answer it."""
        body = self.read_body()
        self.path = unquote(self.path.split("?")[0])
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.hub.requests.append((method, self.path, headers, body))
        for pattern, status in self.hub.refusals.items():
            if re.search(pattern, self.path):
                # The Hub shows no header; one that does must not bring it into a message.
                return self.answer(status, {"error": f"no, {self.headers['Authorization']}"})
        if self.path.startswith("/storage/"):  # of a third party: no token may come here
            return self.store(body)
        if self.path == "/api/agent-harnesses":  # asked by the client for itself
            return self.answer(404, {})
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            return self.answer(401, {"error": "Invalid username or password."})
        self.route(json.loads(body) if body and "/commit/" not in self.path else None, body)

    def read_body(self) -> bytes:
        """Return the body, sent whole or in chunks."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def answer(self, status: int, content: Any, error: str = "") -> None:
        """Send JSON, with the Hub's code of an error if there is one."""
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if error:
            self.send_header("X-Error-Code", error)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def route(self, request: Any, body: bytes) -> None:
        """Answer a request that has the right token."""
        if self.path == "/api/repos/create":
            return self.create(request)
        if self.path == "/api/validate-yaml":
            return self.answer(200, {"errors": [], "warnings": []})
        batch = re.fullmatch(r"/(?:datasets/)?[^/]+/[^/]+\.git/info/lfs/objects/batch", self.path)
        if batch:
            return self.batch(request)
        file = re.fullmatch(rf"/(datasets/)?([^/]+/[^/]+)/resolve/({COMMIT})/(.+)", self.path)
        if file:
            return self.send_file("dataset" if file[1] else "model", file[2], file[4])
        match = re.fullmatch(r"/api/(model|dataset)s/([^/]+/[^/]+)(?:/(\w+)/(.+))?", self.path)
        repository = self.hub.repositories.get((match[1], match[2])) if match else None
        if not match or repository is None:
            return self.answer(404, {"error": "Repository not found"}, "RepoNotFound")
        name = f"{'datasets/' * (match[1] == 'dataset')}{match[2]}"
        action, revision = match[3], match[4]
        if action == "tree" and revision == COMMIT:
            files = repository.branches["main"].items()
            entries = [{"path": path, "size": len(content)} for path, content in files]
            return self.answer(200, [{"type": "file", "oid": "0" * 40, **each} for each in entries])
        if action is None:
            info = {"id": match[2], "private": repository.private, "sha": COMMIT}
            info["siblings"] = []
            return self.answer(200, {**info, "tags": [], "downloads": 0, "likes": 0})
        if action == "branch":
            known = revision in repository.branches
            repository.branches.setdefault(revision, dict(repository.branches["main"]))
            return self.answer(409 if known else 200, {"error": "exists"} if known else {})
        if revision not in repository.branches:
            return self.answer(404, {"error": "Revision not found"})
        if action == "preupload":
            return self.preupload(request)
        self.commit(repository, revision, name, body)

    def send_file(self, kind: str, name: str, path: str) -> None:
        """Send a file of a model or a data set."""
        repository = self.hub.repositories.get((kind, name))
        if repository is None or path not in repository.branches["main"]:
            return self.answer(404, {"error": "Entry not found"})
        content = repository.branches["main"][path]
        self.send_response(200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def create(self, request: Any) -> None:
        """Make a repository, or say that it is there."""
        kind, owner = request.get("type", "model"), request["organization"]
        name = f"{owner}/{request['name']}"
        known = (kind, name) in self.hub.repositories
        private = request.get("visibility") == "private"
        self.hub.repositories.setdefault((kind, name), Repository(private))
        url = f"{self.hub.url}/{'datasets/' * (kind == 'dataset')}{name}"
        self.answer(
            409 if known else 200, {"url": url, "error": "exists"} if known else {"url": url}
        )

    def preupload(self, request: Any) -> None:
        """Tell which files go by LFS."""
        modes = [
            "lfs" if file["size"] >= self.hub.lfs_from else "regular" for file in request["files"]
        ]
        files = [
            {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}
            for file, mode in zip(request["files"], modes, strict=True)
        ]
        self.answer(200, {"files": files})

    def batch(self, request: Any) -> None:
        """Tell where the content of large files goes."""
        objects = [
            {**entry, "actions": {"upload": {"href": f"{self.hub.url}/storage/{entry['oid']}"}}}
            for entry in request["objects"]
        ]
        self.answer(200, {"transfer": "basic", "objects": objects})

    def store(self, body: bytes) -> None:
        """Keep the content of a large file if it is what was announced."""
        announced = self.path.rsplit("/", 1)[1]
        if hashlib.sha256(body).hexdigest() != announced:
            return self.answer(400, {"error": "other content than announced"})
        self.hub.large[announced] = body
        self.answer(200, {})

    def commit(self, repository: Repository, revision: str, name: str, body: bytes) -> None:
        """Put the files of a commit on a branch."""
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "header":
                repository.messages.append(value["summary"])
            elif entry["key"] == "file":
                content = base64.b64decode(value["content"])
                repository.branches[revision][value["path"]] = content
            else:
                repository.branches[revision][value["path"]] = self.hub.large[value["oid"]]
        url = f"{self.hub.url}/{name}/commit/{COMMIT}"
        self.answer(200, {"commitUrl": url, "commitOid": COMMIT})


@contextmanager
def serve_hub() -> Iterator[Hub]:
    """Serve an empty stand-in on a free port until the end of the block."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("HubHandler", (Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=20)
