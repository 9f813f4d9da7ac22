//! Which daily indices are too old, or too many, to be kept.

use std::sync::Arc;

use eddy_stream::{Clock as _, SystemClock};

use crate::store::{Shard, Store};
use crate::{IndexError, IndexSettings, names};

const DAY_MS: i64 = 86_400_000;

/// A daily index: its name, its day in days since the epoch, what it takes.
struct Daily {
    name: Arc<str>,
    day: i64,
    n_bytes: u64,
}

/// The names of the indices that the settings do not keep, oldest first.
pub(crate) fn expired(store: &Store) -> Result<Vec<Arc<str>>, IndexError> {
    let settings = &store.settings;
    if settings.keep_days.is_none() && settings.keep_bytes.is_none() {
        return Ok(Vec::new());
    }
    let of = |shard: &Arc<Shard>| {
        let day = names::day(&settings.alias, &shard.name)?;
        let n_bytes = match settings.keep_bytes {
            Some(_) => shard.n_bytes(),
            None => Ok(0),
        };
        Some(n_bytes.map(|n_bytes| Daily { name: Arc::clone(&shard.name), day, n_bytes }))
    };
    let days: Vec<Daily> =
        store.resolve("*", true)?.iter().filter_map(of).collect::<Result<_, _>>()?;
    Ok(choose(days, settings, SystemClock.now_ms().div_euclid(DAY_MS)))
}

fn choose(mut days: Vec<Daily>, settings: &IndexSettings, today: i64) -> Vec<Arc<str>> {
    days.sort_by_key(|daily| daily.day);
    let mut n_bytes: u64 = days.iter().map(|daily| daily.n_bytes).sum();
    let newest = days.last().map(|daily| daily.day);
    let mut gone = Vec::new();
    for daily in days {
        let is_old = settings.keep_days.is_some_and(|n| daily.day <= today - i64::from(n));
        let is_too_much = settings.keep_bytes.is_some_and(|most| n_bytes > most)
            && newest.is_some_and(|newest| daily.day < newest);
        if is_old || is_too_much {
            n_bytes -= daily.n_bytes;
            gone.push(daily.name);
        }
    }
    gone
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(keep_days: Option<u32>, keep_bytes: Option<u64>) -> Vec<String> {
        let days = [(10, 100), (8, 100), (9, 50), (7, 10)];
        let daily =
            |(day, n_bytes): (i64, u64)| Daily { name: day.to_string().into(), day, n_bytes };
        let settings = IndexSettings { keep_days, keep_bytes, ..IndexSettings::new("x") };
        let gone = choose(days.into_iter().map(daily).collect(), &settings, 10);
        gone.iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn the_oldest_go_and_no_more_than_must() {
        assert_eq!(chosen(None, None), [] as [&str; 0]);
        assert_eq!(chosen(Some(4), None), [] as [&str; 0]);
        assert_eq!(chosen(Some(3), None), ["7"]);
        assert_eq!(chosen(Some(1), None), ["7", "8", "9"]);
        assert_eq!(chosen(None, Some(260)), [] as [&str; 0]);
        assert_eq!(chosen(None, Some(259)), ["7"]);
        assert_eq!(chosen(None, Some(150)), ["7", "8"]);
        assert_eq!(chosen(None, Some(1)), ["7", "8", "9"]);
        assert_eq!(chosen(Some(3), Some(150)), ["7", "8"]);
    }
}
