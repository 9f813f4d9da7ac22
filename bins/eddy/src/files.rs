//! Files that a command line names.

use std::path::Path;

use anyhow::{Result, bail};

/// Refuses a file that two options name: one of them would be lost without a word.
pub(crate) fn each_has_one_use<const N: usize>(
    named: [(&'static str, Option<&Path>); N],
) -> Result<()> {
    let files = named.into_iter().filter_map(|(option, file)| Some((option, file?)));
    if let Some((one, other, path)) = eddy_stream::named_twice(files) {
        bail!("{one} and {other} are both {}: give each a file of its own", path.display());
    }
    Ok(())
}
