"""The server: Label Studio's protocol for machine learning backends, JSON over HTTP.

GET  /health    {"status": "UP", ...}
POST /setup     {"project", "schema", ...} -> {"model_version"}
POST /predict   {"tasks", "label_config", "params": {"context"}} -> {"results": [prediction]}
"""

import hashlib
import json
import threading
from collections import OrderedDict
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from sam2_hf import EncodedImage, ImageSegmentationPipeline, Sam2Model
from sam2_hf.errors import PromptError, Sam2Error
from sam2_hf.pipelines.loading import load_video_model

from . import photos, videos
from .labeling_config import answer_tag, shows
from .task_files import TaskFiles

LARGEST_REQUEST = 2**26  # bytes
ENCODED_PHOTOS = 8  # kept for further clicks; 21 MB each at 1024 pixels
Json = dict[str, Any]


class Backend:
    """Answers the requests of Label Studio, one at a time.

    Args:
        model: Hub id, folder or path of the model.
        files: Where files of tasks come from.
        device: Of the model; None for a GPU if there is one.
        limit: Frames of a video to track at a time.
    """

    def __init__(
        self, model: str, files: TaskFiles, device: str | None = None, limit: int = 100
    ) -> None:
        tracking = load_video_model(model, device=device)
        self.version = f"sam2-hf {model}"
        self._files = files
        self._segment = ImageSegmentationPipeline(Sam2Model.from_video_model(tracking))
        self._tracker = videos.VideoTracker(tracking, limit)
        self._encoded: OrderedDict[bytes, EncodedImage] = OrderedDict()
        self._lock = threading.Lock()

    def predict(self, request: Json) -> list[Json]:
        """Answer the regions that were drawn in the labeling interface.

        Args:
            request: `tasks`, `label_config`, and what was drawn in `params.context.result`.

        Returns:
            A prediction for the task; none if nothing was drawn.

        Raises:
            Sam2Error: The photo or video, the config or a prompt cannot be used.
        """
        context = (request.get("params") or {}).get("context") or {}
        regions = context.get("result")
        if not regions:
            return []
        task, config = request["tasks"][0], request["label_config"]
        with self._lock:
            if shows(config, "Video"):
                found = self._track(task, config, regions)
            else:
                found = self._segmented(task, config, regions)
        scores = [region["score"] for region in found if "score" in region]
        score = max(scores, default=0.0)
        return [{"result": found, "score": score, "model_version": self.version}]

    def _segmented(self, task: Json, config: str, regions: list[Json]) -> list[Json]:
        tag = answer_tag(config, photos.ANSWER_TAGS, "Image")
        photo = self._photo(self._files.path(task["data"][tag.field]))
        prompt = photos.read_prompt(regions, photo.original_size)
        is_ambiguous = len(prompt.clicks) == 1 and prompt.box is None
        result = self._segment(photo, prompt, multimask=is_ambiguous)
        label = photos.label_of(regions)
        return photos.answer_regions(result.best, float(result.best_score), tag, label)

    def _photo(self, path: Path) -> EncodedImage:
        """Encode a photo, or return what an earlier click encoded.

        Known by its content, as the signed addresses of one photo differ.
        """
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").digest()
        if content not in self._encoded:
            self._encoded[content] = self._segment.encode(str(path))
        self._encoded.move_to_end(content)
        while len(self._encoded) > ENCODED_PHOTOS:
            self._encoded.popitem(last=False)
        return self._encoded[content]

    def _track(self, task: Json, config: str, regions: list[Json]) -> list[Json]:
        tag = answer_tag(config, videos.ANSWER_TAGS, "Video")
        return self._tracker.track(self._files.path(task["data"][tag.field]), regions)


class Handler(BaseHTTPRequestHandler):
    """Reads requests and writes answers."""

    backend: ClassVar[Backend]

    def do_GET(self) -> None:
        """Answer `/health`."""
        if self.path.split("?")[0] in ("/", "/health"):
            about = {"status": "UP", "model_class": type(self.backend).__name__}
            self._answer(HTTPStatus.OK, about)
        else:
            self._answer(HTTPStatus.NOT_FOUND, {"error": f"there is no {self.path[:80]}."})

    def do_POST(self) -> None:
        """Answer `/setup` and `/predict`; `/webhook` is not there, as nothing is trained."""
        try:
            request = self._body()
            if self.path == "/setup":
                self._answer(HTTPStatus.OK, {"model_version": self.backend.version})
            elif self.path == "/predict":
                self._answer(HTTPStatus.OK, {"results": self.backend.predict(request)})
            else:
                self._answer(HTTPStatus.NOT_FOUND, {"error": f"there is no {self.path[:80]}."})
        except Sam2Error as error:
            self._answer(HTTPStatus.BAD_REQUEST, {"error": str(error)})
        except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
            text = f"the request is not what Label Studio sends: {type(error).__name__} {error}."
            self._answer(HTTPStatus.BAD_REQUEST, {"error": text})

    def _body(self) -> Json:
        # A page in a browser cannot send this type to another host unasked.
        if self.headers.get_content_type() != "application/json":
            raise PromptError("a request is JSON, of type application/json.")
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 < length <= LARGEST_REQUEST:
            raise PromptError(f"a request has 1 to {LARGEST_REQUEST} bytes, this one {length}.")
        body: Json = json.loads(self.rfile.read(length))
        return body

    def _answer(self, status: HTTPStatus, content: Json) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def make_server(backend: Backend, host: str, port: int) -> ThreadingHTTPServer:
    """Make a server; `serve_forever` runs it.

    Args:
        backend: What answers.
        host: Address to listen at.
        port: Port; 0 for a free one.
    """
    handler = type("BackendHandler", (Handler,), {"backend": backend})
    return ThreadingHTTPServer((host, port), handler)
