//! Scrolls: a search answered page by page over the indices as they were at its beginning.
//!
//! A scroll keeps where it stands, not what is left: without a sort its next page costs what it
//! returns; with one, a pass over what the query finds.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::IndexError;
use crate::limits::{MAX_SCROLL_KEEP_ALIVE_MS, MAX_SCROLLS};
use crate::search::{self, Request};
use crate::store::Shard;
use crate::top_hits::{After, Best, Ties};
use crate::walk::{self, Cursor, Snapshot};

/// The open scrolls of an index.
#[derive(Default)]
pub(crate) struct Scrolls {
    open: Mutex<HashMap<String, Entry>>,
    hasher: RandomState,
    // The last number of a scroll, a part of its id.
    last: std::sync::atomic::AtomicU64,
}

struct Entry {
    scroll: Arc<Mutex<Scroll>>,
    keep_alive: Duration,
    ends_at: Instant,
}

struct Scroll {
    snapshot: Snapshot,
    request: Request,
    total: u64,
    place: Place,
}

/// Where the next page begins.
enum Place {
    InOrderOfWriting(Cursor),
    /// Behind this hit of that index; at the beginning behind none.
    Sorted(Option<(usize, Best)>),
}

impl Scrolls {
    /// Answers the first page of a scroll.
    pub(crate) fn open(
        &self,
        shards: &[Arc<Shard>],
        body: &Value,
        keep_alive: &str,
    ) -> Result<Value, IndexError> {
        let keep_alive = parse_keep_alive(keep_alive)?;
        let start = Instant::now();
        let request = Request::parse(body)?.into_scroll(body)?;
        let snapshot = Snapshot::of(shards);
        let place = if request.is_in_order_of_writing() {
            Place::InOrderOfWriting(Cursor::default())
        } else {
            Place::Sorted(None)
        };
        // Before the work: a scroll too many costs nothing.
        self.end_old();
        if self.lock().len() >= MAX_SCROLLS {
            return Err(IndexError::TooManyScrolls { most: MAX_SCROLLS });
        }
        let found = search::guarded(|| search::collect(&snapshot, &request, 0, true, |_| None))?;
        let mut scroll = Scroll { snapshot, request, total: found.total, place };
        let mut answer = scroll.page(start)?;
        if let Some(results) = found.aggregations {
            answer["aggregations"] = results;
        }
        let number = self.last.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        // Ids cannot be guessed from one another.
        let id = format!("{number:x}-{:016x}", self.hasher.hash_one(number));
        answer["_scroll_id"] = json!(id);
        let ends_at = Instant::now() + keep_alive;
        let entry = Entry { scroll: Arc::new(Mutex::new(scroll)), keep_alive, ends_at };
        let mut open = self.lock();
        if open.len() >= MAX_SCROLLS {
            return Err(IndexError::TooManyScrolls { most: MAX_SCROLLS });
        }
        open.insert(id, entry);
        Ok(answer)
    }

    /// Answers the next page; past the end it is empty.
    pub(crate) fn next(&self, id: &str, keep_alive: Option<&str>) -> Result<Value, IndexError> {
        let keep_alive = keep_alive.map(parse_keep_alive).transpose()?;
        self.end_old();
        let scroll = {
            let mut open = self.lock();
            let entry =
                open.get_mut(id).ok_or_else(|| IndexError::ScrollNotFound { id: shortened(id) })?;
            entry.keep_alive = keep_alive.unwrap_or(entry.keep_alive);
            entry.ends_at = Instant::now() + entry.keep_alive;
            Arc::clone(&entry.scroll)
        };
        let start = Instant::now();
        let page = scroll.lock().unwrap_or_else(PoisonError::into_inner).page(start);
        // Its time counts from here, however long the page has taken.
        if let Some(entry) = self.lock().get_mut(id) {
            entry.ends_at = Instant::now() + entry.keep_alive;
        }
        let mut answer = page?;
        answer["_scroll_id"] = json!(id);
        Ok(answer)
    }

    /// Ends scrolls; `_all` ends all. Returns how many there were.
    pub(crate) fn clear(&self, ids: &[&str]) -> usize {
        self.end_old();
        let mut open = self.lock();
        if ids == ["_all"] {
            let n_open = open.len();
            open.clear();
            return n_open;
        }
        ids.iter().filter(|id| open.remove(**id).is_some()).count()
    }

    /// Ends the scrolls that nobody asked for within their time; none of which a page is being made.
    pub(crate) fn end_old(&self) {
        let now = Instant::now();
        self.lock().retain(|_, entry| entry.ends_at > now || Arc::strong_count(&entry.scroll) > 1);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Entry>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Scroll {
    fn page(&mut self, start: Instant) -> Result<Value, IndexError> {
        let Self { snapshot, request, total, place } = self;
        let hits = search::guarded(|| match place {
            Place::InOrderOfWriting(cursor) => {
                let found = walk::next(snapshot, &*request.query, cursor, request.size)?;
                let best = |(shard_idx, address)| (shard_idx, request.unsorted(address));
                Ok(found.into_iter().map(best).collect::<Vec<_>>())
            }
            Place::Sorted(last) => {
                let after = |shard_idx: usize| {
                    let (last_idx, last) = last.as_ref()?;
                    let ties = match shard_idx.cmp(last_idx) {
                        std::cmp::Ordering::Less => Ties::Excluded,
                        std::cmp::Ordering::Equal => Ties::Behind(last.address),
                        std::cmp::Ordering::Greater => Ties::Included,
                    };
                    Some(After { values: last.values.clone(), ties })
                };
                let hits = search::collect(snapshot, request, request.size, false, after)?.hits;
                if let Some((shard_idx, hit)) = hits.last() {
                    *last = Some((*shard_idx, hit.clone()));
                }
                Ok(hits)
            }
        })?;
        let mut answer = search::answer(snapshot, request, *total, &hits)?;
        let took = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        answer.insert("took".to_owned(), json!(took));
        Ok(Value::Object(answer))
    }
}

fn parse_keep_alive(text: &str) -> Result<Duration, IndexError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let unit_ms = match &text[digits..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => 0,
    };
    let ms = text[..digits].parse::<u64>().ok().and_then(|n| n.checked_mul(unit_ms));
    let ms = ms.filter(|ms| *ms > 0).ok_or_else(|| {
        IndexError::illegal(format!("failed to parse setting [scroll] with value [{text}]"))
    })?;
    if ms > MAX_SCROLL_KEEP_ALIVE_MS {
        return Err(IndexError::illegal(format!(
            "Keep alive for request ({text}) is too large. It must be less than ({}m)",
            MAX_SCROLL_KEEP_ALIVE_MS / 60_000
        )));
    }
    Ok(Duration::from_millis(ms))
}

fn shortened(id: &str) -> String {
    id.chars().take(80).collect()
}
