//! Gossipsub: how it is set, and its events.

use std::error::Error;
use std::time::Duration;

use libp2p::gossipsub::{
    Behaviour, ConfigBuilder, Event, IdentTopic, Message, MessageAuthenticity, MessageId, PeerScoreParams, PeerScoreThresholds,
    TopicScoreParams, ValidationMode,
};
use libp2p::identity::Keypair;
use rand::Rng;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::events::{failed, out};
use crate::options::Options;

const RPC_BYTES: usize = 1 << 20; // stock: 64 KiB
const QUEUED: Duration = Duration::from_secs(30); // stock: 5 s of a publish, 1 s of a relayed message, then it is dropped

/// The spec's id; stock is base58 text of the author followed by the number in decimal.
fn message_id(m: &Message) -> MessageId {
    let mut id = m.source.map(|p| p.to_bytes()).unwrap_or_default();
    id.extend(m.sequence_number.unwrap_or_default().to_be_bytes());
    MessageId(id)
}

fn config(o: &Options) -> ConfigBuilder {
    let mut c = ConfigBuilder::default();
    c.validation_mode(ValidationMode::Strict)
        .message_id_fn(message_id)
        .max_transmit_size(RPC_BYTES)
        .publish_queue_duration(QUEUED)
        .forward_queue_duration(QUEUED);
    if let Some([d, low, high, out]) = o.mesh {
        c.mesh_n(d).mesh_n_low(low).mesh_n_high(high).mesh_outbound_min(out);
    }
    if let Some(flood) = o.flood {
        c.flood_publish(flood);
    }
    if o.do_px {
        c.do_px().prune_peers(16);
    }
    c
}

/// Scoring is on, with js-libp2p's thresholds and none of what honest peers differ in; stock is no scoring.
fn scoring(o: &Options) -> (PeerScoreParams, PeerScoreThresholds) {
    let params = PeerScoreParams { ip_colocation_factor_weight: 0.0, behaviour_penalty_decay: 0.99, ..Default::default() };
    let thresholds = PeerScoreThresholds {
        gossip_threshold: -10.0,
        publish_threshold: -50.0,
        graylist_threshold: -80.0,
        accept_px_threshold: o.px_threshold,
        ..Default::default()
    };
    (params, thresholds)
}

/// Refused messages are told as events, not scored: js-libp2p sends small messages back to their author, which counts as one.
fn topic_scoring() -> TopicScoreParams {
    TopicScoreParams {
        topic_weight: 1.0,
        time_in_mesh_weight: 0.0,
        first_message_deliveries_weight: 0.0,
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        invalid_message_deliveries_weight: 0.0,
        invalid_message_deliveries_decay: 0.99,
        ..Default::default()
    }
}

pub fn new(o: &Options, key: &Keypair) -> Result<Behaviour, Box<dyn Error + Send + Sync>> {
    let mut b = Behaviour::new(MessageAuthenticity::Signed(key.clone()), config(o).build()?)?;
    let (params, thresholds) = scoring(o);
    b.with_peer_score(params, thresholds)?;
    for topic in &o.subscribe {
        subscribe(&mut b, topic)?;
    }
    Ok(b)
}

pub fn subscribe(b: &mut Behaviour, topic: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
    let topic = IdentTopic::new(topic);
    b.set_topic_params(topic.clone(), topic_scoring())?;
    b.subscribe(&topic)?;
    Ok(())
}

/// Publishes random bytes and tells of it as the i-th.
pub fn publish(b: &mut Behaviour, topic: &str, size: usize, i: usize) {
    let mut data = vec![0; size];
    rand::rng().fill_bytes(&mut data);
    let sha = hex::encode(Sha256::digest(&data));
    match b.publish(IdentTopic::new(topic), data) {
        Ok(_) => out("published", json!({"topic": topic, "i": i, "size": size, "sha256": sha})),
        Err(e) => failed("publish", e),
    }
}

pub fn on_event(e: Event) {
    match e {
        Event::Message { propagation_source, message: m, .. } => {
            // In strict mode nothing comes here but what has a verified signature, an author and a number.
            let fields = json!({"topic": m.topic.as_str(), "size": m.data.len(), "sha256": hex::encode(Sha256::digest(&m.data)),
                "from": m.source.map(|p| p.to_base58()), "via": propagation_source.to_base58(),
                "seqno": format!("{:016x}", m.sequence_number.unwrap_or_default()), "signed": true});
            out("message", fields);
        }
        Event::Subscribed { peer_id, topic } => {
            out("peer-subscribed", json!({"peer": peer_id.to_base58(), "topic": topic.as_str()}));
        }
        Event::Unsubscribed { peer_id, topic } => {
            out("peer-unsubscribed", json!({"peer": peer_id.to_base58(), "topic": topic.as_str()}));
        }
        Event::GossipsubNotSupported { peer_id } => failed("gossipsub", format!("{peer_id} does not speak it")),
        Event::SlowPeer { peer_id, failed_messages } => {
            failed("queue", format!("messages were dropped for {peer_id}: {failed_messages:?}"));
        }
    }
}
