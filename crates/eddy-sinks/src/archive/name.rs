//! What objects are called.

use chrono::{DateTime, Utc};
use eddy_stream::ArchiveStart;
use object_store::path::{Path, PathPart};

const HOUR_MS: i64 = 3_600_000;
/// How far back an earlier run is looked for: a week, one request an hour.
const MAX_LEFT_OVER_HOURS: i64 = 7 * 24;

/// A file's name has 255 bytes at most in most file systems. Owner, number and extension need 60.
const MAX_STEM_BYTES: usize = 190;

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
    let (stream, created_ms) = (&from.stream.name, from.stream.created_ms);
    // The one partition of a file has the file's name.
    let stem = match from.partition.as_str() {
        partition if partition == stream => format!("{stream}-{created_ms}-{after}-"),
        partition => format!("{stream}-{created_ms}-{partition}-{after}-"),
    };
    // A file's path may be a stream's name.
    let stem = PathPart::from(stem);
    let stem = stem.as_ref();
    if stem.len() <= MAX_STEM_BYTES {
        return stem.to_owned();
    }
    // FNV-1a of the whole tells what begins alike apart.
    let hash = stem.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // What is encoded is ASCII, three bytes a character that is not plain.
    let kept = &stem[..MAX_STEM_BYTES / 2];
    let kept = kept.rfind('%').filter(|at| at + 3 > kept.len()).map_or(kept, |at| &kept[..at]);
    format!("{kept}-{hash:016x}-")
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
    fn a_name_is_as_long_as_file_systems_take() {
        let mut file = start("/readings.csv", None);
        file.partition = PartitionId::new("/readings.csv");
        assert_eq!(stem(&file), "%2Freadings.csv-5-start-");
        for n_folders in 50..60 {
            let long =
                |last: char| stem(&start(&format!("{}{last}", "/ä".repeat(n_folders)), Some(7)));
            let one = long('a');
            assert!(one.len() <= MAX_STEM_BYTES && one.is_ascii(), "{one}");
            assert!(Path::parse(name(&one, u64::MAX, u64::MAX, "ndjson.gz")).is_ok(), "{one}");
            assert_ne!(one, long('b'));
            assert_eq!(one, long('a'));
            assert!(is_left_over(&name(&one, 2, 0, "ndjson.gz"), &one, 3));
        }
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
