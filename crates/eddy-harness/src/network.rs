//! A network in memory that delays, breaks and loses by a seed, and a process that dies on it.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use bytes::Bytes;
use tokio::sync::Notify;
use tower::ServiceExt as _;

use crate::Random;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("connection reset by peer")
    }
}

impl std::error::Error for Broken {}

/// Carries requests to routers in this process.
///
/// Requests and answers take a few milliseconds. In a storm some are cut off before they arrive or
/// before their answer does, some are very late, and some never end. Where a death of the process
/// is due, nothing that it does afterwards has any effect, except that requests on their way may
/// still arrive much later ([`Network::deliver_late`]), as they do on a real network.
#[derive(Clone, Debug)]
pub struct Network {
    state: Arc<Mutex<State>>,
    death: Arc<Notify>,
    born: tokio::time::Instant,
}

#[derive(Debug)]
struct State {
    random: Random,
    one_in: u64,
    // Steps until the process dies, where it is to die.
    life: Option<u64>,
    dead: bool,
    late: Vec<Late>,
    n_departed: u64,
    trace: DefaultHasher,
    n_steps: u64,
}

/// A request that its sender did not wait for.
#[derive(Debug)]
struct Late {
    // The number of its departure.
    departed: u64,
    to: Router,
    request: (axum::http::request::Parts, Bytes),
}

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fate {
    Well,
    Late,
    LostBefore,
    LostAfter,
    Unending,
    Overloaded,
}

impl Network {
    /// A calm network.
    pub fn new(seed: u64) -> Self {
        let state = State {
            random: Random::new(seed),
            one_in: 0,
            life: None,
            dead: false,
            late: Vec::new(),
            n_departed: 0,
            trace: DefaultHasher::new(),
            n_steps: 0,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            death: Arc::default(),
            born: tokio::time::Instant::now(),
        }
    }

    /// From now on one request in `one_in` meets with an accident; none where it is 0.
    pub fn storm(&self, one_in: u64) {
        self.lock().one_in = one_in;
    }

    /// A new process: it dies at the `n`th step from now, or not at all. A step is a request's
    /// departure, its arrival, or its answer's.
    pub fn live(&self, n_steps: Option<u64>) {
        let mut state = self.lock();
        state.dead = false;
        state.life = n_steps;
    }

    /// Waits for the death of the process.
    pub async fn death(&self) {
        while !self.lock().dead {
            self.death.notified().await;
        }
    }

    /// What has happened so far, in one number; two runs that are the same have the same.
    pub fn trace(&self) -> u64 {
        self.lock().trace.finish()
    }

    /// Steps so far.
    pub fn n_steps(&self) -> u64 {
        self.lock().n_steps
    }

    /// Lets requests arrive that their senders have given up or did not outlive.
    pub async fn deliver_late(&self) {
        let mut late = std::mem::take(&mut self.lock().late);
        // A runtime that ends drops its tasks in an order that the seed does not decide.
        late.sort_by_key(|late| late.departed);
        for Late { to, request: (parts, body), .. } in late {
            // Nobody waits for the answer; one that never comes must not hold up the world.
            let answered = to.oneshot(Request::from_parts(parts, Body::from(body)));
            let _answer = tokio::time::timeout(Duration::from_secs(1), answered).await;
        }
    }

    /// Something that the process does; `doing` tells it apart in the trace, which the variable
    /// `EDDY_TRACE` of the environment shows. Never returns to the dead.
    pub async fn step(&self, doing: &str) {
        if std::env::var_os("EDDY_TRACE").is_some() {
            eprintln!("{:?} {doing}", self.born.elapsed());
        }
        let dies = {
            let mut state = self.lock();
            state.n_steps += 1;
            doing.hash(&mut state.trace);
            if let Some(life) = &mut state.life {
                *life = life.saturating_sub(1);
                state.dead |= *life == 0;
            }
            state.dead
        };
        if dies {
            self.death.notify_one();
            std::future::pending::<()>().await;
        }
    }

    /// Waits up to `longest_ms`, by the seed.
    pub async fn wait(&self, longest_ms: u64) {
        let pause = self.lock().random.below(longest_ms);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }

