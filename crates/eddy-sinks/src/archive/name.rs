//! What objects are called.

use chrono::{DateTime, Utc};
use eddy_stream::ArchiveStart;
use object_store::path::{Path, PathPart};

const HOUR_MS: i64 = 3_600_000;
/// How far back an earlier run is looked for: a week, one request an hour.
const MAX_LEFT_OVER_HOURS: i64 = 7 * 24;

/// The folder of an hour, as Amazon Data Firehose names it: `2026/11/23/12`, in UTC.
pub(super) fn hour_folder(at_ms: i64) -> Path {
    let at = DateTime::<Utc>::from_timestamp_millis(at_ms).unwrap_or_default();
    Path::from(at.format("%Y/%m/%d/%H").to_string())
}

/// The folders in which records behind a commit may stand whose first is of this hour now, and was
/// of an earlier one when it was read before: a line of a file has the time at which it is read. The
/// last folder is the first record's.
/// Behind a commit before the first record they may be as old as they are looked for.
pub(super) fn hour_folders(committed_ms: Option<i64>, first_ms: i64, run: u64) -> Vec<Path> {
    let earliest_ms = first_ms - MAX_LEFT_OVER_HOURS * HOUR_MS;
    // The partition's first owner has no earlier one.
    let unknown_ms = if run > 1 { earliest_ms } else { first_ms };
    let mut at_ms = committed_ms.unwrap_or(unknown_ms).clamp(earliest_ms, first_ms);
    let mut folders = Vec::new();
    while at_ms.div_euclid(HOUR_MS) < first_ms.div_euclid(HOUR_MS) {
        folders.push(hour_folder(at_ms));
        at_ms += HOUR_MS;
    }
    folders.push(hour_folder(first_ms));
    folders
}

/// What the names of all objects behind one commit begin with, whichever owner of the partition
/// writes them: `RawStreamData-1795435200040-shardId-000000000000-4959..-`.
pub(super) fn stem(from: &ArchiveStart) -> String {
    let after = match (&from.after, from.start_ms) {
        (Some(position), _) if position.sub_sequence > 0 => {
            format!("{}.{}", position.sequence, position.sub_sequence)
        }
        (Some(position), _) => position.sequence.to_string(),
        (None, Some(start_ms)) => format!("from{start_ms}"),
        (None, None) => "start".to_owned(),
    };
    let stem =
        format!("{}-{}-{}-{after}-", from.stream.name, from.stream.created_ms, from.partition);
    // A file's path may be a stream's name.
    PathPart::from(stem).as_ref().to_owned()
}

/// One owner's n-th object behind a commit.
pub(super) fn name(stem: &str, run: u64, ordinal: u64, extension: &str) -> String {
    format!("{stem}{run}-{ordinal}.{extension}")
}

/// Whether a name is that of an object behind the same commit that an earlier owner has written. A
/// later one's must stay: this one has lost the partition then.
pub(super) fn is_left_over(name: &str, stem: &str, run: u64) -> bool {
    let Some((owner, rest)) = name.strip_prefix(stem).and_then(|rest| rest.split_once('-')) else {
        return false;
    };
    let Some((ordinal, _)) = rest.split_once('.') else { return false };
    ordinal.parse::<u64>().is_ok() && owner.parse::<u64>().is_ok_and(|owner| owner < run)
}

#[cfg(test)]
mod tests {
    use eddy_record::{PartitionId, Position, StreamIdentity};

    use super::*;

    fn start(stream: &str, after: Option<u64>) -> ArchiveStart {
        ArchiveStart {
            stream: StreamIdentity { name: stream.to_owned(), created_ms: 5 },
            partition: PartitionId::new("p"),
            start_ms: None,
            after: after.map(|n| Position::new(n.into())),
            after_ms: None,
            run: 3,
        }
    }

    #[test]
    fn names_hold_hour_stream_partition_commit_owner_and_number() {
        assert_eq!(hour_folder(1_795_435_200_040).as_ref(), "2026/11/23/12");
        let stem = stem(&start("s", Some(7)));
        assert_eq!(name(&stem, 3, 0, "ndjson.gz"), "s-5-p-7-3-0.ndjson.gz");
    }

    #[test]
    fn an_earlier_run_is_looked_for_from_the_commit_on() {
        let noon = 1_795_435_200_040;
        let folders = |committed_ms, run| -> Vec<String> {
            let folders = hour_folders(committed_ms, noon, run).into_iter();
            folders.map(|folder| folder.to_string()).collect()
        };
        assert_eq!(folders(None, 1), ["2026/11/23/12"]);
        assert_eq!(folders(Some(noon - 1000), 2), ["2026/11/23/11", "2026/11/23/12"]);
        assert_eq!(folders(Some(noon + HOUR_MS), 2), ["2026/11/23/12"]);
        assert_eq!(folders(Some(0), 2).len(), 169);
        assert_eq!(folders(None, 2).len(), 169);
    }

    #[test]
    fn a_stream_s_name_makes_no_folders() {
        let stem = stem(&start("/data/readings.csv", None));
        assert_eq!(stem, "%2Fdata%2Freadings.csv-5-p-start-");
    }

    #[test]
    fn only_what_an_earlier_owner_wrote_behind_the_same_commit_is_left_over() {
        let stem = stem(&start("s", Some(7)));
        for (name, expected) in [
            ("s-5-p-7-2-0.ndjson.gz", true),
            ("s-5-p-7-2-11.parquet", true),
            ("s-5-p-7-3-0.ndjson.gz", false),
            ("s-5-p-7-4-0.ndjson.gz", false),
            ("s-5-p-70-2-0.ndjson.gz", false),
            ("s-5-p-7-x-0.ndjson.gz", false),
            ("s-5-p-7-2.ndjson.gz", false),
            ("notes.txt", false),
        ] {
            assert_eq!(is_left_over(name, &stem, 3), expected, "{name}");
        }
    }
}
