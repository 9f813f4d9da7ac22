//! A model on disk: its columns and its forest.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, bail};
use rcf::Forest;

/// The first bytes of the file; the digit is the format's version.
const MAGIC: &[u8; 8] = b"eddymdl1";

/// A model kept by `--save`.
pub(crate) struct ModelFile {
    /// The columns of the point, in order.
    pub(crate) columns: Vec<String>,
    /// What has been learnt.
    pub(crate) forest: Forest,
}

impl ModelFile {
    /// Reads a model.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let bytes =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::from_bytes(&bytes).with_context(|| format!("{} is no model", path.display()))
    }

    /// Writes the model, all of it or nothing where the path is a file or nothing yet; what is
    /// something else, such as a pipe, is written as it is.
    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        // Behind a symbolic link the file is replaced, not the link.
        let path = &path.canonicalize().unwrap_or_else(|_| path.to_owned());
        // What still is a link points to a file that is to be made.
        if path.symlink_metadata().is_ok_and(|found| !found.is_file()) {
            return std::fs::write(path, self.to_bytes())
                .with_context(|| format!("cannot write {}", path.display()));
        }
        let mut name = path.file_name().context("the path names no file")?.to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        let unfinished = path.with_file_name(name);
        let write = || -> std::io::Result<()> {
            let mut file = File::create(&unfinished)?;
            file.write_all(&self.to_bytes())?;
            file.sync_all()?;
            std::fs::rename(&unfinished, path)
        };
        write()
            .inspect_err(|_| drop(std::fs::remove_file(&unfinished)))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    fn to_bytes(&self) -> Vec<u8> {
        let columns = serde_json::to_vec(&self.columns).expect("names are plain text");
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&(columns.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&columns);
        bytes.extend_from_slice(&self.forest.to_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let Some(rest) = bytes.strip_prefix(MAGIC) else {
            bail!("it does not begin as one that --save writes");
        };
        let (length, rest) = rest.split_first_chunk().context("it is cut short")?;
        let length = usize::try_from(u64::from_le_bytes(*length))?;
        let (columns, forest) = rest.split_at_checked(length).context("it is cut short")?;
        let columns: Vec<String> = serde_json::from_slice(columns)?;
        let forest = Forest::from_bytes(forest)?;
        if forest.settings().n_dims != columns.len() {
            bail!("its columns do not fit its forest");
        }
        Ok(Self { columns, forest })
    }
}
