//! `serve`: the studio behind an address.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use protoclip::device::DeviceChoice;
use tokio::sync::watch;

use super::UsageError;
use super::signals::{END_LIMIT, Signals, quit};
use crate::server::{Access, AllowedHosts, AppState, Token};
use crate::settings::{ServeSettings, data_dir_or_default};
use crate::studio::{DataDir, DataSets, Studio, StudioOptions, TrainerRunner};

const DEFAULT_PORT: u16 = 7878;
/// Ports tried when none was asked for.
const PORTS_TRIED: u16 = 100;
/// How long answers under way may take once the runs are saved.
const DRAIN_LIMIT: Duration = Duration::from_secs(1);

pub(super) fn serve(settings: ServeSettings) -> anyhow::Result<()> {
    let token = token_of(&settings)?;
    let device = DeviceChoice::parse(&settings.device).map_err(|e| UsageError(e.to_string()))?;
    device.open()?;
    let studio = open_studio(settings.data_dir.clone(), &settings.device)?;
    let listener = bind(settings.host, settings.port)?;
    let address = listener.local_addr().context("cannot read the address")?;
    let url = format!("http://{address}");
    studio.announce(&url)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("http")
        .enable_all()
        .build()
        .context("cannot start the server's threads")?;
    let served = serve_until_signal(listener, &studio, &settings, token.as_ref());
    let result = runtime.block_on(served);
    runtime.shutdown_timeout(Duration::from_millis(200));
    result
}

/// The token that was chosen, or a new one where others can reach the server.
fn token_of(settings: &ServeSettings) -> anyhow::Result<Option<Token>> {
    if let Some(text) = &settings.token {
        return match Token::parse(text) {
            Ok(token) => Ok(Some(token)),
            Err(message) => Err(UsageError(format!("--token: {message}")).into()),
        };
    }
    if settings.host.is_loopback() {
        return Ok(None);
    }
    let token = Token::generate().context("the system gives no random numbers for a token")?;
    Ok(Some(token))
}

