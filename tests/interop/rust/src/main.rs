//! The rust-libp2p reference peer: commands on stdin, events on stdout, as ../README.md has them.

mod bench;
mod events;
mod gossip;
mod logs;
mod node;
mod options;

use std::io::BufRead;
use std::process::exit;

use tokio::sync::mpsc;

use events::failed;
use node::{Command, Node};

/// Lines of stdin; it ends with stdin.
fn lines() -> mpsc::UnboundedReceiver<String> {
    let (tx, rx) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if tx.send(line).is_err() {
                return;
            }
        }
    });
    rx
}

async fn serve(mut node: Node) {
    let mut input = lines();
    loop {
        tokio::select! {
            line = input.recv(), if !node.is_busy() => match line.map(|l| serde_json::from_str::<Command>(&l)) {
                None => break,
                Some(Ok(c)) if c.cmd == "exit" => break,
                Some(Ok(c)) => node.act(c),
                Some(Err(e)) => failed("command", e),
            },
            _ = node.turn() => {}
        }
    }
    node.leave().await;
}

fn under_measurement(args: &[String]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let done = runtime.block_on(async {
        let mut input = lines();
        tokio::select! {
            done = bench::run(args) => match done {
                Ok(()) => { while input.recv().await.is_some() {} Ok(()) }
                Err(e) => Err(e),
            },
            _ = async { while input.recv().await.is_some() {} } => Ok(()),
        }
    });
    if let Err(e) = done {
        eprintln!("{e}");
        exit(1);
    }
    exit(0);
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|a| a == "--bench") {
        under_measurement(&args);
    }
    let o = options::parse(std::env::args().skip(1)).unwrap_or_else(|e| {
        eprintln!("{e}");
        exit(2);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    logs::start();
    let done = runtime.block_on(async {
        let node = Node::new(&o, options::key(o.key_seed.as_deref()))?;
        serve(node).await;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
    });
    if let Err(e) = done {
        eprintln!("{e}");
        exit(1);
    }
    exit(0); // a thread may still wait for stdin
}
