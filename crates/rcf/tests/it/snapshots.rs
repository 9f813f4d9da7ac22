//! Bytes that are not a whole snapshot are refused.

use rcf::{Forest, ForestSettings, SnapshotError};

fn snapshot() -> Vec<u8> {
    let mut settings = ForestSettings::new(2);
    settings.n_trees = 3;
    settings.sample_size = 8;
    let mut forest = settings.build().expect("valid");
    for n in 0..40 {
        forest.update(&[(n % 7) as f32, (n % 5) as f32]).expect("finite");
    }
    forest.to_bytes()
}

/// The bytes with a checksum that fits them.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len() - 8;
    let sum = bytes[..end].iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    bytes[end..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

#[test]
fn every_shorter_snapshot_is_refused() {
    let whole = snapshot();
    for length in 0..whole.len() {
        assert!(Forest::from_bytes(&whole[..length]).is_err());
        if length > 14 {
            assert!(Forest::from_bytes(&sealed(whole[..length].to_vec())).is_err());
        }
    }
}

#[test]
fn a_changed_byte_is_found() {
    let whole = snapshot();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        assert!(Forest::from_bytes(&changed).is_err(), "byte {at}");
    }
}

#[test]
fn a_change_with_a_fitting_checksum_never_breaks_the_forest() {
    let whole = snapshot();
    for at in 6..whole.len() - 8 {
        for value in [0, 1, 0x7f, 0x80, 0xff, whole[at].wrapping_add(1)] {
            let mut changed = whole.clone();
            changed[at] = value;
            // Refused, or another sound forest that goes on.
            if let Ok(mut forest) = Forest::from_bytes(&sealed(changed)) {
                let length = forest.settings().n_dims;
                for n in 0..40 {
                    let point = vec![n as f32; length];
                    if forest.update(&point).is_err() {
                        break;
                    }
                    assert!(forest.score(&point).is_ok_and(f64::is_finite));
                }
            }
        }
    }
}

#[test]
fn other_bytes_and_newer_versions_are_told_apart() {
    assert_eq!(Forest::from_bytes(b"{}").err(), Some(SnapshotError::NotASnapshot));
    let mut newer = snapshot();
    newer[4] = 3;
    let expected = SnapshotError::Version { supported: 2, actual: 3 };
    assert_eq!(Forest::from_bytes(&newer).err(), Some(expected));
}

/// A snapshot of each version is kept with the scores that followed when it was first read.
#[test]
fn every_older_version_is_read_and_goes_on_the_same() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for version in [1, 2] {
        let bytes = std::fs::read(folder.join(format!("version-{version}.rcf"))).expect("a file");
        let mut forest = Forest::from_bytes(&bytes).expect("a snapshot");
        assert_eq!((bytes[4], forest.n_observations()), (version, 500));
        let mut found = String::new();
        for n in 500..600_u32 {
            let point = [(n * n % 37) as f32, (n % 11) as f32 * 0.5];
            let score = forest.score_and_update(&point).expect("finite");
            found += &format!("{:016x}\n", score.to_bits());
        }
        let path = folder.join(format!("version-{version}.scores"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &found).expect("a file");
        }
        assert_eq!(std::fs::read_to_string(&path).expect("a file"), found);
    }
}

#[test]
fn counts_that_no_stream_reaches_are_refused() {
    // Observations, entries ever made and points learnt stand behind the settings.
    let whole = snapshot();
    let counts = [40_u64, 0, 40].map(u64::to_le_bytes);
    let at = (0..whole.len() - 24)
        .find(|at| whole[*at..].starts_with(&counts[0]) && whole[at + 16..].starts_with(&counts[2]))
        .expect("the counts");
    for count in [u64::MAX, (1 << 62) + 1] {
        let mut changed = whole.clone();
        changed[at..at + 8].copy_from_slice(&count.to_le_bytes());
        changed[at + 16..at + 24].copy_from_slice(&count.to_le_bytes());
        assert!(Forest::from_bytes(&sealed(changed)).is_err(), "{count}");
    }
    let mut changed = whole.clone();
    changed[at..at + 8].copy_from_slice(&(1_u64 << 62).to_le_bytes());
    changed[at + 16..at + 24].copy_from_slice(&(1_u64 << 62).to_le_bytes());
    let mut late = Forest::from_bytes(&sealed(changed)).expect("a late forest");
    let mut forest = Forest::from_bytes(&whole).expect("its own bytes");
    for n in 0..100 {
        let point = [(n % 7) as f32, 1.0];
        let expected = forest.score_and_update(&point).expect("finite");
        assert_eq!(late.score_and_update(&point), Ok(expected));
    }
}
