//! What gossipsub's own log tells: rust-libp2p has no other view of its control messages.
//!
//! Three of its log events are read: an RPC taken from the queue to be sent, an RPC received, a message refused. Their fields are Rust's
//! debug text of the RPC, so this goes with the pinned version of the crate.

use std::fmt::Debug;

use serde_json::json;
use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::subscriber::Interest;
use tracing_core::{Dispatch, Event, Level, LevelFilter, Metadata, Subscriber, dispatcher};

use crate::events::out;

pub const SHOWS: [&str; 10] = [
    "graft.in",
    "graft.out",
    "prune.in",
    "prune.out",
    "ihave.in",
    "ihave.out",
    "iwant.in",
    "iwant.out",
    "idontwant.in",
    "idontwant.out",
];

const ENTRIES: [(&str, &str); 5] = [
    ("Graft(Graft {", "graft"),
    ("Prune(Prune {", "prune"),
    ("IHave(IHave {", "ihave"),
    ("IWant(IWant {", "iwant"),
    ("IDontWant(IDontWant {", "idontwant"),
];

/// One control entry as Rust prints it.
struct Entry<'a> {
    what: &'static str,
    text: &'a str,
}

impl Entry<'_> {
    fn topic(&self) -> Option<&str> {
        let from = self.text.find("hash: \"")? + "hash: \"".len();
        let len = self.text[from..].find('"')?;
        Some(&self.text[from..from + len])
    }

    fn tell(&self, direction: &str, peer: &str) {
        let ids = self.text.matches("MessageId(").count();
        let mut fields = json!({"what": self.what, "direction": direction, "peer": peer, "count": ids.max(1)});
        if let Some(topic) = self.topic() {
            fields["topic"] = topic.into();
        }
        if self.what == "prune" {
            fields["px"] = self.text.matches("PeerInfo {").count().into();
        }
        out("control", fields);
    }
}

/// The control entries in the text of an RPC, in their order.
fn entries(text: &str) -> Vec<Entry<'_>> {
    let mut starts: Vec<_> =
        ENTRIES.iter().flat_map(|(mark, what)| text.match_indices(mark).map(move |(at, _)| (at, *what))).collect();
    starts.sort();
    let ends = starts.iter().skip(1).map(|(at, _)| *at).chain([text.len()]);
    starts.iter().zip(ends).map(|((at, what), end)| Entry { what, text: &text[*at..end] }).collect()
}

/// The fields of a log event. The RPC is in a second field of the name "message".
#[derive(Default)]
struct Fields {
    peer: String,
    messages: Vec<String>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "peer" => self.peer = format!("{value:?}"),
            "message" => self.messages.push(format!("{value:?}")),
            _ => {}
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Rpc(&'static str),
    Refusal,
    Other,
}

fn kind(m: &Metadata<'_>) -> Kind {
    let messages = m.fields().iter().filter(|f| f.name() == "message").count();
    match m.target() {
        _ if !m.is_event() || *m.level() > Level::DEBUG => Kind::Other,
        "libp2p_gossipsub::handler" if messages == 2 => Kind::Rpc("out"),
        "libp2p_gossipsub::behaviour" if messages == 2 => Kind::Rpc("in"),
        "libp2p_gossipsub::protocol" => Kind::Refusal,
        _ => Kind::Other,
    }
}

/// Does that log line stand for one refused message? Signatures are explained on a line of their own before it.
fn is_refusal(text: &str) -> bool {
    ["Invalid signature", "Invalid sequence", "Sequence number not", "Message source has"].iter().any(|s| text.starts_with(s))
}

struct Logs;

impl Subscriber for Logs {
    fn register_callsite(&self, m: &'static Metadata<'static>) -> Interest {
        if kind(m) == Kind::Other { Interest::never() } else { Interest::always() }
    }

    fn enabled(&self, m: &Metadata<'_>) -> bool {
        kind(m) != Kind::Other
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::DEBUG)
    }

    fn event(&self, e: &Event<'_>) {
        let mut f = Fields::default();
        e.record(&mut f);
        match (kind(e.metadata()), f.messages.as_slice()) {
            (Kind::Rpc(direction), [_, rpc]) => entries(rpc).iter().for_each(|e| e.tell(direction, &f.peer)),
            // The log does not say who sent it.
            (Kind::Refusal, [text]) if is_refusal(text) => out("rejected", json!({"via": null, "reason": text})),
            _ => {}
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

pub fn start() {
    dispatcher::set_global_default(Dispatch::new(Logs)).expect("the first and only one");
}
