"""Sessions used as programs written for transformers use them, on small moving pictures."""

import numpy as np

SIZE = (48, 80)  # height, width


def clip(num_frames=8):
    """Gray noise with a bright square that moves two pixels a frame."""
    noise = np.random.default_rng(0).integers(0, 80, (*SIZE, 3), dtype=np.uint8)
    frames = np.repeat(noise[None], num_frames, axis=0)
    for number, frame in enumerate(frames):
        left = 10 + 2 * (number % 20)
        frame[12:30, left : left + 20] += 150
    return frames


def open_clip(processor, num_frames=8, **options):
    """A session on the clip."""
    return processor.init_video_session(clip(num_frames), **options)


def add_click(processor, session, frame, objects, xy=(30, 20), **more):
    """Click once on every object of a frame."""
    count = len(objects) if isinstance(objects, list) else 1
    return processor.add_inputs_to_inference_session(
        session,
        frame,
        objects,
        input_points=[[[list(xy)]] * count],
        input_labels=[[[1]] * count],
        **more,
    )


def memories_of(session, object_id):
    """The memory bank of an object."""
    return session._tracker.objects[object_id].bank
