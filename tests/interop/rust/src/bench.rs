//! Under measurement (tests/bench/figure3_stream): one yamux stream over Noise over TCP, without swarm or protocol names.

use std::error::Error;
use std::future::poll_fn;
use std::pin::Pin;
use std::time::{Duration, Instant};

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerBox, StreamMuxerExt, SubstreamBox};
use libp2p::core::transport::{Boxed, DialOpts, ListenerId, PortUse, Transport, TransportEvent};
use libp2p::core::{Endpoint, upgrade};
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId, noise, tcp, yamux};
use serde_json::json;

use crate::events::out;

type Failed = Box<dyn Error + Send + Sync>;
type Link = Boxed<(PeerId, StreamMuxerBox)>;

fn link(key: &Keypair) -> Result<Link, Failed> {
    Ok(tcp::tokio::Transport::new(tcp::Config::default())
        .upgrade(upgrade::Version::V1Lazy)
        .authenticate(noise::Config::new(key)?)
        .multiplex(yamux::Config::default())
        .boxed())
}

/// The next stream of either side; the muxer has to be driven meanwhile.
async fn stream(muxer: &mut StreamMuxerBox, is_ours: bool) -> Result<SubstreamBox, Failed> {
    Ok(poll_fn(|cx| {
        let _ = muxer.poll_unpin(cx)?;
        if is_ours { muxer.poll_outbound_unpin(cx) } else { muxer.poll_inbound_unpin(cx) }
    })
    .await?)
}

/// Drives the connection for the streams on it.
fn drive(mut muxer: StreamMuxerBox) {
    tokio::spawn(poll_fn(move |cx| {
        let _ = Pin::new(&mut muxer).poll_inbound(cx);
        Pin::new(&mut muxer).poll(cx).map(|_| ())
    }));
}

/// Bytes until the end of the stream; then how many there were.
async fn take(mut s: SubstreamBox) -> Result<(), Failed> {
    let (mut got, mut block) = (0u64, vec![0u8; 1 << 16]);
    loop {
        match s.read(&mut block).await? {
            0 => break,
            n => got += n as u64,
        }
    }
    s.write_all(&got.to_be_bytes()).await?;
    s.close().await?;
    Ok(())
}

async fn sink(addr: Multiaddr, key: &Keypair) -> Result<(), Failed> {
    let mut t = link(key)?;
    t.listen_on(ListenerId::next(), addr)?;
    loop {
        match poll_fn(|cx| Pin::new(&mut t).poll(cx)).await {
            TransportEvent::NewAddress { listen_addr, .. } => {
                let addr = listen_addr.with(Protocol::P2p(key.public().to_peer_id()));
                out("listening", json!({"addr": addr.to_string()}));
            }
            TransportEvent::Incoming { upgrade, .. } => {
                tokio::spawn(async move {
                    let (_, mut muxer) = upgrade.await?;
                    let s = stream(&mut muxer, false).await?;
                    drive(muxer);
                    take(s).await
                });
            }
            _ => {}
        }
    }
}

async fn pump(s: &mut SubstreamBox, chunk: &[u8], time: Duration) -> Result<u64, Failed> {
    let (end, mut sent) = (Instant::now() + time, 0);
    while Instant::now() < end {
        for _ in 0..(1usize << 20).div_ceil(chunk.len()).min(64) {
            s.write_all(chunk).await?;
            sent += chunk.len() as u64;
        }
    }
    Ok(sent)
}

async fn source(addr: Multiaddr, key: &Keypair, size: usize, seconds: f64) -> Result<(), Failed> {
    let mut t = link(key)?;
    let (time, chunk) = (Duration::from_secs_f64(seconds), vec![7u8; size]);
    let dial = t.dial(addr, DialOpts { role: Endpoint::Dialer, port_use: PortUse::New })?;
    let (_, mut muxer) = dial.await?;
    let mut s = stream(&mut muxer, true).await?;
    drive(muxer);
    let warm = pump(&mut s, &chunk, time / 3).await?;
    out("streaming", json!({}));
    let begun = Instant::now();
    let sent = pump(&mut s, &chunk, time).await?;
    s.close().await?;
    let mut n = [0u8; 8];
    s.read_exact(&mut n).await?;
    let ok = u64::from_be_bytes(n) == sent + warm;
    out("streamed", json!({"bytes": sent, "seconds": begun.elapsed().as_secs_f64(), "ok": ok}));
    Ok(())
}

fn value<T: std::str::FromStr>(args: &[String], flag: &str) -> Result<T, Failed> {
    let at = args.iter().position(|a| a == flag).ok_or(format!("{flag} is missing"))?;
    args.get(at + 1).and_then(|v| v.parse().ok()).ok_or(format!("{flag}: no such value").into())
}

/// `--bench sink --listen MA` or `--bench source --to MA --size N --seconds S`; both stay until stdin ends.
pub async fn run(args: &[String]) -> Result<(), Failed> {
    let key = Keypair::generate_ed25519();
    if value::<String>(args, "--bench")? == "sink" {
        return sink(value(args, "--listen")?, &key).await;
    }
    source(value(args, "--to")?, &key, value(args, "--size")?, value(args, "--seconds")?).await
}
