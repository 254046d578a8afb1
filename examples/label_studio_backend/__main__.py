"""Start the backend: `python -m examples.label_studio_backend`."""

import argparse
import logging
import os
from contextlib import closing
from pathlib import Path

from .server import Backend, make_server
from .task_files import TaskFiles


def main(arguments: list[str] | None = None) -> int:
    """Serve until stopped.

    Args:
        arguments: Of the command line; by default those of the program.
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    key = os.environ.get("LABEL_STUDIO_API_KEY", "")
    with closing(TaskFiles(options.label_studio, key, options.files)) as files:
        backend = Backend(options.model, files, options.device, options.max_frames)
        server = make_server(backend, options.host, options.port)
        logging.info("the backend is at http://%s:%s", *server.server_address[:2])
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            logging.info("stopped")
        finally:
            server.server_close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m examples.label_studio_backend",
        description="Answer smart keypoints and rectangles of Label Studio with masks. The access "
        "token of Label Studio is read from LABEL_STUDIO_API_KEY.",
    )
    parser.add_argument(
        "--model", default="facebook/sam2.1-hiera-tiny", help="Hub id, folder or file"
    )
    parser.add_argument("--device", help="cpu, cuda, mps; by default a GPU if there is one")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at")
    parser.add_argument("--port", type=int, default=9090, help="port to listen at")
    parser.add_argument(
        "--label-studio", default="", metavar="URL", help="address of Label Studio, for uploads"
    )
    parser.add_argument(
        "--files", type=Path, metavar="FOLDER", help="LOCAL_FILES_DOCUMENT_ROOT of Label Studio"
    )
    parser.add_argument(
        "--max-frames", type=int, default=100, help="frames of a video to track at a time"
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
