"""A fake Hugging Face Hub on 127.0.0.1: it stores what a client uploads, and serves it.

It handles the requests of `huggingface_hub` that create a repository, upload a folder (small files
in the commit, large files by Git LFS) and download a repository.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote

from http_servers import serve

TOKEN = "hf_only_for_the_tests"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
# Instead of a status: the connection is closed without a response.
CLOSED = 0


def commit_of(branch: str) -> str:
    """Return the commit of a branch."""
    return COMMIT if branch == "main" else hashlib.sha1(branch.encode()).hexdigest()


@dataclass
class Repository:
    """A repository.

    Attributes:
        private: whether it is private.
        gated: whether its files are for other accounts only.
        branches: content of each file by branch and path.
        messages: of the commits.
    """

    private: bool = False
    gated: bool = False
    branches: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"main": {}})
    messages: list[str] = field(default_factory=list)

    def files_at(self, commit: str) -> dict[str, bytes] | None:
        """Return the files of the branch with a commit, if there is one."""
        found = (files for name, files in self.branches.items() if commit_of(name) == commit)
        return next(found, None)


@dataclass
class Hub:
    """The state of the fake Hub.

    Attributes:
        repositories: by type and name, such as ("model", "someone/thing").
        requests: method, path, headers with names in lower case, and body of each request.
        failures: status, or CLOSED, by a pattern of the path, for requests that have to fail.
        lfs_from: size in bytes from which a file is uploaded by LFS.
        large: content of the files uploaded by LFS, by their hash.
        url: address of the server.
    """

    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)
    lfs_from: int = 1000
    large: dict[str, bytes] = field(default_factory=dict)
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_GET(self) -> None:
        self.handle_request("GET")

    def do_HEAD(self) -> None:
        self.handle_request("HEAD")

    def do_POST(self) -> None:
        self.handle_request("POST")

    def do_PUT(self) -> None:
        self.handle_request("PUT")

    def log_message(self, format: str, *arguments: Any) -> None:
        """Print nothing."""

    def handle_request(self, method: str) -> None:
        """Read a request, record it, and answer it."""
        body = self.read_body()
        self.path = unquote(self.path.split("?")[0])
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.hub.requests.append((method, self.path, headers, body))
        for pattern, status in self.hub.failures.items():
            if re.search(pattern, self.path):
                if status == CLOSED:
                    self.close_connection = True
                    return None
                # The error contains the token, which a message to the user must not show.
                return self.answer(status, {"error": f"no, {self.headers['Authorization']}"})
        if self.path.startswith("/storage/"):  # of a third party, which must not get the token
            return self.store(body)
        if self.path == "/api/agent-harnesses":  # a request of the client that has no effect
            return self.answer(404, {})
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            return self.answer(401, {"error": "Invalid username or password."})
        self.route(json.loads(body) if body and "/commit/" not in self.path else None, body)

    def read_body(self) -> bytes:
        """Return the body, which is sent at once or in chunks."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def answer(self, status: int, content: Any, error: str = "") -> None:
        """Send JSON, and the Hub's error code if there is one."""
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if error:
            self.send_header("X-Error-Code", error)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
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
        file = re.fullmatch(r"/(datasets/)?([^/]+/[^/]+)/resolve/(\w{40})/(.+)", self.path)
        if file:
            return self.send_file("dataset" if file[1] else "model", file[2], file[3], file[4])
        match = re.fullmatch(r"/api/(model|dataset)s/([^/]+/[^/]+)(?:/(\w+)/(.+))?", self.path)
        repository = self.hub.repositories.get((match[1], match[2])) if match else None
        if not match or repository is None:
            return self.answer(404, {"error": "Repository not found"}, "RepoNotFound")
        name = f"{'datasets/' * (match[1] == 'dataset')}{match[2]}"
        action, revision = match[3], match[4]
        if action == "tree" and (files := repository.files_at(revision)) is not None:
            entries = [{"path": path, "size": len(content)} for path, content in files.items()]
            return self.answer(200, [{"type": "file", "oid": "0" * 40, **each} for each in entries])
        if action is None or (action == "revision" and revision in repository.branches):
            commit = commit_of(revision or "main")
            info = {"id": match[2], "private": repository.private, "sha": commit}
            info["siblings"] = []
            return self.answer(200, {**info, "tags": [], "downloads": 0, "likes": 0})
        if action == "branch":
            exists = revision in repository.branches
            repository.branches.setdefault(revision, dict(repository.branches["main"]))
            return self.answer(409 if exists else 200, {"error": "exists"} if exists else {})
        if revision not in repository.branches:
            return self.answer(404, {"error": "Revision not found"}, "RevisionNotFound")
        if action == "preupload":
            return self.preupload(request)
        self.commit(repository, revision, name, body)

    def send_file(self, kind: str, name: str, commit: str, path: str) -> None:
        """Send a file of a model or a data set."""
        repository = self.hub.repositories.get((kind, name))
        files = repository.files_at(commit) if repository else None
        if repository is None or files is None or path not in files:
            return self.answer(404, {"error": "Entry not found"})
        if repository.gated:
            return self.answer(403, {"error": "Ask for access"}, "GatedRepo")
        content = files[path]
        self.send_response(200)
        self.send_header("X-Repo-Commit", commit)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def create(self, request: Any) -> None:
        """Create a repository, or answer that it exists."""
        kind, owner = request.get("type", "model"), request["organization"]
        name = f"{owner}/{request['name']}"
        exists = (kind, name) in self.hub.repositories
        private = request.get("visibility") == "private"
        self.hub.repositories.setdefault((kind, name), Repository(private))
        url = f"{self.hub.url}/{'datasets/' * (kind == 'dataset')}{name}"
        self.answer(
            409 if exists else 200, {"url": url, "error": "exists"} if exists else {"url": url}
        )

    def preupload(self, request: Any) -> None:
        """Answer which files to upload by LFS."""
        modes = [
            "lfs" if file["size"] >= self.hub.lfs_from else "regular" for file in request["files"]
        ]
        files = [
            {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}
            for file, mode in zip(request["files"], modes, strict=True)
        ]
        self.answer(200, {"files": files})

    def batch(self, request: Any) -> None:
        """Answer where to upload the content of large files."""
        objects = [
            {**entry, "actions": {"upload": {"href": f"{self.hub.url}/storage/{entry['oid']}"}}}
            for entry in request["objects"]
        ]
        self.answer(200, {"transfer": "basic", "objects": objects})

    def store(self, body: bytes) -> None:
        """Store the content of a large file if it has the hash in the path."""
        expected = self.path.rsplit("/", 1)[1]
        if hashlib.sha256(body).hexdigest() != expected:
            return self.answer(400, {"error": "wrong hash"})
        self.hub.large[expected] = body
        self.answer(200, {})

    def commit(self, repository: Repository, revision: str, name: str, body: bytes) -> None:
        """Store the files of a commit on a branch."""
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
    """Serve an empty fake Hub until the end of the block."""
    hub = Hub()
    with serve(type("HubHandler", (Handler,), {"hub": hub})) as hub.url:
        yield hub
