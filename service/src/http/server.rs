use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::Listener;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use prometheus::{Registry, TEXT_FORMAT, TextEncoder};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::Health;
use super::health::Report;
use crate::threads;

/// Connections at a time; others wait until one of these ends. Each costs the process a file, and photos need files too.
const PLACES: u32 = 32;
/// How long a client may take to say what it wants.
const HEARING: Duration = Duration::from_secs(5);
/// How long a connection may last: longer than a scrape that anybody still waits for.
const LONGEST: Duration = Duration::from_secs(60);
/// How long requests that are being answered may take after the server was asked to stop.
const GRACE: Duration = Duration::from_millis(300);

/// Serves metrics and health on a thread of its own, until it is dropped: that takes less than a second.
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
        let thread = Builder::new().name("http".into()).spawn(work).map_err(threads::refused)?;
        // The port may be any.
        tracing::info!(%address, "serving /metrics, /health/live and /health/ready");
        Ok(Self { address, stop, thread: Some(thread) })
    }

    /// Where it serves; with the real port, if it was to choose one.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
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

async fn serve(listener: TcpListener, router: Router, mut stopped: watch::Receiver<bool>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(PLACES as usize));
    tokio::select! {
        () = accept(listener, Arc::clone(&places), router) => {}
        // An error means that the server is gone, which is the same.
        _ = stopped.wait_for(|stop| *stop) => {}
    }
    // All places are free once every connection has ended; somebody who sends half a request must not keep the process.
    drop(timeout(GRACE, places.acquire_many(PLACES)).await);
    Ok(())
}

/// Accepts connections for as long as it is polled, where there is a place for one more.
async fn accept(mut listener: tokio::net::TcpListener, places: Arc<Semaphore>, router: Router) {
    // Nobody closes the semaphore.
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        // This one waits and tries again where the system has no file for a connection.
        let (stream, _) = Listener::accept(&mut listener).await;
        let router = router.clone();
        tokio::spawn(async move {
            answer(stream, router).await;
            drop(place);
        });
    }
}

/// Answers one request, and ends the connection: whoever keeps one open and says nothing would keep its place.
async fn answer(stream: TcpStream, router: Router) {
    let mut http = auto::Builder::new(TokioExecutor::new()).http1_only();
    http.http1().keep_alive(false).timer(TokioTimer::new()).header_read_timeout(HEARING);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // A client that has gone, or is too slow, is told nothing.
    drop(timeout(LONGEST, connection).await);
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
