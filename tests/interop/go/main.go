// The go-libp2p reference peer: commands on stdin, events on stdout, as ../README.md has them.
package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"github.com/libp2p/go-libp2p/core/crypto"
)

type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

type options struct {
	listen, subscribe list
	seed, mesh, flood string
	keyType           string
	doPX, silent      bool
	forge             bool
	pxThreshold       float64
	bench, to         string
	noSign            bool
	size              int
	seconds           float64
}

func parse() options {
	var o options
	flag.Var(&o.listen, "listen", "multiaddr to listen on, repeatable")
	flag.Var(&o.subscribe, "subscribe", "topic, repeatable")
	flag.StringVar(&o.seed, "key-seed", "", "64 hex digits, or text whose SHA-256 is the seed")
	flag.StringVar(&o.keyType, "key-type", "", "a random key: secp256k1, rsa or ecdsa")
	flag.StringVar(&o.mesh, "mesh", "", "D,LO,HI,OUT")
	flag.StringVar(&o.flood, "flood", "", "on or off")
	flag.BoolVar(&o.doPX, "do-px", false, "send peers in PRUNE")
	flag.Float64Var(&o.pxThreshold, "px-threshold", 0, "follow peers in PRUNE from this score on")
	flag.BoolVar(&o.silent, "silent", false, "no keepalives of its own")
	flag.BoolVar(&o.forge, "forge", false, "no gossipsub: lie as told")
	flag.StringVar(&o.bench, "bench", "", "no contract, under measurement: relay, sink or source")
	flag.StringVar(&o.to, "to", "", "source: the sink")
	flag.IntVar(&o.size, "size", 65536, "source: bytes of a write")
	flag.Float64Var(&o.seconds, "seconds", 3, "source: how long")
	flag.BoolVar(&o.noSign, "no-sign", false, "relay: messages have no author")
	flag.Parse()
	return o
}

func key(seed, kind string) (crypto.PrivKey, error) {
	if kind != "" {
		kinds := map[string]int{"secp256k1": crypto.Secp256k1, "rsa": crypto.RSA, "ecdsa": crypto.ECDSA}
		k, _, err := crypto.GenerateKeyPairWithReader(kinds[kind], 2048, rand.Reader)
		return k, err
	}
	if seed == "" {
		k, _, err := crypto.GenerateEd25519Key(rand.Reader)
		return k, err
	}
	raw, err := hex.DecodeString(seed)
	if err != nil || len(raw) != ed25519.SeedSize {
		sum := sha256.Sum256([]byte(seed))
		raw = sum[:]
	}
	return crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(raw))
}

// version of a module that was built in.
func version(path string) string {
	info, _ := debug.ReadBuildInfo()
	for _, m := range info.Deps {
		if m.Path == path {
			return strings.TrimPrefix(m.Version, "v")
		}
	}
	return "unknown"
}

type command struct {
	Cmd, Addr, Peer, Topic, Kind string
	Count, Size, IntervalMs      int
}

// what answers commands: a peer with gossipsub, or the forger.
type actor interface {
	do(c command) error
	close()
}

func serve(a actor) {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var c command
		if err := json.Unmarshal(in.Bytes(), &c); err != nil {
			failed("command", err)
			continue
		}
		if c.Cmd == "exit" {
			break
		}
		if err := a.do(c); err != nil {
			failed(c.Cmd, err)
		}
	}
	a.close()
}

func main() {
	o := parse()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	n, err := newNode(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var a actor
	if o.bench != "" {
		a, err = newBench(ctx, n, o)
	} else if o.forge {
		a = newForger(ctx, n)
	} else {
		a, err = newGossip(ctx, n, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err = n.start(o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if b, is := a.(*bench); is && o.bench == "source" {
		if err = b.source(ctx, o.to, o.size, o.seconds); err != nil {
			failed("source", err)
		}
	}
	serve(a)
}
