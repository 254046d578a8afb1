"""A small server on this machine that answers as the Hugging Face Hub does.

It knows models with branches and commits, and what the Hub's client asks to load them and to push
one: model info, file trees, `resolve` with its headers, creating a repo, and committing. Weights
are answered by a redirect to another path, as large files are on the Hub.
"""

import base64
import hashlib
import json
import socket
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

LARGE_SUFFIXES = (".pt", ".safetensors", ".bin")
ERRORS = {
    "RepoNotFound": "Repository not found",
    "RevisionNotFound": "Invalid rev id",
    "EntryNotFound": "Entry not found",
}


@dataclass
class Repo:
    """One model: commits by their id, and branches that point to them."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    token: str | None = None

    def commit(self, files, branch="main"):
        """Set what a branch holds; returns the id of the commit."""
        digest = hashlib.sha1(repr(len(self.commits)).encode())
        for name, content in sorted(files.items()):
            digest.update(name.encode() + content)
        self.commits[digest.hexdigest()] = dict(files)
        self.branches[branch] = digest.hexdigest()
        return digest.hexdigest()


class MissingError(Exception):
    """Something that was asked for is not there; carries the Hub's code for it."""


class HubServer(ThreadingHTTPServer):
    """The server, its repos, and the log of what it was asked."""

    daemon_threads = True

    def __init__(self):
        self.repos: dict[str, Repo] = {}
        self.log: list[str] = []
        self.connections: list[socket.socket] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self):
        """What HF_ENDPOINT shall be."""
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def store_url(self):
        """Where large files are: for the client another host, so that it reads the redirect."""
        return f"http://localhost:{self.server_port}"

    def get_request(self):
        """Remember every connection, to be able to end it."""
        connection, address = super().get_request()
        self.connections.append(connection)
        return connection, address

    def vanish(self):
        """Answer nothing any more, on old connections neither; like a cable pulled out."""
        self.shutdown()
        self.server_close()
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def add(self, repo_id, files, branch="main"):
        """Put files into a repo; returns the id of the commit."""
        return self.repos.setdefault(repo_id, Repo()).commit(files, branch)

    def find(self, repo_id, revision, token=None):
        """Return a repo's commit id and files at a branch or commit."""
        repo = self.repos.get(repo_id)
        if repo is None or repo.token not in (None, token):
            raise MissingError("RepoNotFound")
        commit = repo.branches.get(revision, revision)
        if commit not in repo.commits:
            raise MissingError("RevisionNotFound")
        return commit, repo.commits[commit]


@contextmanager
def running_hub():
    """Run a server in a thread; it can be stopped early with `vanish`."""
    server = HubServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.vanish()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    server: HubServer

    def do_GET(self):
        self._answer()

    def do_HEAD(self):
        self._answer()

    def do_POST(self):
        self._answer()

    def log_message(self, *_):
        pass

    def _answer(self):
        path = urlsplit(self.path).path.strip("/")
        self.server.log.append(f"{self.command} /{path}")
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        parts = [unquote(part) for part in path.split("/")]  # a branch may have a slash
        try:
            if self.command == "POST":
                self._post(parts, body)
            elif parts[0] == "api":
                self._get_api("/".join(parts[2:4]), parts[4:])
            elif parts[0] == "large":
                self._send(self._large(parts[1]), "application/octet-stream")
            else:
                self._resolve("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
        except MissingError as missing:
            self._send_error(str(missing))

    def _token(self):
        return (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None

    def _get_api(self, repo_id, rest):
        """Answer `/api/models/ID`, `.../revision/REV` and `.../tree/REV[/FOLDER]`."""
        commit, files = self.server.find(repo_id, rest[1] if rest else "main", self._token())
        if rest[:1] == ["tree"]:
            folder = "".join(f"{part}/" for part in rest[2:])
            inside = {name: data for name, data in files.items() if name.startswith(folder)}
            if folder and not inside:
                raise MissingError("EntryNotFound")
            self._send_json([self._tree_entry(name, data) for name, data in inside.items()])
            return
        siblings = [{"rfilename": name} for name in sorted(files)]
        self._send_json({"_id": "0", "id": repo_id, "sha": commit, "siblings": siblings})

    def _tree_entry(self, name, data):
        oid = hashlib.sha1(data).hexdigest()
        entry = {"type": "file", "oid": oid, "size": len(data), "path": name}
        if name.endswith(LARGE_SUFFIXES):
            digest = hashlib.sha256(data).hexdigest()
            entry["lfs"] = {"oid": digest, "size": len(data), "pointerSize": 134}
        return entry

    def _resolve(self, repo_id, revision, name):
        """Answer `/ID/resolve/REV/FILE`; a large file by a redirect."""
        commit, files = self.server.find(repo_id, revision, self._token())
        headers = {"X-Repo-Commit": commit}
        if name not in files:
            self._send_error("EntryNotFound", headers)
            return
        data = files[name]
        if not name.endswith(LARGE_SUFFIXES):
            headers["ETag"] = f'"{hashlib.sha1(data).hexdigest()}"'
            self._send(data, "text/plain", headers=headers)
            return
        digest = hashlib.sha256(data).hexdigest()
        headers |= {
            "X-Linked-ETag": f'"{digest}"',
            "X-Linked-Size": str(len(data)),
            "Location": f"{self.server.store_url}/large/{digest}",
        }
        self._send(b"", "text/plain", HTTPStatus.FOUND, headers)

    def _large(self, digest):
        for repo in self.server.repos.values():
            for files in repo.commits.values():
                for data in files.values():
                    if hashlib.sha256(data).hexdigest() == digest:
                        return data
        raise MissingError("EntryNotFound")

    def _post(self, parts, body):
        """Answer what pushing asks: create, preupload, commit."""
        if parts == ["api", "repos", "create"]:
            fields = json.loads(body)
            owner = fields.get("organization") or "me"
            repo_id = f"{owner}/{fields['name']}"
            self.server.add(repo_id, {})
            self._send_json({"url": f"{self.server.url}/{repo_id}", "name": repo_id})
        elif parts[:2] == ["api", "validate-yaml"]:
            self._send_json({"errors": [], "warnings": []})
        elif "preupload" in parts:
            files = json.loads(body)["files"]
            answer = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files
            ]
            self._send_json({"files": answer})
        else:
            self._commit("/".join(parts[2:4]), parts[5], body)

    def _commit(self, repo_id, branch, body):
        """Take a commit whose files come in the request itself."""
        _, files = self.server.find(repo_id, branch, self._token())
        files = dict(files)
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        commit = self.server.add(repo_id, files, branch)
        url = f"{self.server.url}/{repo_id}/commit/{commit}"
        self._send_json({"success": True, "commitOid": commit, "commitUrl": url})

    def _send_json(self, value):
        self._send(json.dumps(value).encode(), "application/json")

    def _send_error(self, code, headers=None):
        told = {"X-Error-Code": code, "X-Error-Message": ERRORS[code]} | (headers or {})
        # The Hub hides whether a repo exists from those who may not read it.
        status = HTTPStatus.UNAUTHORIZED if code == "RepoNotFound" else HTTPStatus.NOT_FOUND
        body = json.dumps({"error": ERRORS[code]}).encode()
        self._send(body, "application/json", status, told)

    def _send(self, body, kind, status=HTTPStatus.OK, headers=None):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
