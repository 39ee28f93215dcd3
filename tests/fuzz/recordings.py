"""Recordings of event cameras, written from the description of their format."""

from __future__ import annotations

import struct
from pathlib import Path


def aedat4(path: Path, events: list[tuple[int, int, int, int]]) -> Path:
    """Write an uncompressed AEDAT4 file of one stream by the format's description: size-prefixed flatbuffers."""
    attributes = "".join(
        f'<attr key="{key}" type="{kind}">{value}</attr>'
        for key, kind, value in (("compression", "string", "NONE"), ("typeIdentifier", "string", "EVTS"))
    )
    size = '<attr key="sizeX" type="int">8</attr><attr key="sizeY" type="int">6</attr>'
    stream = (
        f'<node name="0" path="/outInfo/0/">{attributes}<node name="info" path="/outInfo/0/info/">{size}</node></node>'
    )
    xml = f'<dv version="2.0"><node name="outInfo" path="/outInfo/">{stream}</node></dv>'.encode()
    head = struct.pack("<I", len(xml)) + xml + b"\0"
    body = struct.pack("<I", len(events)) + b"".join(struct.pack("<qhhB3x", *e) for e in events)
    # vtable (compression i32 at 4, data position i64 at 8, offset of the description at 16) and table of 20 bytes
    first = struct.pack("<I4s5H2x", 20, b"IOHE", 10, 20, 4, 8, 16) + struct.pack("<iiqI", 12, 0, -1, 4) + head
    second = struct.pack("<I4s3H2x", 16, b"EVTS", 6, 8, 4) + struct.pack("<iI", 8, 8) + b"\0" * 4 + body
    first += b"\0" * (-len(first) % 4)
    packet = struct.pack("<I", len(second)) + second
    data = b"#!AER-DAT4.0\r\n" + struct.pack("<I", len(first)) + first
    path.write_bytes(data + struct.pack("<ii", 0, len(packet)) + packet)
    return path
