//! The flags of ../README.md.

use libp2p::Multiaddr;
use libp2p::identity::Keypair;
use sha2::{Digest, Sha256};

#[derive(Default)]
pub struct Options {
    pub listen: Vec<Multiaddr>,
    pub subscribe: Vec<String>,
    pub key_seed: Option<String>,
    pub mesh: Option<[usize; 4]>,
    pub flood: Option<bool>,
    pub do_px: bool,
    pub px_threshold: f64,
    pub silent: bool,
}

fn numbers(text: &str) -> Result<[usize; 4], String> {
    let all: Result<Vec<usize>, _> = text.split(',').map(str::parse).collect();
    all.ok().and_then(|v| v.try_into().ok()).ok_or(format!("--mesh {text}: not D,LO,HI,OUT"))
}

pub fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut o = Options::default();
    while let Some(flag) = args.next() {
        let mut value = || args.next().ok_or(format!("{flag} wants a value"));
        match flag.as_str() {
            "--listen" => o.listen.push(value()?.parse().map_err(|e| format!("--listen: {e}"))?),
            "--subscribe" => o.subscribe.push(value()?),
            "--key-seed" => o.key_seed = Some(value()?),
            "--mesh" => o.mesh = Some(numbers(&value()?)?),
            "--flood" => o.flood = Some(value()? == "on"),
            "--do-px" => o.do_px = true,
            "--px-threshold" => o.px_threshold = value()?.parse().map_err(|e| format!("--px-threshold: {e}"))?,
            "--silent" => o.silent = true,
            _ => return Err(format!("unknown flag {flag}")),
        }
    }
    Ok(o)
}

/// The key of that seed: 64 hex digits as they are, anything else by its SHA-256.
pub fn key(seed: Option<&str>) -> Keypair {
    let Some(text) = seed else {
        return Keypair::generate_ed25519();
    };
    let mut raw = [0u8; 32];
    if hex::decode_to_slice(text, &mut raw).is_err() {
        raw.copy_from_slice(&Sha256::digest(text.as_bytes()));
    }
    Keypair::ed25519_from_bytes(raw).expect("32 bytes are a seed")
}