/// A studio over the data directory that was given, or the user's.
pub(super) fn open_studio(data_dir: Option<PathBuf>, device: &str) -> anyhow::Result<Arc<Studio>> {
    let root = data_dir_or_default(data_dir)
        .ok_or_else(|| UsageError("HOME is not set; give a data directory".into()))?;
    let data_dir = DataDir::open(&root)
        .with_context(|| "the data directory cannot be used; give another one")?;
    let data_sets = Arc::new(DataSets::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let runner = TrainerRunner::new(Arc::clone(&data_sets), threads)?;
    Ok(Studio::start(StudioOptions {
        data_dir,
        data_sets,
        runner: Arc::new(runner),
        default_device: device.to_owned(),
    })?)
}

/// Binds the asked port, or the first free one from the default on.
fn bind(host: IpAddr, asked: Option<u16>) -> anyhow::Result<TcpListener> {
    if let Some(port) = asked {
        let address = SocketAddr::new(host, port);
        return TcpListener::bind(address).map_err(|error| {
            let fix = "stop what uses it, or choose another --port";
            UsageError(format!("cannot listen on {address}: {error}; {fix}")).into()
        });
    }
    for port in DEFAULT_PORT..DEFAULT_PORT + PORTS_TRIED {
        match TcpListener::bind(SocketAddr::new(host, port)) {
            Err(error) if error.kind() == ErrorKind::AddrInUse => (),
            bound => return bound.with_context(|| format!("cannot listen on {host}:{port}")),
        }
    }
    let last = DEFAULT_PORT + PORTS_TRIED - 1;
    let message = format!("ports {DEFAULT_PORT} to {last} are all in use; choose one with --port");
    Err(UsageError(message).into())
}

async fn serve_until_signal(
    listener: TcpListener,
    studio: &Arc<Studio>,
    settings: &ServeSettings,
    token: Option<&Token>,
) -> anyhow::Result<()> {
    let address = listener.local_addr().context("cannot read the address")?;
    listener
        .set_nonblocking(true)
        .context("cannot use the address")?;
    let listener = tokio::net::TcpListener::from_std(listener).context("cannot use the address")?;
    let mut signals = Signals::listen()?;
    let (end, ending) = watch::channel(false);
    let access = match token {
        Some(token) => Access::with_token(token, address.port())
            .context("the system gives no random numbers for a session")?,
        None => Access::open(),
    };
    let hosts = AllowedHosts::of(address).with_names(&settings.allowed_hosts, address);
    let state = AppState::new(Arc::clone(studio), hosts, ending.clone())
        .with_access(access.read_only(settings.read_only));
    let mut server = tokio::spawn(crate::server::serve(listener, state, ending));
    say_ready(address, studio, settings, token);
    tokio::select! {
        ended = &mut server => {
            ended.context("the server panicked")?.context("the server failed")?;
        }
        () = signals.next() => say!("ending: saving runs; once more to quit at once"),
    }
    let saving = Arc::clone(studio);
    let saved = tokio::task::spawn_blocking(move || saving.shutdown(END_LIMIT));
    tokio::select! {
        saved = saved => if !saved.unwrap_or(false) {
            say_error!("a run took too long to save; it goes on from its last checkpoint");
        },
        () = signals.next() => quit(),
    }
    end.send_replace(true);
    // Clients that keep a connection open lose it.
    let _late = tokio::time::timeout(DRAIN_LIMIT, server).await;
    Ok(())
}

fn say_ready(
    address: SocketAddr,
    studio: &Studio,
    settings: &ServeSettings,
    token: Option<&Token>,
) {
    let facts = studio.facts();
    let url = match token {
        Some(token) => format!("http://{address}/?token={}", token.as_str()),
        None => format!("http://{address}"),
    };
    say!("protoclip-studio {} is ready", facts.version);
    say!("  address  {url}");
    say!("  data     {}", facts.data_dir);
    say!("  device   {}", facts.device);
    if settings.read_only {
        say!("  changes  none: read only");
    }
    if !address.ip().is_loopback() {
        say!("  note     traffic is not encrypted: use it in a network you trust");
        if address.ip().is_unspecified() && settings.allowed_hosts.is_empty() {
            say!(
                "  note     others need a name for it: add --allow-host with this machine's name or address"
            );
        }
    }
    if settings.open
        && let Err(error) = open::that_detached(&url)
    {
        say_error!("cannot open a browser: {error}");
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::settings::{Command, Settings};

    #[test]
    fn a_busy_port_that_was_asked_for_is_a_usage_error_naming_it() {
        let host = IpAddr::from([127, 0, 0, 1]);
        let taken = TcpListener::bind((host, 0)).expect("binds");
        let port = taken.local_addr().expect("address").port();
        let error = bind(host, Some(port)).expect_err("busy");
        assert!(error.downcast_ref::<UsageError>().is_some());
        assert!(error.to_string().contains(&port.to_string()), "{error}");
    }

    #[test]
    fn an_address_that_others_can_reach_has_a_token() {
        let token = |arguments: &[&str]| {
            let line = [&["protoclip-studio", "serve"], arguments].concat();
            let settings = Settings::try_parse_from(line).expect("parses");
            let Command::Serve(settings) = settings.command else {
                panic!("serve was asked for");
            };
            token_of(&settings)
        };
        assert_eq!(token(&[]).expect("none"), None);
        let host = ["--host", "0.0.0.0"];
        let made = token(&host).expect("made").expect("some");
        assert_ne!(Some(&made), token(&host).expect("made").as_ref());
        let chosen = token(&["--token", "0123456789abcdef"]).expect("taken");
        assert_eq!(chosen.expect("some").as_str(), "0123456789abcdef");
        assert!(token(&["--token", "short"]).is_err());
    }
}
