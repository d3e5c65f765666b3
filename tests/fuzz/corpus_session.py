#!/usr/bin/env python3
"""Writes the corpora of fuzz_yamux and fuzz_session from tests/vectors: corpus_session.py (no arguments)."""
import json
import pathlib
import struct

here = pathlib.Path(__file__).resolve().parent
vectors = here.parent / "vectors"
DATA, WINDOW, PING, GOAWAY = range(4)
SYN, ACK, FIN, RST = 1, 2, 4, 8


def put(target, name, data):
    folder = here / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def frame(kind, flags, stream, length, body=b""):
    return struct.pack(">BBHII", 0, kind, flags, stream, length) + body


def data(flags, stream, body):
    return frame(DATA, flags, stream, len(body), body)


def give(plain):
    """The script's command for a run of bytes, cut where its length byte ends."""
    return b"".join(b"\0" + bytes([len(plain[i:i + 255])]) + plain[i:i + 255] for i in range(0, len(plain), 255))


def mss(protocol, more=b""):
    return b"\x13/multistream/1.0.0\n" + bytes([len(protocol) + 1]) + protocol + b"\n" + more


OUT, OPEN, SEND, COPY, CLOSE, RESET, CUT = (bytes([op]) for op in (4, 5, 6, 7, 8, 9, 13))
PLACE = b"\x1c"  # of the second stream


def give_big(plain):
    """What comes is 64 times as long."""
    return b"\3" + bytes([len(plain)]) + plain


def main():
    for v in json.loads((vectors / "yamux_frames.json").read_text())["vectors"]:
        put("yamux", v["name"].split(" (")[0].replace(" ", "-").replace("|", "-"), b"\0" + give(bytes.fromhex(v["hex"])))
    put("yamux", "streams", b"\1" + OPEN + b"\0" + SEND + b"\xff" + OUT + b"\xff" + give(
        frame(WINDOW, ACK, 1, 36) + data(0, 1, b"hello") + frame(WINDOW, FIN, 1, 0)) + CLOSE + b"\0" + OUT + b"\xff")
    put("yamux", "reset-in-body", b"\0" + give(frame(DATA, SYN, 1, 20, b"0123")) + RESET + b"\0" + give(b"x" * 16) + OUT + b"\x40")
    for name in ("session_early_muxer", "session_mss_muxer"):
        frames = json.loads((vectors / (name + ".json")).read_text())["noise_transport"]
        for by, seat in (("initiator", 0), ("responder", 1)):
            said = [bytes.fromhex(f["plaintext"]) for f in frames if f["by"] == by]
            script = b"".join(give(p) + OUT + b"\xff" for p in said)
            put("session", f"{name}-{by}", bytes([seat + (2 if "mss" in name else 0)]) + script)
            put("yamux", f"{name}-{by}", bytes([seat]) + b"".join(give(p) for p in said if not p.startswith(b"\x13")))
    put("session", "ping", b"\0" + give(data(SYN | FIN, 1, mss(b"/ipfs/ping/1.0.0", b"p" * 32))) + OUT + b"\0")
    put("session", "push", b"\0" + give(data(SYN | FIN, 1, mss(b"/ipfs/id/push/1.0.0", b"\x03\x32\x01y"))) + OUT + b"\0")
    put("session", "echo", b"\0" + give(data(SYN, 1, mss(b"/test/a", b"hello"))) + OUT + b"\0" + SEND + b"\x20"
        + OUT + b"\0" + give(data(FIN, 1, b"bye")) + OUT + b"\0")
    # Stream 3 is theirs: 1 is reset as soon as it is open. It is the second of two: ours for identify is there before.
    begin = b"\0" + give(data(SYN, 3, mss(b"/test/a", b"hello"))) + OUT + b"\0"
    body = frame(DATA, 0, 3, 64 * 200 - 12) + b"x" * (200 - 12)  # a header and its body, all of one frame
    put("session", "place", begin + (PLACE + b"\xff" + give_big(body)) * 3 + OUT + b"\0")
    put("session", "place-cut", begin + b"".join(PLACE + b"\xff" + CUT + bytes([c]) + give_big(body) for c in (1, 100, 254)))
    # A body that goes on in the next frames, a place that ends before it, and what follows behind it.
    put("session", "place-long", begin + give(frame(DATA, 0, 3, 64 * 300 - 50)) + (PLACE + b"\x40" + give_big(b"y" * 150)) * 2
        + give(data(FIN, 3, b"bye")))
    put("session", "ours", b"\1" + OPEN + b"\1" + b"\x16\x09" + OUT + b"\0" + give(
        data(ACK, 3, b"\x13/multistream/1.0.0\n\x03na\n\x08/test/b\n")) + OUT + b"\0" + b"\x18\0" + OUT + b"\0")
    put("session", "time", b"\0" + OPEN + b"\0" + b"\x0f\xff" * 4 + OUT + b"\0" + b"\x0b\0" + OUT + b"\0")


if __name__ == "__main__":
    main()
