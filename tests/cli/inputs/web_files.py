"""A web server of files for tests of downloads, with a few that misbehave."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def serve(files: dict[str, bytes]) -> Iterator[str]:
    """Serve `files` by path; yields the address of the server.

    `/page` is HTML, `/cut` ends early, `/silent` answers after a second, `/moved` leads to `/page`.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path = self.path.partition("?")[0]
            if path == "/silent":
                time.sleep(1.0)
            if path == "/moved":
                self.send_response(302)
                self.send_header("Location", "/page")
                self.end_headers()
                return
            special = {"/page": b"<html>", "/cut": b"half"}
            content = special.get(path, files.get(path))
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Type", "text/html" if path == "/page" else "image/png")
            self.send_header("Content-Length", str(len(content or b"") * (1 + (path == "/cut"))))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *arguments):
            """Write nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *arguments):
            """Write nothing when a client leaves early."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
