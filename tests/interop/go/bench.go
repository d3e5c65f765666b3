package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Under measurement (tests/bench/figure3_stream, figure4_gossip): nothing is traced, and nothing printed for a message.

const sinkProtocol = "/bench/sink/1.0.0"

type bench struct{ *node }

func (b *bench) do(c command) error { return errUnknown }

func newBench(ctx context.Context, n *node, o options) (*bench, error) {
	b := &bench{n}
	switch o.bench {
	case "relay":
		return b, b.relay(ctx, o.noSign)
	case "sink":
		n.host.SetStreamHandler(sinkProtocol, sink)
	}
	return b, nil
}

// relay passes messages of the topic on; queues as long as the other peer's here, so that none is lost.
func (b *bench) relay(ctx context.Context, noSign bool) error {
	all := []pubsub.Option{pubsub.WithPeerOutboundQueueSize(queue), pubsub.WithValidateQueueSize(queue), pubsub.WithMaxMessageSize(4 << 20)}
	if noSign {
		all = append(all, pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign), pubsub.WithNoAuthor(),
			pubsub.WithMessageIdFn(func(m *pb.Message) string { sum := sha256.Sum256(m.Data); return string(sum[:]) }))
	}
	ps, err := pubsub.NewGossipSub(ctx, b.host, all...)
	if err != nil {
		return err
	}
	t, err := ps.Join("bench")
	if err != nil {
		return err
	}
	_, err = t.Relay()
	return err
}

// sink takes bytes until the end of the stream, then says how many there were.
func sink(s network.Stream) {
	var n [8]byte
	got, _ := io.Copy(io.Discard, s)
	binary.BigEndian.PutUint64(n[:], uint64(got))
	s.Write(n[:])
	s.Close()
}

func write(s network.Stream, chunk []byte, seconds float64) (uint64, error) {
	end := time.Now().Add(time.Duration(seconds * float64(time.Second)))
	sent := uint64(0)
	for time.Now().Before(end) {
		for i := 0; i < 64 && i*len(chunk) < 1<<20; i++ {
			if _, err := s.Write(chunk); err != nil {
				return sent, err
			}
			sent += uint64(len(chunk))
		}
	}
	return sent, nil
}

// source writes size bytes at a time for so many seconds, after a third of that to warm up.
func (b *bench) source(ctx context.Context, addr string, size int, seconds float64) error {
	info, err := peer.AddrInfoFromString(addr)
	if err != nil {
		return err
	}
	if err = b.host.Connect(ctx, *info); err != nil {
		return err
	}
	s, err := b.host.NewStream(ctx, info.ID, sinkProtocol)
	if err != nil {
		return err
	}
	chunk := make([]byte, size)
	rand.Read(chunk)
	warm, err := write(s, chunk, seconds/3)
	if err != nil {
		return err
	}
	out("streaming", fields{})
	begun := time.Now()
	sent, err := write(s, chunk, seconds)
	if err != nil {
		return err
	}
	var n [8]byte
	s.CloseWrite()
	_, err = io.ReadFull(s, n[:])
	out("streamed", fields{"bytes": sent, "seconds": time.Since(begun).Seconds(), "ok": err == nil && binary.BigEndian.Uint64(n[:]) == sent+warm})
	return nil
}
