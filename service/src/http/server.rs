use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::{Registry, TEXT_FORMAT, TextEncoder};
use serde_json::json;
use tokio::runtime;
use tokio::sync::watch;

use super::Health;
use super::health::Report;

/// How long requests that are being answered may take after the server was asked to stop.
const GRACE: Duration = Duration::from_millis(300);

/// Serves metrics and health on a thread of its own, until it is stopped or dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Clone)]
struct Sources {
    registry: Registry,
    health: Health,
}

impl Server {
    /// Begins to serve at `address`; when it returns, connections are accepted.
    pub fn start(address: SocketAddr, registry: Registry, health: Health) -> io::Result<Self> {
        let listener = listen(address).map_err(|error| {
            let advice = "the setting http.address names another address, or off";
            io::Error::new(error.kind(), format!("can't serve metrics at {address}: {error}; {advice}"))
        })?;
        let address = listener.local_addr()?;
        // Scrapes ask the log, which may be slow, and so have threads of their own: probes are answered meanwhile.
        let runtime = runtime::Builder::new_current_thread().enable_all().max_blocking_threads(2).build()?;
        let (stop, stopped) = watch::channel(false);
        let router = router(Sources { registry, health });
        let work = move || {
            if let Err(error) = runtime.block_on(serve(listener, router, stopped)) {
                tracing::error!(%error, "metrics and health are no longer served");
            }
            // A scrape that hangs must not keep the process.
            runtime.shutdown_timeout(GRACE);
        };
        let thread = Builder::new().name("http".into()).spawn(work)?;
        Ok(Self { address, stop, thread: Some(thread) })
    }

    /// Where it serves; with the real port, if it was to choose one.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops, within a second. Dropping does the same.
    pub fn stop(self) {}
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // The thread has logged what there was to say.
            drop(thread.join());
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

async fn serve(listener: TcpListener, router: Router, stopped: watch::Receiver<bool>) -> io::Result<()> {
    let asked = |mut stopped: watch::Receiver<bool>| async move {
        // An error means that the server is gone, which is the same.
        drop(stopped.wait_for(|stop| *stop).await);
    };
    let serving = axum::serve(tokio::net::TcpListener::from_std(listener)?, router);
    let serving = serving.with_graceful_shutdown(asked(stopped.clone()));
    tokio::select! {
        result = async { serving.await } => result,
        // Somebody who sends half a request must not keep the process.
        () = async { asked(stopped).await; tokio::time::sleep(GRACE).await } => Ok(()),
    }
}

fn router(sources: Sources) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .fallback(async || {
            failure(StatusCode::NOT_FOUND, "there are /metrics, /health/live and /health/ready")
        })
        .method_not_allowed_fallback(async || failure(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD"))
        .with_state(sources)
}

async fn live(State(sources): State<Sources>) -> Response {
    probe(&sources.health.live())
}

async fn ready(State(sources): State<Sources>) -> Response {
    probe(&sources.health.ready())
}

async fn metrics(State(sources): State<Sources>) -> Response {
    let encode = move || TextEncoder::new().encode_to_string(&sources.registry.gather());
    match tokio::task::spawn_blocking(encode).await {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Ok(Err(error)) => failure(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        Err(error) => failure(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn probe(report: &Report) -> Response {
    let status = if report.good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json(status, &json!(report))
}

fn failure(status: StatusCode, why: &str) -> Response {
    json(status, &json!({ "error": why }))
}

fn json(status: StatusCode, body: &serde_json::Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response()
}
