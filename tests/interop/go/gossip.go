package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
)

// queue lengths: stock 32 loses part of a burst of 100, both ways.
const queue = 1024

type topic struct {
	*pubsub.Topic
	sub *pubsub.Subscription
}

// gossip is a node with gossipsub.
type gossip struct {
	*node
	ctx    context.Context
	ps     *pubsub.PubSub
	topics map[string]*topic
	tracer *tracer
	lock   sync.Mutex
	scores map[peer.ID]float64
}

func params(o options) (pubsub.GossipSubParams, error) {
	p := pubsub.DefaultGossipSubParams()
	if o.mesh == "" {
		return p, nil
	}
	if _, err := fmt.Sscanf(o.mesh, "%d,%d,%d,%d", &p.D, &p.Dlo, &p.Dhi, &p.Dout); err != nil {
		return p, fmt.Errorf("--mesh %s: %w", o.mesh, err)
	}
	p.Dscore = min(p.Dscore, p.Dhi)
	return p, nil
}

// Scoring is on, with js-libp2p's thresholds; go's stock is none at all.
func scoring(o options) (*pubsub.PeerScoreParams, *pubsub.PeerScoreThresholds) {
	return &pubsub.PeerScoreParams{
			SkipAtomicValidation: true,
			AppSpecificScore:     func(peer.ID) float64 { return 0 },
			Topics:               map[string]*pubsub.TopicScoreParams{},
			DecayInterval:        time.Second, DecayToZero: 0.01, RetainScore: 10 * time.Minute,
			BehaviourPenaltyWeight: -10, BehaviourPenaltyDecay: 0.99,
		}, &pubsub.PeerScoreThresholds{
			SkipAtomicValidation: true,
			GossipThreshold:      -10, PublishThreshold: -50, GraylistThreshold: -80, AcceptPXThreshold: o.pxThreshold,
		}
}

// Rejected messages are told as events, not scored: js-libp2p sends small messages back to their author, which counts as one.
func topicScoring() *pubsub.TopicScoreParams {
	return &pubsub.TopicScoreParams{SkipAtomicValidation: true, TopicWeight: 1, TimeInMeshQuantum: time.Second}
}

func newGossip(ctx context.Context, n *node, o options) (*gossip, error) {
	g := &gossip{node: n, ctx: ctx, topics: map[string]*topic{}, tracer: newTracer(n.host.ID()), scores: map[peer.ID]float64{}}
	p, err := params(o)
	if err != nil {
		return nil, err
	}
	scores, thresholds := scoring(o)
	keep := func(s map[peer.ID]float64) {
		g.lock.Lock()
		g.scores = s
		g.lock.Unlock()
	}
	g.ps, err = pubsub.NewGossipSub(ctx, n.host, pubsub.WithGossipSubParams(p), pubsub.WithPeerScore(scores, thresholds),
		pubsub.WithPeerScoreInspect(pubsub.PeerScoreInspectFn(keep), 200*time.Millisecond), pubsub.WithPeerExchange(o.doPX), pubsub.WithFloodPublish(o.flood == "on"),
		pubsub.WithPeerOutboundQueueSize(queue), pubsub.WithValidateQueueSize(queue), pubsub.WithRawTracer(g.tracer),
		pubsub.WithEventTracer(g.tracer))
	if err != nil {
		return nil, err
	}
	for _, name := range o.subscribe {
		if err = g.subscribe(name); err != nil {
			return nil, err
		}
	}
	return g, nil
}

func (g *gossip) topic(name string) (*topic, error) {
	if t := g.topics[name]; t != nil {
		return t, nil
	}
	t, err := g.ps.Join(name)
	if err != nil {
		return nil, err
	}
	if err = t.SetScoreParams(topicScoring()); err != nil {
		return nil, err
	}
	g.topics[name] = &topic{Topic: t}
	return g.topics[name], nil
}

func (g *gossip) subscribe(name string) error {
	t, err := g.topic(name)
	if err != nil || t.sub != nil {
		return err
	}
	if t.sub, err = t.Subscribe(pubsub.WithBufferSize(4 * queue)); err != nil {
		return err
	}
	go g.receive(t.sub)
	return nil
}

func (g *gossip) receive(sub *pubsub.Subscription) {
	for {
		m, err := sub.Next(g.ctx)
		if err != nil {
			return
		}
		if m.ReceivedFrom == g.host.ID() {
			continue
		}
		sum := sha256.Sum256(m.Data)
		out("message", fields{"topic": m.GetTopic(), "size": len(m.Data), "sha256": hex.EncodeToString(sum[:]), "from": m.GetFrom(),
			"via": m.ReceivedFrom, "seqno": hex.EncodeToString(m.Seqno), "signed": len(m.Signature) > 0})
	}
}

func (g *gossip) publish(c command) error {
	t, err := g.topic(c.Topic)
	if err != nil {
		return err
	}
	for i := 0; i < max(1, c.Count); i++ {
		data := make([]byte, c.Size)
		rand.Read(data)
		if err := t.Publish(g.ctx, data); err != nil {
			return err
		}
		sum := sha256.Sum256(data)
		out("published", fields{"topic": c.Topic, "i": i, "size": c.Size, "sha256": hex.EncodeToString(sum[:])})
		time.Sleep(time.Duration(c.IntervalMs) * time.Millisecond)
	}
	return nil
}

func (g *gossip) do(c command) error {
	switch c.Cmd {
	case "subscribe":
		if err := g.subscribe(c.Topic); err != nil {
			return err
		}
		out("subscribed", fields{"topic": c.Topic})
	case "unsubscribe":
		if t := g.topics[c.Topic]; t != nil && t.sub != nil {
			t.sub.Cancel()
			t.sub = nil
		}
		out("unsubscribed", fields{"topic": c.Topic})
	case "publish":
		return g.publish(c)
	case "mesh":
		out("mesh-peers", fields{"topic": c.Topic, "mesh": g.tracer.meshOf(c.Topic)})
	case "scores":
		g.lock.Lock()
		defer g.lock.Unlock()
		scores := map[string]float64{}
		for p, v := range g.scores {
			scores[p.String()] = v
		}
		out("scores", fields{"scores": scores})
	default:
		return g.node.do(c)
	}
	return nil
}
