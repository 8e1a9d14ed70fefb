"""As much of the Hugging Face Hub's HTTP interface as one repository needs, on this machine.

Files come inside a commit, as the Hub takes small ones; its storage of large files (Xet) has a
protocol of its own, which the client's library speaks.
"""

import base64
import hashlib
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from reference.web_server import running


class HubServer(ThreadingHTTPServer):
    """Repositories, each a list of commits (oldest first): {file: bytes}."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repos = {}
        self.asked = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def commit(self, repo, files):
        """Adds a commit; returns its hash."""
        commits = self.repos.setdefault(repo, [])
        commits.append({**(commits[-1] if commits else {}), **files})
        return commit_hash(len(commits) - 1)

    def find(self, repo, revision):
        """Hash and files of a revision; None: there is none."""
        commits = self.repos[repo]
        if revision == "main":
            revision = commit_hash(len(commits) - 1)
        hashes = {commit_hash(index): files for index, files in enumerate(commits)}
        return (revision, hashes[revision]) if revision in hashes else None


def commit_hash(index):
    return hashlib.sha1(str(index).encode()).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    def do_HEAD(self):  # noqa: N802
        self._resolve(with_body=False)

    def do_GET(self):  # noqa: N802
        if self.path.startswith("/api/models/"):
            self._list()
        else:
            self._resolve(with_body=True)

    def do_POST(self):  # noqa: N802
        self.server.asked.append(f"POST {self.path}")
        lines = [json.loads(line) for line in self._body().splitlines()]
        if self.headers.get("Authorization") != "Bearer hf_right":
            self._answer(b'{"error": "Invalid username or password."}', status=401)
        elif self.path == "/api/repos/create":
            repo = f"{lines[0]['organization']}/{lines[0]['name']}"
            self.server.repos.setdefault(repo, [])
            self._say({"url": f"{self.server.url}/{repo}", "name": repo})
        elif "/preupload/" in self.path:
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in lines[0]["files"]
            ]
            self._say({"files": files})
        elif "/commit/" in self.path:
            self._commit(lines)
        else:
            self._say({})

    def _commit(self, lines):
        files = {}
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
        repo = self.path.removeprefix("/api/models/").partition("/commit/")[0]
        made = self.server.commit(repo, files)
        url = f"{self.server.url}/{repo}/commit/{made}"
        self._say({"commitUrl": url, "commitOid": made, "success": True})

    def _list(self):
        """`/api/models/owner/name/revision/REVISION`, and `…/tree/REVISION`."""
        self.server.asked.append(f"{self.command} {self.path}")
        path = self.path.partition("?")[0].removeprefix("/api/models/")
        owner, name, kind, revision = (*path.split("/", 3), "revision", "main")[:4]
        found = self._find(f"{owner}/{name}", revision)
        if found is None:
            return
        files = [
            {"type": "file", "path": file, "size": len(body), "oid": hashlib.sha1(body).hexdigest()}
            for file, body in found[1].items()
        ]
        siblings = [{"rfilename": one["path"]} for one in files]
        about = {"id": f"{owner}/{name}", "sha": found[0], "siblings": siblings}
        self._say(files if kind == "tree" else about)

    def _find(self, repo, revision, with_body=True):
        """Hash and files; None: the client was told that there are none."""
        found = self.server.find(repo, revision) if repo in self.server.repos else None
        if found is None:
            code = "RevisionNotFound" if repo in self.server.repos else "RepoNotFound"
            self._answer(b"", {"X-Error-Code": code}, 404, with_body)
        return found

    def _resolve(self, with_body):
        """`/owner/name/resolve/revision/file`, with the headers that the client relies on."""
        self.server.asked.append(f"{self.command} {self.path}")
        repo, _, rest = self.path.strip("/").partition("/resolve/")
        revision, _, name = rest.partition("/")
        found = self._find(repo, revision, with_body)
        if found is None:
            return
        if name not in found[1]:
            headers = {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": found[0]}
            self._answer(b"", headers, 404, with_body)
        else:
            body = found[1][name]
            etag = f'"{hashlib.sha256(body).hexdigest()}"'
            self._answer(body, {"ETag": etag, "X-Repo-Commit": found[0]}, 200, with_body)

    def _body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _say(self, value):
        self._answer(json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _answer(self, body, headers=None, status=200, with_body=True):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, *_):
        """Says nothing."""


def hub_server():
    """A server that runs while the block does."""
    return running(HubServer())
