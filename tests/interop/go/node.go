package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
)

// node is the host: connections, identify, ping.
type node struct {
	host host.Host
	key  crypto.PrivKey
	subs event.Subscription
}

// quiet is yamux without keepalives.
func quiet() *yamux.Transport {
	t := *yamux.DefaultTransport
	t.EnableKeepAlive = false
	return &t
}

func newNode(o options) (*node, error) {
	k, err := key(o.seed, o.keyType)
	if err != nil {
		return nil, err
	}
	muxer := yamux.DefaultTransport
	if o.silent {
		muxer = quiet()
	}
	// It listens once its handlers and subscriptions are there: see start.
	h, err := libp2p.New(libp2p.Identity(k), libp2p.NoListenAddrs, libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Security(noise.ID, noise.New), libp2p.Muxer(yamux.ID, muxer), libp2p.DisableRelay(),
		libp2p.UserAgent("go-libp2p/"+version("github.com/libp2p/go-libp2p")))
	if err != nil {
		return nil, err
	}
	n := &node{host: h, key: k}
	n.subs, err = h.EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted))
	if err != nil {
		return nil, err
	}
	go n.identified()
	h.Network().Notify(&network.NotifyBundle{
		ConnectedF: func(_ network.Network, c network.Conn) {
			out("connected", fields{"peer": c.RemotePeer(), "addr": c.RemoteMultiaddr(), "direction": direction(c)})
		},
		DisconnectedF: func(_ network.Network, c network.Conn) {
			out("disconnected", fields{"peer": c.RemotePeer(), "direction": direction(c)})
		},
	})
	return n, nil
}

func direction(c network.Conn) string {
	if c.Stat().Direction == network.DirInbound {
		return "inbound"
	}
	return "outbound"
}

func texts[T fmt.Stringer](in []T) []string {
	all := []string{}
	for _, v := range in {
		all = append(all, v.String())
	}
	return all
}

func (n *node) identified() {
	for e := range n.subs.Out() {
		id := e.(event.EvtPeerIdentificationCompleted)
		f := fields{"peer": id.Peer, "agentVersion": id.AgentVersion, "protocolVersion": id.ProtocolVersion, "protocols": id.Protocols,
			"listenAddrs": texts(id.ListenAddrs), "observed": nil, "signedPeerRecord": nil}
		if id.ObservedAddr != nil {
			f["observed"] = id.ObservedAddr.String()
		}
		if id.SignedPeerRecord != nil {
			if r, err := id.SignedPeerRecord.Record(); err == nil {
				rec := r.(*peer.PeerRecord)
				f["signedPeerRecord"] = fields{"seq": strconv.FormatUint(rec.Seq, 10), "addrs": texts(rec.Addrs)}
			}
		}
		out("identified", f)
	}
}

func (n *node) start(o options) error {
	var addrs []ma.Multiaddr
	for _, text := range o.listen {
		a, err := ma.NewMultiaddr(text)
		if err != nil {
			return err
		}
		addrs = append(addrs, a)
	}
	if len(addrs) > 0 {
		if err := n.host.Network().Listen(addrs...); err != nil {
			return err
		}
	}
	out("started", fields{"peerId": n.host.ID(), "shows": shows,
		"library": "go-libp2p " + version("github.com/libp2p/go-libp2p") + ", go-libp2p-pubsub " + version("github.com/libp2p/go-libp2p-pubsub")})
	for _, a := range n.host.Network().ListenAddresses() {
		out("listening", fields{"addr": fmt.Sprintf("%s/p2p/%s", a, n.host.ID())})
	}
	for _, t := range o.subscribe {
		out("subscribed", fields{"topic": t})
	}
	return nil
}

var errUnknown = errors.New("unknown command")

// do answers the commands that need no pubsub.
func (n *node) do(c command) error {
	switch c.Cmd {
	case "dial":
		err := n.dial(c.Addr)
		f := fields{"addr": c.Addr, "ok": err == nil}
		if err != nil {
			f["error"] = err.Error()
		}
		out("dialed", f)
	case "close":
		p, err := peer.Decode(c.Peer)
		if err != nil {
			return err
		}
		return n.host.Network().ClosePeer(p)
	case "ping":
		return n.ping(c.Addr, max(1, c.Count))
	case "peers":
		out("peers", fields{"peers": texts(n.host.Network().Peers())})
	default:
		return errUnknown
	}
	return nil
}

func (n *node) dial(addr string) error {
	info, err := peer.AddrInfoFromString(addr)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return n.host.Connect(ctx, *info)
}

func (n *node) ping(addr string, count int) error {
	info, err := peer.AddrInfoFromString(addr)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	results := ping.Ping(ctx, n.host, info.ID)
	for i := 0; i < count; i++ {
		r := <-results
		if r.Error != nil {
			return r.Error
		}
		out("ping", fields{"addr": addr, "i": i, "wallMs": float64(r.RTT.Microseconds()) / 1000})
	}
	return nil
}

func (n *node) close() {
	n.host.Close()
}
