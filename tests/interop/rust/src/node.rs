//! The swarm: connections, identify, ping; commands that take their time.

use std::error::Error;
use std::time::Duration;

use futures::StreamExt;
use libp2p::core::{ConnectedPoint, PeerRecord};
use libp2p::gossipsub::{self, IdentTopic};
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{ConnectionId, NetworkBehaviour, Swarm, SwarmEvent};
use libp2p::{Multiaddr, PeerId, SwarmBuilder, identify, noise, ping, tcp, yamux};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, sleep_until, timeout};

use crate::events::{failed, out};
use crate::options::Options;
use crate::{gossip, logs};

const LIBRARY: &str = "rust-libp2p 0.57.1, libp2p-gossipsub 0.50.1";

type Failed = Box<dyn Error + Send + Sync>;

#[derive(NetworkBehaviour)]
pub struct Peer {
    gossip: gossipsub::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
}

#[derive(Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[derive(Default)]
pub struct Command {
    pub cmd: String,
    addr: String,
    peer: String,
    topic: String,
    count: usize,
    size: usize,
    interval_ms: u64,
}

/// The command that is not answered yet. The next one is read when it is.
enum Pending {
    Dial { id: ConnectionId, addr: String },
    Close { peer: PeerId },
    Ping { peer: PeerId, addr: String, i: usize, count: usize },
    Publish { c: Command, i: usize, at: Instant },
}

pub struct Node {
    swarm: Swarm<Peer>,
    pending: Option<Pending>,
}

/// How long a connection may stay that no mesh needs. Stock is 10 s: what subscribes from the start and keeps a mesh lives with that, the
/// others of the matrix have nothing to say for longer.
fn idle(o: &Options) -> Duration {
    Duration::from_secs(if o.subscribe.is_empty() || o.mesh.is_some() { 3600 } else { 10 })
}

/// The library pings by itself; how often is all one can say. Stock: every 15 s.
fn ping_every(o: &Options) -> ping::Config {
    ping::Config::new().with_interval(Duration::from_secs(if o.silent { 86400 } else { 1 }))
}

fn direction(e: &ConnectedPoint) -> &'static str {
    if e.is_dialer() { "outbound" } else { "inbound" }
}

fn peer_of(addr: &Multiaddr) -> Result<PeerId, Failed> {
    match addr.iter().last() {
        Some(Protocol::P2p(peer)) => Ok(peer),
        _ => Err(format!("{addr} has no peer id").into()),
    }
}

fn texts<T: ToString>(all: impl IntoIterator<Item = T>) -> Vec<String> {
    all.into_iter().map(|t| t.to_string()).collect()
}

fn identified(peer: PeerId, info: identify::Info) {
    let record = info.signed_peer_record.and_then(|e| PeerRecord::from_signed_envelope_interop(e).ok());
    let fields = json!({"peer": peer.to_base58(), "agentVersion": info.agent_version, "protocolVersion": info.protocol_version,
        "protocols": texts(&info.protocols), "listenAddrs": texts(&info.listen_addrs), "observed": info.observed_addr.to_string(),
        "signedPeerRecord": record.map(|r| json!({"seq": r.seq().to_string(), "addrs": texts(r.addresses())}))});
    out("identified", fields);
}

