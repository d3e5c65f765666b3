#!/usr/bin/env python3
"""Writes the corpora of the libp2p fuzz targets from tests/vectors: corpus_libp2p.py (no arguments)."""
import base64
import json
import pathlib

here = pathlib.Path(__file__).resolve().parent
vectors = here.parent / "vectors"


def load(name):
    return json.loads((vectors / name).read_text())


def put(target, name, data):
    folder = here / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def main():
    for i in (3, 7, 13, 18, 20):
        v = load("multiaddr.json")["vectors"][i]
        put("multiaddr", f"text-{i}", v["text"].encode())
        put("multiaddr", f"bytes-{i}", bytes.fromhex(v["hex"]))
    put("multiaddr", "text-webtransport",
        b"/ip4/1.2.3.4/udp/1/quic-v1/webtransport/certhash/uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g")
    put("multiaddr", "text-onion3", b"/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234")

    header, noise, yamux, na = (b"\x13/multistream/1.0.0\n", b"\x07/noise\n", b"\x0d/yamux/1.0.0\n", b"\x03na\n")
    put("multistream", "listener-lazy", b"\x0d" + header + noise + b"payload")
    put("multistream", "listener-ls-na", b"\x05" + header + b"\x03ls\n" + b"\x0b/tls/1.0.0\n" + noise)
    put("multistream", "dialer", b"\x08" + header + yamux + b"payload")
    put("multistream", "dialer-na", b"\x0c" + header + na + noise)
    put("multistream", "dialer-lazy", b"\x02" + header + yamux)

    alice = next(v for v in load("keys.json")["vectors"] if v["name"] == "alice")
    for name in ("private_protobuf", "public_protobuf", "peer_id_multihash"):
        put("keys", name, bytes.fromhex(alice[name]))
    for name in ("peer_id_base58btc", "peer_id_cidv1_base32", "peer_id_cidv1_base36"):
        put("keys", name, alice[name].encode())
    put("keys", "rsa", bytes.fromhex("08001203010203"))

    key = base64.b64encode(bytes.fromhex(alice["private_protobuf"])).decode()
    put("keyfile", "alice", json.dumps({"Key": key, "ID": alice["peer_id_base58btc"]}, separators=(",", ":")).encode())
    put("keyfile", "spaced", json.dumps({"v": 1, "ID": alice["peer_id_base58btc"], "Key": key}, indent=1).encode())

    for v in load("noise.json")["vectors"][:2]:
        m = [bytes.fromhex(x["framed"]) for x in v["messages"]]
        put("noise", "initiator-" + v["name"], b"\0" + m[1])
        put("noise", "responder-" + v["name"], b"\1" + m[0] + m[2])
        put("noise", "payload-" + v["name"], b"\2" + bytes.fromhex(v["initiator"]["payload"]))
    # an empty frame, then one of five bytes, under a key of zeroes
    put("noise", "frames", b"\3" + bytes.fromhex(FRAMES))

    for v in load("peer_record.json")["vectors"]:
        put("peer_record", "envelope-" + v["name"], bytes.fromhex(v["envelope"]))
        put("peer_record", "payload-" + v["name"], bytes.fromhex(v["payload"]))
    for v in load("identify.json")["vectors"]:
        put("identify", v["name"], bytes.fromhex(v["hex"]))


FRAMES = "00104eb972c9a8fb3a1b382bb4d36f5ffad100153b60898825b8a8e4faf270889df230d5301c3bdfca"

if __name__ == "__main__":
    main()
