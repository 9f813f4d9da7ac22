//! Files that are named for two uses, one of which would write over the other.

use std::path::{Path, PathBuf};

/// The first file that two of the uses name, and these. However it is written it is the same file, also
/// one that is to be made. Pipes and devices may be named as often as one likes.
pub fn named_twice<'a, U>(
    uses: impl IntoIterator<Item = (U, &'a Path)>,
) -> Option<(U, U, &'a Path)> {
    let mut seen: Vec<(U, PathBuf)> = Vec::new();
    for (of, path) in uses {
        if path.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir()) {
            continue;
        }
        let resolved = resolved(path);
        if let Some(at) = seen.iter().position(|(_, seen)| *seen == resolved) {
            return Some((seen.swap_remove(at).0, of, path));
        }
        seen.push((of, resolved));
    }
    None
}

/// The path as others name it, as far as it exists.
pub fn resolved(path: &Path) -> PathBuf {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    match (path.canonicalize(), folder.canonicalize(), path.file_name()) {
        (Ok(whole), ..) => whole,
        (_, Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_names_of_one_file_are_seen_and_devices_are_not_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("sub")).expect("made");
        std::fs::write(at("a"), "x").expect("written");
        let found = |one: &Path, other: &Path| {
            named_twice([("one", one), ("other", other)]).map(|(one, other, _)| (one, other))
        };
        assert_eq!(found(&at("a"), &at("b")), None);
        for (one, other) in [("a", "sub/../a"), ("new", "sub/../new"), ("sub", "sub/.")] {
            assert_eq!(found(&at(one), &at(other)), Some(("one", "other")), "{one} {other}");
        }
        #[cfg(unix)]
        assert_eq!(found(Path::new("/dev/null"), Path::new("/dev/null")), None);
    }
}
