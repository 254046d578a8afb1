"""How much a session holds, and where."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BytesHeld:
    """Bytes of a session's tensors and records.

    Attributes:
        device: What the model can still read: image features, recent and prompted memories.
        ram: What has left the device, masks included.
        disk: What has left the RAM.
    """

    device: int
    ram: int
    disk: int