    /// True once in `n` times in a storm.
    pub fn accident(&self) -> bool {
        let mut state = self.lock();
        let one_in = state.one_in;
        state.random.one_in(one_in)
    }

    fn fate(&self) -> Fate {
        use Fate::{Late, LostAfter, LostBefore, Overloaded, Unending};
        if !self.accident() {
            return Fate::Well;
        }
        *self.lock().random.pick(&[Late, LostBefore, LostAfter, Unending, Overloaded])
    }

    /// Sends a request to a router and waits for its answer.
    ///
    /// # Errors
    /// The connection broke; the request may have been answered all the same.
    ///
    /// # Panics
    /// The router's answer breaks off.
    pub async fn exchange(
        &self,
        to: Router,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, Broken> {
        let target = request.headers().get("x-amz-target");
        let doing = match target.and_then(|target| target.to_str().ok()) {
            Some(target) => target.to_owned(),
            None => request.uri().path().to_owned(),
        };
        let fate = self.fate();
        self.step(&format!("{doing} {} {fate:?}", request.body().len())).await;
        let (parts, body) = request.into_parts();
        let mut on_its_way = {
            let mut state = self.lock();
            state.n_departed += 1;
            let late = Late { departed: state.n_departed, to, request: (parts, body) };
            // Drawn now, not when it is dropped: see `deliver_late`.
            let may_arrive = state.random.one_in(2);
            OnItsWay { network: self, late: Some(late), may_arrive }
        };
        self.wait(if fate == Fate::Late { 14_000 } else { 20 }).await;
        match fate {
            Fate::LostBefore => {
                on_its_way.late = None;
                return Err(Broken);
            }
            Fate::Unending => {
                on_its_way.late = None;
                std::future::pending::<()>().await;
            }
            Fate::Overloaded => {
                on_its_way.late = None;
                let answer = Response::builder().status(503).body(Bytes::from_static(b"busy"));
                return Ok(answer.expect("a plain answer"));
            }
            Fate::Well | Fate::Late | Fate::LostAfter => {}
        }
        self.step("arrives").await;
        let Some(Late { to, request: (parts, body), .. }) = on_its_way.late.take() else {
            return Err(Broken);
        };
        let request = Request::from_parts(parts, Body::from(body));
        let answer = to.oneshot(request).await.unwrap_or_else(|never| match never {});
        let (parts, body) = answer.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.expect("a whole answer");
        self.step(&format!("is answered {} {}", parts.status.as_u16(), body.len())).await;
        self.wait(20).await;
        if fate == Fate::LostAfter {
            return Err(Broken);
        }
        Ok(Response::from_parts(parts, body))
    }

    /// A client for AWS SDKs whose calls all go to a router.
    pub fn http_client(&self, to: Router) -> impl HttpClient + 'static {
        Wire { network: self.clone(), to: Arc::new(Mutex::new(to)) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole between statements, whatever a panicking holder did.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request between its departure and its arrival: where its sender dies or gives up, it may
/// arrive late.
struct OnItsWay<'a> {
    network: &'a Network,
    late: Option<Late>,
    may_arrive: bool,
}

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        if let Some(late) = self.late.take()
            && self.may_arrive
        {
            self.network.lock().late.push(late);
        }
    }
}

#[derive(Debug)]
struct Wire {
    network: Network,
    // A router cannot be shared among threads as it is.
    to: Arc<Mutex<Router>>,
}

impl HttpClient for Wire {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let wire = Self { network: self.network.clone(), to: Arc::clone(&self.to) };
        SharedHttpConnector::new(wire)
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let network = self.network.clone();
        let to = self.to.lock().unwrap_or_else(PoisonError::into_inner).clone();
        HttpConnectorFuture::new(async move {
            let request =
                request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            let request = request
                .map(|body| Bytes::copy_from_slice(body.bytes().expect("the body is in memory")));
            let answer = network.exchange(to, request).await;
            let answer = answer.map_err(|broken| ConnectorError::io(broken.into()))?;
            HttpResponse::try_from(answer.map(SdkBody::from))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}
