"""Files that are not what they are called: damaged, endless, or far larger than they look."""

import os
import struct
import zlib

import numpy as np
from PIL import Image

FOREVER = {"zero": "/dev/zero", "null": "/dev/null", "random": "/dev/urandom"}


def png_bomb(path, side=60_000):
    """A PNG that is small on disk and fills the memory once it is read."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(bytes(100_000)))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + rows + chunk(b"IEND", b""))
    return path


def write_bad_files(folder, sound_picture, chance):
    """Write one file of each kind; name of the kind -> path."""
    folder.mkdir()
    content = sound_picture.read_bytes()
    flipped = bytearray(content)
    for place in range(16, len(flipped), 7):
        flipped[place] ^= 1 << chance.randrange(8)
    texts = {
        "empty": b"",
        "text": b"not a picture at all\n" * 50,
        "json": b'{"a": [1, 2, 3]}',
        "deep json": b'{"a":' * 100_000,
        "noise": chance.randbytes(5000),
        "cut off": content[: len(content) // 2],
        "head only": content[:30],
        "flipped bits": bytes(flipped),
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="/etc/passwd"/></svg>',
        "play list": b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n/etc/hostname\n",
        "concat": b"ffconcat version 1.0\nfile '/etc/hostname'\n",
        "pickle": b"cos\nsystem\n(S'true'\ntR.",
        "zip": b"PK\x03\x04" + bytes(60),
    }
    found = {}
    for name, data in texts.items():
        found[name] = folder / f"{name}.png"
        found[name].write_bytes(data)
    found["bomb"] = png_bomb(folder / "bomb.png")
    found["pipe"] = folder / "pipe.png"
    os.mkfifo(found["pipe"])
    found["folder"] = folder / "folder.png"
    found["folder"].mkdir()
    found["loop"] = folder / "loop.png"
    found["loop"].symlink_to(found["loop"])
    found["missing"] = folder / "missing.png"
    found["inside a file"] = found["text"] / "x.png"
    return (
        {name: str(path) for name, path in found.items()}
        | FOREVER
        | {
            "a name with a zero": "a\0b.png",
            "a long name": "x" * 5000,
            "no name": "",
        }
    )


def float_tiff(path, values_hw):
    """A TIFF of floats."""
    Image.fromarray(np.asarray(values_hw, np.float32)).save(path)
    return path
