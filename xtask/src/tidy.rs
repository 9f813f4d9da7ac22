//! Rules that the compiler does not check: which crate may import which, how long a file may be,
//! and that every crate says what it is.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};

/// The crates of ours that each crate may import, as docs/ARCHITECTURE.md draws them. What only
/// tests import is not checked.
const EDGES: &[(&str, &[&str])] = &[
    ("rcf", &[]),
    ("eddy-record", &[]),
    ("eddy-detect", &["rcf", "eddy-record"]),
    ("eddy-sql", &["rcf", "eddy-record", "eddy-detect"]),
    ("eddy-stream", &["eddy-record"]),
    ("eddy-aws", &["eddy-stream"]),
    ("eddy-kinesis", &["eddy-aws", "eddy-record", "eddy-stream"]),
    ("eddy-sinks", &["eddy-aws", "eddy-record", "eddy-stream"]),
    ("eddy-index", &["eddy-record", "eddy-stream"]),
    ("eddy-kcl", &["eddy-record", "eddy-stream"]),
    ("eddy-sensors", &[]),
    (
        "eddy-pipeline",
        &[
            "eddy-aws",
            "eddy-detect",
            "eddy-index",
            "eddy-kcl",
            "eddy-kinesis",
            "eddy-record",
            "eddy-sensors",
            "eddy-sinks",
            "eddy-sql",
            "eddy-stream",
        ],
    ),
    ("eddy-dashboard", &["eddy-index"]),
    ("eddy-harness", &[]),
    (
        "eddy",
        &[
            "eddy-dashboard",
            "eddy-detect",
            "eddy-index",
            "eddy-pipeline",
            "eddy-record",
            "eddy-sinks",
            "eddy-sql",
            "eddy-stream",
            "rcf",
        ],
    ),
    ("eddy-sensor", &["eddy-kinesis", "eddy-sensors", "eddy-sinks", "eddy-stream"]),
];

/// Crates that neither do I/O nor read a clock: what their sources may not name.
const PURE: &[&str] = &["rcf", "eddy-record", "eddy-detect", "eddy-sql", "eddy-sensors"];
const IMPURE: &[&str] =
    &["std::fs", "std::net", "std::thread", "std::env", "SystemTime", "Instant::now", "tokio::"];
/// The one file of a pure crate that starts threads: its results do not depend on them.
const THREADED: &str = "crates/rcf/src/batch.rs";

/// Where an AWS type may be named.
const AWS: &[&str] = &["eddy-aws", "eddy-kinesis", "eddy-sinks", "eddy-harness"];

const MAX_LINES: usize = 500;
const MAX_MAIN_LINES: usize = 150;

/// Checks the workspace in the current folder and prints what breaks a rule.
pub(crate) fn run() -> ExitCode {
    match check(Path::new(".")) {
        Ok(broken) if broken.is_empty() => ExitCode::SUCCESS,
        Ok(broken) => {
            broken.iter().for_each(|line| eprintln!("tidy: {line}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("tidy: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn check(root: &Path) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    let edges: BTreeMap<&str, &[&str]> = EDGES.iter().copied().collect();
    for folder in members(root)? {
        let manifest: toml::Table = fs::read_to_string(folder.join("Cargo.toml"))?
            .parse()
            .with_context(|| format!("reading {}", folder.join("Cargo.toml").display()))?;
        let name = manifest
            .get("package")
            .and_then(|package| package.get("name"))
            .and_then(toml::Value::as_str)
            .context("a package has a name")?;
        check_edges(name, &manifest, &edges, &mut broken);
        check_sources(name, &folder, &mut broken)?;
    }
    Ok(broken)
}

/// The folders of the crates and binaries (benches, examples and this crate import what they like).
fn members(root: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for group in ["crates", "bins"] {
        for entry in fs::read_dir(root.join(group)).with_context(|| format!("listing {group}"))? {
            let folder = entry?.path();
            if folder.join("Cargo.toml").is_file() {
                folders.push(folder);
            }
        }
    }
    folders.sort();
    Ok(folders)
}

fn check_edges(
    name: &str,
    manifest: &toml::Table,
    edges: &BTreeMap<&str, &[&str]>,
    broken: &mut Vec<String>,
) {
    let Some(allowed) = edges.get(name) else {
        broken.push(format!("crate {name} has no place in xtask's EDGES"));
        return;
    };
    let imports = manifest.get("dependencies").and_then(toml::Value::as_table);
    for import in imports.into_iter().flat_map(toml::Table::keys) {
        let ours = edges.contains_key(import.as_str());
        if ours && !allowed.contains(&import.as_str()) {
            broken.push(format!("{name} imports {import}: no such edge in docs/ARCHITECTURE.md"));
        }
        if import.starts_with("aws-") && !AWS.contains(&name) {
            broken.push(format!("{name} imports {import}: only {} name AWS", AWS.join(", ")));
        }
    }
}

fn check_sources(name: &str, folder: &Path, broken: &mut Vec<String>) -> Result<()> {
    let mut sources = Vec::new();
    list_sources(&folder.join("src"), &mut sources)?;
    for path in sources {
        let text = fs::read_to_string(&path)?;
        let file = path.file_name().and_then(|file| file.to_str()).unwrap_or_default();
        // Tests at the file's foot do not count.
        let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let n_lines = code.lines().count();
        let most = if file == "main.rs" { MAX_MAIN_LINES } else { MAX_LINES };
        if n_lines > most {
            broken.push(format!("{} has {n_lines} lines, more than {most}", path.display()));
        }
        if (file == "lib.rs" || file == "main.rs") && !text.starts_with("//!") {
            broken.push(format!("{} does not say what the crate is", path.display()));
        }
        if PURE.contains(&name) {
            for (line_idx, line) in code.lines().enumerate() {
                let line_code = line.split("//").next().unwrap_or_default();
                let may = |word: &str| word == "std::thread" && path.ends_with(THREADED);
                let is_named = |word: &&&str| line_code.contains(**word) && !may(word);
                if let Some(word) = IMPURE.iter().find(is_named) {
                    broken.push(format!(
                        "{}:{}: {word} in a pure crate",
                        path.display(),
                        line_idx + 1
                    ));
                }
            }
        }
    }
    Ok(())
}

fn list_sources(folder: &Path, sources: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            list_sources(&path, sources)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(path);
        }
    }
    sources.sort();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_that_is_not_drawn_is_found() {
        let edges: BTreeMap<&str, &[&str]> = EDGES.iter().copied().collect();
        let manifest = "[dependencies]\neddy-record = {}\naws-sdk-kinesis = {}\nserde = \"1\"";
        let manifest: toml::Table = manifest.parse().expect("toml");
        let mut broken = Vec::new();
        check_edges("rcf", &manifest, &edges, &mut broken);
        assert_eq!(broken.len(), 2, "{broken:?}");
        broken.clear();
        check_edges("eddy-kinesis", &manifest, &edges, &mut broken);
        assert!(broken.is_empty(), "{broken:?}");
    }
}
