"""Parts of a long video that were labeled apart, put together: objects are numbered through."""

from collections.abc import Iterator
from dataclasses import replace

from sam2_hf.writers.frame_journal import TrackedFrame

from .claims import Beat
from .set_folder import SetFolder
from .video_labels import LabeledFrames, LabeledMasklet, read_labels, write_labels


def join_parts(folder: SetFolder, video_id: str, beat: Beat) -> None:
    """Write the labels of a video from those of its parts.

    Args:
        folder: The set.
        video_id: The video.
        beat: Called after each frame, as a sign of progress.

    Raises:
        DataError: A part is missing or damaged.
        OutputError: They cannot be written.
    """
    ranges = folder.plan(video_id) or []
    paths = [folder.part(video_id, number) for number in range(len(ranges))]
    videos = [read_labels(path) for path in paths]
    masklets: list[LabeledMasklet] = []
    offsets: list[int] = []
    for video in videos:
        offsets.append(len(masklets))
        first = len(masklets) + 1
        numbered = enumerate(video.masklets, first)
        masklets += [replace(masklet, object_id=number) for number, masklet in numbered]

    def frames() -> Iterator[TrackedFrame]:
        for path, video, offset in zip(paths, videos, offsets, strict=True):
            ids = {m.object_id: offset + n for n, m in enumerate(video.masklets, 1)}
            for frame in LabeledFrames(path):
                objects = (replace(item, object_id=ids[item.object_id]) for item in frame.objects)
                yield replace(frame, objects=tuple(objects))
                beat()

    whole = replace(videos[0], masklets=tuple(masklets), parts=tuple(ranges))
    write_labels(folder.labels(video_id), whole, frames())
