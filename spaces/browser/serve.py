"""Serves the built page with the headers that let the browser use several threads.

    python spaces/browser/serve.py [--port 8000] [--folder spaces/browser/dist]

Only the standard library is needed. Any other static server does as well: where it sends no such
headers, the page adds them by a service worker.
"""

import argparse
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

DIST = Path(__file__).parent / "dist"
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class PageHandler(SimpleHTTPRequestHandler):
    """Serve files of a folder, isolated from other origins."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def end_headers(self) -> None:
        """Add the headers to every answer."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of single requests."""


def make_server(folder: Path, port: int) -> ThreadingHTTPServer:
    """Open a server on this machine's own address.

    Args:
        folder: What to serve.
        port: Which port; any free one if 0.
    """
    handler = partial(PageHandler, directory=str(folder))
    return ThreadingHTTPServer(("127.0.0.1", port), handler)


def main() -> int:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="Serve the built page.")
    parser.add_argument("--port", type=int, default=8000, help="(%(default)s)")
    parser.add_argument("--folder", type=Path, default=DIST, help="(%(default)s)")
    given = parser.parse_args()
    if not (given.folder / "index.html").is_file():
        sys.stderr.write(f"{given.folder} holds no page. Build it: make browser.\n")
        return 1
    with make_server(given.folder, given.port) as server:
        sys.stdout.write(f"Open http://127.0.0.1:{server.server_address[1]}\n")
        sys.stdout.flush()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
