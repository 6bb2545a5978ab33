//! A closed loop: each worker asks, waits for the answer, checks it, and asks again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::Outcome;
use crate::floor::{Floor, Prepared};
use crate::http::{Client, Request};
use crate::server::Server;

/// Work that is shared by the workers of a contestant.
#[derive(Debug)]
pub enum Jobs<T> {
    /// Over and over.
    Cycle(Vec<T>, AtomicUsize),
    /// Each once.
    Once(Mutex<std::vec::IntoIter<T>>),
}

impl<T: Clone> Jobs<T> {
    pub fn cycle(jobs: Vec<T>) -> Arc<Self> {
        Arc::new(Self::Cycle(jobs, AtomicUsize::new(0)))
    }

    pub fn once(jobs: Vec<T>) -> Arc<Self> {
        Arc::new(Self::Once(Mutex::new(jobs.into_iter())))
    }

    fn next(&self) -> Option<T> {
        match self {
            Self::Cycle(jobs, at) => jobs.get(at.fetch_add(1, Ordering::Relaxed) % jobs.len().max(1)).cloned(),
            Self::Once(jobs) => jobs.lock().unwrap_or_else(PoisonError::into_inner).next(),
        }
    }
}

/// One side of a comparison.
#[derive(Clone)]
pub enum Contestant {
    /// Requests, one after another; a job of several is timed as one.
    Http(std::net::SocketAddr, Arc<Jobs<Arc<[Request]>>>),
    /// Exchanges a refresh token for the next.
    Refresh(std::net::SocketAddr, Arc<Jobs<String>>),
    /// SQL, on a connection of its own.
    Sql(Floor, Arc<Jobs<Vec<String>>>),
}

enum Worker {
    Http(Client, Arc<Jobs<Arc<[Request]>>>),
    Refresh(Client, String),
    Sql(Box<Prepared>, Arc<Jobs<Vec<String>>>),
}

impl Contestant {
    /// One worker; none where there is no work for it.
    async fn worker(&self) -> Outcome<Option<Worker>> {
        Ok(Some(match self {
            Self::Http(address, jobs) => Worker::Http(Client::connect(*address).await?, Arc::clone(jobs)),
            Self::Refresh(address, tokens) => match tokens.next() {
                Some(token) => Worker::Refresh(Client::connect(*address).await?, token),
                None => return Ok(None),
            },
            Self::Sql(floor, jobs) => Worker::Sql(Box::new(floor.prepare().await?), Arc::clone(jobs)),
        }))
    }
}

impl Worker {
    /// Does one job and says how long it took; `None` where none is left.
    async fn work(&mut self) -> Outcome<Option<Duration>> {
        let begun = Instant::now();
        match self {
            Self::Http(client, jobs) => {
                let Some(requests) = jobs.next() else { return Ok(None) };
                for request in requests.iter() {
                    client.check(request).await?;
                }
            }
            Self::Refresh(client, token) => {
                let body = format!(r#"{{"refresh_token":"{token}"}}"#);
                let request = Request::new("POST", "/auth/refresh", None, Some(&body)).begins(r#"{"user":{"#);
                let answer = client.check(&request).await?;
                *token = crate::member(answer, "refresh_token").ok_or("no refresh token in the answer")?;
            }
            Self::Sql(prepared, jobs) => {
                let Some(values) = jobs.next() else { return Ok(None) };
                return prepared.run(&values).await.map(Some);
            }
        }
        Ok(Some(begun.elapsed()))
    }
}

/// What was measured of one side.
#[derive(Default)]
pub struct Tally {
    latencies: Vec<Duration>,
    seconds: f64,
    cpu: f64,
}

/// The workers of one side, connected, and what they measured so far.
pub struct Side {
    workers: Vec<Worker>,
    tally: Tally,
}

impl Side {
    pub async fn of(contestant: &Contestant, concurrency: usize) -> Outcome<Self> {
        let mut workers = Vec::new();
        for _ in 0..concurrency {
            workers.extend(contestant.worker().await?);
        }
        Ok(Self { workers, tally: Tally::default() })
    }

    /// One job of each worker, unmeasured: statements are prepared, pools filled.
    pub async fn warm(&mut self) -> Outcome<()> {
        self.slice(Duration::ZERO, usize::MAX, None).await?;
        self.tally = Tally::default();
        Ok(())
    }

    /// Works for so long, each worker at least once and at most so often.
    pub async fn slice(&mut self, time: Duration, most: usize, server: Option<&Server>) -> Outcome<()> {
        let cpu = server.map(Server::cpu).transpose()?;
        let begin = Instant::now();
        let mut running = JoinSet::new();
        for mut worker in self.workers.drain(..) {
            running.spawn(async move {
                let mut latencies = Vec::new();
                loop {
                    let worked = match worker.work().await {
                        Ok(worked) => worked,
                        Err(error) => return Err(error.to_string()),
                    };
                    latencies.extend(worked);
                    if worked.is_none() || begin.elapsed() >= time || latencies.len() >= most {
                        return Ok((worker, latencies));
                    }
                }
            });
        }
        while let Some(ended) = running.join_next().await {
            let (worker, latencies) = ended??;
            self.workers.push(worker);
            self.tally.latencies.extend(latencies);
        }
        self.tally.seconds += begin.elapsed().as_secs_f64();
        if let (Some(server), Some(before)) = (server, cpu) {
            self.tally.cpu += server.cpu()? - before;
        }
        Ok(())
    }

    pub fn figures(self) -> crate::report::Figures {
        let Tally { mut latencies, seconds, cpu } = self.tally;
        latencies.sort_unstable();
        let count = latencies.len();
        let at = |share: f64| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "an index"
            )]
            let index = ((count as f64 * share) as usize).min(count.saturating_sub(1));
            latencies.get(index).map_or(0.0, |latency| latency.as_secs_f64() * 1e6)
        };
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let number = count as f64;
        crate::report::Figures {
            count,
            median_us: at(0.5),
            p99_us: at(0.99),
            per_second: if seconds > 0.0 { number / seconds } else { 0.0 },
            cpu_us: if cpu > 0.0 && count > 0 { Some(cpu / number * 1e6) } else { None },
        }
    }
}
