"""The session core over a kernel socket against js-libp2p: who dials, which way the muxer is chosen, who leaves."""
import pytest
from conftest import BUILD

TOOL = BUILD / "tests/tools/session_tcp"
PROTOCOLS = {"/ipfs/id/1.0.0", "/ipfs/id/push/1.0.0", "/ipfs/ping/1.0.0"}

EARLY = pytest.mark.parametrize("ours", [[], ["--no-early"]], ids=["early", "we-offer-none"])
JS_EARLY = pytest.mark.parametrize("theirs", [[], ["--no-early-muxer"]], ids=["early", "js-offers-none"])


def js_address(p):
    return p.wait("listening")["addr"].split("/")


@EARLY
@JS_EARLY
def test_we_dial(start, js, ours, theirs):
    peer = js("--listen", "/ip4/127.0.0.1/tcp/0", *theirs)
    addr = js_address(peer)
    us = start([TOOL, "--dial", f"{addr[2]}:{addr[4]}", "--expect", peer.peer, "--echo", 8, 1000000, "--sink",
                20000000, "--pings", 5, "--push", "--linger", 1200, *ours])
    assert us.wait("up")["peer"] == peer.peer
    told = us.wait("identified", push=False)
    assert told["agent"].startswith("js-libp2p/")
    assert PROTOCOLS < set(told["protocols"])
    assert told["record"] > 0
    assert told["addrs"] == ["/".join(addr[:5])]
    assert told["observed"].startswith("/ip4/127.0.0.1/tcp/")
    heard = peer.wait("identified", agentVersion="codecast-session/1")
    assert heard["peer"] == us.wait("self")["peer"]
    assert PROTOCOLS | {"/ref/echo/1.0.0", "/ref/sink/1.0.0"} == set(heard["protocols"])
    assert heard["observed"] == "/".join(addr[:5])
    peer.wait("identified", agentVersion="codecast-session/pushed")
    assert peer.wait("sink")["bytes"] == 20000000
    assert us.end() == 0
    assert us.count("stream") == 9 and us.count("rtt") >= 6
    peer.wait("disconnected")
    assert peer.count("error") == 0


@EARLY
@JS_EARLY
def test_js_dials(start, js, ours, theirs):
    us = start([TOOL, "--listen", "127.0.0.1:0", "--stay", *ours])
    me, port = us.wait("self")["peer"], us.wait("listening")["port"]
    addr = f"/ip4/127.0.0.1/tcp/{port}/p2p/{me}"
    peer = js(*theirs)
    peer.say(cmd="dial", addr=addr)
    assert peer.wait("dialed")["ok"]
    assert us.wait("up")["peer"] == peer.peer
    assert us.wait("identified")["agent"].startswith("js-libp2p/")
    assert peer.wait("identified")["agentVersion"] == "codecast-session/1"
    peer.say(cmd="ping", addr=addr, count=5)
    for i in range(5):
        assert peer.wait("ping")["i"] == i
    for size in (0, 1, 65537, 16000000):
        peer.say(cmd="stream", addr=addr, protocol="/ref/echo/1.0.0", size=size)
        done = peer.wait("stream")
        assert done["received"] == size and done["receivedSha256"] == done["sentSha256"]
    peer.say(cmd="stream", addr=addr, protocol="/ref/sink/1.0.0", size=5000000)
    assert peer.wait("stream")["received"] > 0
    assert us.wait("stream", protocol="/ref/sink/1.0.0")["bytes"] == 5000000
    peer.say(cmd="stream", addr=addr, protocol="/not/there/1.0.0", size=1)
    assert peer.wait("error")["name"] == "UnsupportedProtocolError"
    peer.say(cmd="close", peer=me)
    assert us.wait("closed")["reason"] == "peer said goodbye"
    assert us.end() == 0
    peer.wait("disconnected")
    assert peer.count("error") == 1


def test_js_keeps_a_connection_that_only_idles(start, js):
    """Over its monitor's pings (every 10 s), which must be answered."""
    peer = js("--listen", "/ip4/127.0.0.1/tcp/0")
    addr = js_address(peer)
    us = start([TOOL, "--dial", f"{addr[2]}:{addr[4]}", "--linger", 25000])
    assert us.end(40) == 0
    assert us.count("closed") == 0
    peer.wait("disconnected")
    assert peer.count("error") == 0


def test_unexpected_js_peer_is_refused(start, js):
    peer = js("--listen", "/ip4/127.0.0.1/tcp/0")
    addr = js_address(peer)
    other = "12D3KooWGGbHiMKh8qEsiZFoxKrD5dcH7XjPP4JXpjvkTw7Dmc5K"
    us = start([TOOL, "--dial", f"{addr[2]}:{addr[4]}", "--expect", other])
    assert us.wait("closed")["err"] == "SESSION_EPEER"
    assert us.end() == 1
