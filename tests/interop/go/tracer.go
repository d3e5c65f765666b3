package main

import (
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

var shows = []string{"graft.in", "graft.out", "prune.in", "prune.out", "ihave.in", "ihave.out", "iwant.in", "iwant.out",
	"idontwant.in", "idontwant.out"}

// tracer prints what gossipsub traces, and keeps the meshes, which the library does not tell otherwise.
type tracer struct {
	self peer.ID
	lock sync.Mutex
	mesh map[string]map[peer.ID]bool
}

func newTracer(self peer.ID) *tracer {
	return &tracer{self: self, mesh: map[string]map[peer.ID]bool{}}
}

func (t *tracer) meshOf(topic string) []string {
	t.lock.Lock()
	defer t.lock.Unlock()
	all := []string{}
	for p := range t.mesh[topic] {
		all = append(all, p.String())
	}
	return all
}

func control(what, direction string, p peer.ID, topic string, count, px int) {
	f := fields{"what": what, "direction": direction, "peer": p, "count": count}
	if topic != "" {
		f["topic"] = topic
	}
	if what == "prune" {
		f["px"] = px
	}
	out("control", f)
}

// Trace prints the control messages of each RPC, as the library's event tracer has them.
func (t *tracer) Trace(e *pb.TraceEvent) {
	switch e.GetType() {
	case pb.TraceEvent_RECV_RPC:
		subscriptions(peer.ID(e.RecvRPC.ReceivedFrom), e.RecvRPC.Meta)
		t.meta("in", peer.ID(e.RecvRPC.ReceivedFrom), e.RecvRPC.Meta)
	case pb.TraceEvent_SEND_RPC:
		t.meta("out", peer.ID(e.SendRPC.SendTo), e.SendRPC.Meta)
	case pb.TraceEvent_DROP_RPC:
		out("error", fields{"where": "queue", "message": "an RPC was dropped for " + peer.ID(e.DropRPC.SendTo).String()})
	}
}

func subscribed(p peer.ID, topic string, isSubscribed bool) {
	what := "peer-unsubscribed"
	if isSubscribed {
		what = "peer-subscribed"
	}
	out(what, fields{"peer": p, "topic": topic})
}

func subscriptions(p peer.ID, m *pb.TraceEvent_RPCMeta) {
	for _, v := range m.GetSubscription() {
		subscribed(p, v.GetTopic(), v.GetSubscribe())
	}
}

func (t *tracer) meta(direction string, p peer.ID, m *pb.TraceEvent_RPCMeta) {
	c := m.GetControl()
	for _, v := range c.GetGraft() {
		control("graft", direction, p, v.GetTopic(), 1, 0)
	}
	for _, v := range c.GetPrune() {
		control("prune", direction, p, v.GetTopic(), 1, len(v.Peers))
	}
	for _, v := range c.GetIhave() {
		control("ihave", direction, p, v.GetTopic(), len(v.MessageIDs), 0)
	}
	for _, v := range c.GetIwant() {
		control("iwant", direction, p, "", len(v.MessageIDs), 0)
	}
	for _, v := range c.GetIdontwant() {
		control("idontwant", direction, p, "", len(v.MessageIDs), 0)
	}
}

func (t *tracer) Graft(p peer.ID, topic string) {
	t.lock.Lock()
	defer t.lock.Unlock()
	if t.mesh[topic] == nil {
		t.mesh[topic] = map[peer.ID]bool{}
	}
	t.mesh[topic][p] = true
}

func (t *tracer) Prune(p peer.ID, topic string) {
	t.lock.Lock()
	defer t.lock.Unlock()
	delete(t.mesh[topic], p)
}

func (t *tracer) Leave(topic string) {
	t.lock.Lock()
	defer t.lock.Unlock()
	delete(t.mesh, topic)
}

func (t *tracer) OnClosedOutboundStream(p peer.ID) {
	t.lock.Lock()
	defer t.lock.Unlock()
	for _, peers := range t.mesh {
		delete(peers, p)
	}
}

func (t *tracer) RejectMessage(m *pubsub.Message, reason string) {
	out("rejected", fields{"via": m.ReceivedFrom, "topic": m.GetTopic(), "reason": reason})
}

func (t *tracer) UndeliverableMessage(m *pubsub.Message) {
	out("error", fields{"where": "subscription", "message": "a message was not read in time"})
}

func (t *tracer) OnNewOutboundStream(peer.ID, protocol.ID)             {}
func (t *tracer) Join(string)                                          {}
func (t *tracer) ValidateMessage(*pubsub.Message)                      {}
func (t *tracer) DeliverMessage(*pubsub.Message)                       {}
func (t *tracer) DuplicateMessage(*pubsub.Message)                     {}
func (t *tracer) ThrottlePeer(peer.ID)                                 {}
func (t *tracer) RecvRPC(*pubsub.RPC)                                  {}
func (t *tracer) SendRPC(*pubsub.RPC, peer.ID)                         {}
func (t *tracer) SendRPCCompleted(*pubsub.RPC, peer.ID, time.Duration) {}
func (t *tracer) DropRPC(*pubsub.RPC, peer.ID)                         {}
