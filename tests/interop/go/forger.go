package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-msgio"
	"google.golang.org/protobuf/proto"
)

const meshsub = protocol.ID("/meshsub/1.1.0")

// forger speaks gossipsub's wire by itself, and lies.
type forger struct {
	*node
	lock    sync.Mutex
	streams map[peer.ID]network.Stream
	seqno   uint64
}

func newForger(_ context.Context, n *node) *forger {
	f := &forger{node: n, streams: map[peer.ID]network.Stream{}, seqno: uint64(time.Now().UnixNano())}
	n.host.SetStreamHandler(meshsub, f.listen)
	return f
}

// listen prints what a peer says to us.
func (f *forger) listen(s network.Stream) {
	p := s.Conn().RemotePeer()
	r := msgio.NewVarintReaderSize(s, 1<<20)
	for {
		b, err := r.ReadMsg()
		if err != nil {
			s.Reset()
			return
		}
		var rpc pb.RPC
		if err = proto.Unmarshal(b, &rpc); err != nil {
			failed("rpc", err)
		}
		r.ReleaseMsg(b)
		for _, v := range rpc.Subscriptions {
			subscribed(p, v.GetTopicid(), v.GetSubscribe())
		}
		heard(p, rpc.Control)
	}
}

func heard(p peer.ID, c *pb.ControlMessage) {
	for _, v := range c.GetGraft() {
		control("graft", "in", p, v.GetTopicID(), 1, 0)
	}
	for _, v := range c.GetPrune() {
		control("prune", "in", p, v.GetTopicID(), 1, len(v.Peers))
	}
	for _, v := range c.GetIhave() {
		control("ihave", "in", p, v.GetTopicID(), len(v.MessageIDs), 0)
	}
	for _, v := range c.GetIwant() {
		control("iwant", "in", p, "", len(v.MessageIDs), 0)
	}
}

func (f *forger) send(s network.Stream, rpc *pb.RPC) error {
	b, err := proto.Marshal(rpc)
	if err != nil {
		return err
	}
	return f.sendBytes(s, b)
}

func (f *forger) sendBytes(s network.Stream, b []byte) error {
	_, err := s.Write(append(binary.AppendUvarint(nil, uint64(len(b))), b...))
	return err
}

// stream to that peer, where we have said that we subscribe.
func (f *forger) stream(p peer.ID, topic string) (network.Stream, error) {
	if s := f.streams[p]; s != nil {
		return s, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	s, err := f.host.NewStream(ctx, p, meshsub)
	if err != nil {
		return nil, err
	}
	f.streams[p] = s
	return s, f.send(s, &pb.RPC{Subscriptions: []*pb.RPC_SubOpts{{Subscribe: proto.Bool(true), Topicid: &topic}}})
}

func sign(k crypto.PrivKey, m *pb.Message) error {
	b, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	m.Signature, err = k.Sign(append([]byte("libp2p-pubsub:"), b...))
	return err
}

func (f *forger) message(topic, kind string) (*pb.Message, error) {
	data := make([]byte, 1024)
	rand.Read(data)
	f.seqno++
	m := &pb.Message{From: []byte(f.host.ID()), Data: data, Seqno: binary.BigEndian.AppendUint64(nil, f.seqno), Topic: &topic}
	if kind == "author" {
		k, _, err := crypto.GenerateEd25519Key(rand.Reader)
		if err != nil {
			return nil, err
		}
		other, err := peer.IDFromPrivateKey(k)
		if err != nil {
			return nil, err
		}
		m.From = []byte(other)
	}
	if kind == "unsigned" {
		return m, nil
	}
	if err := sign(f.key, m); err != nil {
		return nil, err
	}
	if kind == "signature" {
		m.Signature[7] ^= 1
	}
	return m, nil
}

// noIDs are ids of messages that do not exist.
func noIDs() []string {
	ids := make([]string, 50)
	for i := range ids {
		b := make([]byte, 46)
		rand.Read(b)
		ids[i] = string(b)
	}
	return ids
}

func (f *forger) forge(s network.Stream, topic, kind string) error {
	switch kind {
	case "garbage":
		return f.sendBytes(s, []byte{0x12, 0xff, 0xff, 0x03, 1, 2, 3})
	case "ihave":
		return f.send(s, &pb.RPC{Control: &pb.ControlMessage{Ihave: []*pb.ControlIHave{{TopicID: &topic, MessageIDs: noIDs()}}}})
	case "graft":
		return f.send(s, &pb.RPC{Control: &pb.ControlMessage{Graft: []*pb.ControlGraft{{TopicID: &topic}}}})
	case "signature", "author", "unsigned", "honest":
		m, err := f.message(topic, kind)
		if err != nil {
			return err
		}
		return f.send(s, &pb.RPC{Publish: []*pb.Message{m}})
	}
	return fmt.Errorf("unknown kind %q", kind)
}

func (f *forger) do(c command) error {
	if c.Cmd != "forge" {
		return f.node.do(c)
	}
	p, err := peer.Decode(c.Peer)
	if err != nil {
		return err
	}
	s, err := f.stream(p, c.Topic)
	for i := 0; err == nil && i < max(1, c.Count); i++ {
		err = f.forge(s, c.Topic, c.Kind)
	}
	if err != nil {
		delete(f.streams, p)
		return err
	}
	out("forged", fields{"kind": c.Kind, "count": max(1, c.Count)})
	return nil
}
