//! Files that a command line names twice.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// Refuses a file that two options name, one of which writes: it would be lost without a word. Pipes
/// and devices may be named as often as one likes.
pub(crate) fn each_has_one_use<'a>(
    named: impl IntoIterator<Item = (&'static str, &'a Path)>,
) -> Result<()> {
    let mut seen: Vec<(&str, PathBuf)> = Vec::new();
    for (option, path) in named {
        if path.metadata().is_ok_and(|found| !found.is_file()) {
            continue;
        }
        let whole = whole(path);
        if let Some((other, _)) = seen.iter().find(|(_, seen)| *seen == whole) {
            bail!("{other} and {option} are both {}: give each a file of its own", path.display());
        }
        seen.push((option, whole));
    }
    Ok(())
}

/// The path by which a file is known, also one that is to be made.
fn whole(path: &Path) -> PathBuf {
    if let Ok(whole) = path.canonicalize() {
        return whole;
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    match (parent.unwrap_or(Path::new(".")).canonicalize(), path.file_name()) {
        (Ok(parent), Some(name)) => parent.join(name),
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
        let check = |one: &Path, other: &Path| each_has_one_use([("--a", one), ("--b", other)]);
        assert!(check(&at("a"), &at("b")).is_ok());
        for (one, other) in [("a", "sub/../a"), ("new", "sub/../new")] {
            let refused = check(&at(one), &at(other)).expect_err("one file").to_string();
            assert!(refused.starts_with("--a and --b are both"), "{refused}");
        }
        assert!(check(Path::new("/dev/null"), Path::new("/dev/null")).is_ok());
    }
}