impl Node {
    pub fn new(o: &Options, key: Keypair) -> Result<Node, Failed> {
        let mut swarm = SwarmBuilder::with_existing_identity(key)
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)?
            .with_behaviour(|key| {
                Ok(Peer {
                    gossip: gossip::new(o, key)?,
                    identify: identify::Behaviour::new(identify::Config::new_with_signed_peer_record("ipfs/0.1.0".into(), key)),
                    ping: ping::Behaviour::new(ping_every(o)),
                })
            })?
            .with_swarm_config(|c| c.with_idle_connection_timeout(idle(o)))
            .build();
        out("started", json!({"peerId": swarm.local_peer_id().to_base58(), "library": LIBRARY, "shows": logs::SHOWS}));
        for topic in &o.subscribe {
            out("subscribed", json!({"topic": topic}));
        }
        for addr in &o.listen {
            swarm.listen_on(addr.clone())?;
        }
        Ok(Node { swarm, pending: None })
    }

    pub fn is_busy(&self) -> bool {
        self.pending.is_some()
    }

    /// Lives until something happens.
    pub async fn turn(&mut self) {
        let next = match &self.pending {
            Some(Pending::Publish { at, .. }) => *at,
            _ => Instant::now() + Duration::from_secs(3600),
        };
        tokio::select! {
            e = self.swarm.select_next_some() => self.on_event(e),
            _ = sleep_until(next) => self.publish_next(),
        }
    }

    pub fn act(&mut self, c: Command) {
        let name = c.cmd.clone();
        if let Err(e) = self.command(c) {
            failed(&name, e);
        }
    }

    fn command(&mut self, c: Command) -> Result<(), Failed> {
        match c.cmd.as_str() {
            "dial" => self.dial(c.addr)?,
            "close" => {
                let peer = c.peer.parse()?;
                if self.swarm.disconnect_peer_id(peer).is_ok() {
                    self.pending = Some(Pending::Close { peer });
                }
            }
            "ping" => {
                let peer = peer_of(&c.addr.parse()?)?;
                if !self.swarm.is_connected(&peer) {
                    return Err("not connected".into());
                }
                self.pending = Some(Pending::Ping { peer, addr: c.addr, i: 0, count: c.count.max(1) });
            }
            "subscribe" => {
                gossip::subscribe(&mut self.swarm.behaviour_mut().gossip, &c.topic)?;
                out("subscribed", json!({"topic": c.topic}));
            }
            "unsubscribe" => {
                self.swarm.behaviour_mut().gossip.unsubscribe(&IdentTopic::new(&c.topic));
                out("unsubscribed", json!({"topic": c.topic}));
            }
            "publish" => {
                self.pending = Some(Pending::Publish { c, i: 0, at: Instant::now() });
                self.publish_next();
            }
            "mesh" => {
                let mesh = texts(self.swarm.behaviour().gossip.mesh_peers(&IdentTopic::new(&c.topic).hash()));
                out("mesh-peers", json!({"topic": c.topic, "mesh": mesh}));
            }
            "peers" => out("peers", json!({"peers": texts(self.swarm.connected_peers())})),
            "scores" => self.scores(),
            _ => return Err("unknown command".into()),
        }
        Ok(())
    }

    fn dial(&mut self, text: String) -> Result<(), Failed> {
        let addr: Multiaddr = text.parse()?;
        if self.swarm.is_connected(&peer_of(&addr)?) {
            out("dialed", json!({"addr": text, "ok": true}));
            return Ok(());
        }
        let opts = DialOpts::from(addr);
        let id = opts.connection_id();
        match self.swarm.dial(opts) {
            Ok(()) => self.pending = Some(Pending::Dial { id, addr: text }),
            Err(e) => out("dialed", json!({"addr": text, "ok": false, "error": e.to_string()})),
        }
        Ok(())
    }

    fn dialed(&mut self, done: ConnectionId, error: Option<String>) {
        if let Some(Pending::Dial { addr, .. }) = self.pending.take_if(|p| matches!(p, Pending::Dial { id, .. } if *id == done)) {
            let mut fields = json!({"addr": addr, "ok": error.is_none()});
            if let Some(e) = error {
                fields["error"] = e.into();
            }
            out("dialed", fields);
        }
    }

    /// All that are due: without an interval, all at once.
    fn publish_next(&mut self) {
        let Some(Pending::Publish { c, i, at }) = &mut self.pending else {
            return;
        };
        let count = c.count.max(1);
        while *i < count && *at <= Instant::now() {
            gossip::publish(&mut self.swarm.behaviour_mut().gossip, &c.topic, c.size, *i);
            *i += 1;
            if c.interval_ms > 0 {
                *at = Instant::now() + Duration::from_millis(c.interval_ms);
            }
        }
        if *i == count {
            self.pending = None;
        }
    }

    fn scores(&self) {
        let gossip = &self.swarm.behaviour().gossip;
        let scores: serde_json::Map<_, _> =
            self.swarm.connected_peers().filter_map(|p| gossip.peer_score(p).map(|s| (p.to_base58(), s.into()))).collect();
        out("scores", json!({"scores": scores}));
    }

    fn pinged(&mut self, e: ping::Event) {
        let Some(Pending::Ping { peer, addr, i, count }) = &mut self.pending else {
            return;
        };
        if e.peer != *peer {
            return;
        }
        match e.result {
            Ok(rtt) => {
                out("ping", json!({"addr": addr, "i": i, "wallMs": rtt.as_secs_f64() * 1000.0}));
                *i += 1;
                if *i < *count {
                    return;
                }
            }
            Err(e) => failed("ping", e),
        }
        self.pending = None;
    }

    fn closed(&mut self, gone: PeerId, endpoint: ConnectedPoint) {
        out("disconnected", json!({"peer": gone.to_base58(), "direction": direction(&endpoint)}));
        match &self.pending {
            _ if self.swarm.is_connected(&gone) => return, // by another connection
            Some(Pending::Close { peer }) if *peer == gone => {}
            Some(Pending::Ping { peer, .. }) if *peer == gone => failed("ping", "the connection is gone"),
            _ => return,
        }
        self.pending = None;
    }

    fn on_event(&mut self, e: SwarmEvent<PeerEvent>) {
        match e {
            SwarmEvent::Behaviour(PeerEvent::Gossip(e)) => gossip::on_event(e),
            SwarmEvent::Behaviour(PeerEvent::Ping(e)) => self.pinged(e),
            SwarmEvent::Behaviour(PeerEvent::Identify(identify::Event::Received { peer_id, info, .. })) => {
                identified(peer_id, info)
            }
            SwarmEvent::Behaviour(PeerEvent::Identify(identify::Event::Error { peer_id, error, .. })) => {
                failed("identify", format!("{peer_id}: {error}"));
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                out("listening", json!({"addr": format!("{address}/p2p/{}", self.swarm.local_peer_id())}));
            }
            SwarmEvent::ListenerError { error, .. } => failed("listener", error),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                let fields = json!({"peer": peer_id.to_base58(), "addr": endpoint.get_remote_address().to_string(),
                    "direction": direction(&endpoint)});
                out("connected", fields);
                self.dialed(connection_id, None);
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                self.dialed(connection_id, Some(error.to_string()))
            }
            SwarmEvent::ConnectionClosed { peer_id, endpoint, .. } => self.closed(peer_id, endpoint),
            _ => {}
        }
    }

    /// Says goodbye to every peer, after what is queued for them.
    pub async fn leave(mut self) {
        self.pending = None;
        let begun = Instant::now();
        while begun.elapsed().as_secs() < 1 && timeout(Duration::from_millis(50), self.turn()).await.is_ok() {}
        for peer in self.swarm.connected_peers().copied().collect::<Vec<_>>() {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let done = async {
            while self.swarm.connected_peers().next().is_some() {
                self.turn().await;
            }
        };
        let _ = timeout(Duration::from_secs(3), done).await; // who does not answer is left behind
    }
}
