//! The folder of one of the engine's indices, as the engine writes to it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tantivy::directory::error::{DeleteError, LockError, OpenReadError, OpenWriteError};
use tantivy::directory::{
    Directory, DirectoryLock, FileHandle, Lock, MmapDirectory, WatchCallback, WatchHandle, WritePtr,
};

/// Where the engine keeps the list of the files that it has made, by which it removes what it no
/// longer needs.
const LIST_FILE: &str = ".managed.json";

/// Digits of a segment's name, before the first point of its files' names.
const N_SEGMENT_DIGITS: usize = 32;

/// A folder of memory-mapped files.
///
/// The engine writes the list of its files anew, durably, before it makes any of the six of a
/// segment, which is most of what a small commit waits for. Here the list is what the folder holds.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    files: MmapDirectory,
    path: PathBuf,
}

impl Folder {
    pub(crate) fn open(path: &Path) -> tantivy::Result<Self> {
        Ok(Self { files: MmapDirectory::open(path)?, path: path.to_owned() })
    }

    /// The names of the engine's files, as it keeps them: others that are there it must not remove.
    fn list(&self) -> io::Result<Vec<u8>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            if let Ok(name) = entry?.file_name().into_string()
                && (name == "meta.json" || is_of_a_segment(&name))
            {
                names.push(name);
            }
        }
        Ok(serde_json::to_vec(&names)?)
    }
}

fn is_of_a_segment(name: &str) -> bool {
    name.split_once('.').is_some_and(|(segment, _)| {
        segment.len() == N_SEGMENT_DIGITS && segment.bytes().all(|digit| digit.is_ascii_hexdigit())
    })
}

impl Directory for Folder {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        self.files.get_file_handle(path)
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        self.files.delete(path)
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        self.files.exists(path)
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        self.files.open_write(path)
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        if path == Path::new(LIST_FILE) {
            return self.list().map_err(|error| OpenReadError::wrap_io_error(error, path.into()));
        }
        self.files.atomic_read(path)
    }

    fn atomic_write(&self, path: &Path, data: &[u8]) -> io::Result<()> {
        if path == Path::new(LIST_FILE) {
            return Ok(());
        }
        self.files.atomic_write(path, data)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.files.sync_directory()
    }

    fn acquire_lock(&self, lock: &Lock) -> Result<DirectoryLock, LockError> {
        self.files.acquire_lock(lock)
    }

    fn watch(&self, callback: WatchCallback) -> tantivy::Result<WatchHandle> {
        self.files.watch(callback)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Document;
    use crate::fields::FIELDS;
    use crate::write::{Action, Operation};
    use crate::{Index, IndexSettings};

    #[test]
    fn the_list_holds_the_engines_files_and_no_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let segment = "00112233445566778899aabbccddeeff";
        let files = [format!("{segment}.term"), format!("{segment}.7.del"), "meta.json".to_owned()];
        let others = [".tantivy-meta.lock", "notes.txt", "0011.term", ".managed.json"];
        for name in files.iter().map(String::as_str).chain(others) {
            fs::write(folder.path().join(name), "x").expect("written");
        }
        let opened = Folder::open(folder.path()).expect("opens");
        let list = opened.atomic_read(Path::new(LIST_FILE)).expect("listed");
        let mut names: Vec<String> = serde_json::from_slice(&list).expect("names");
        names.sort();
        let mut expected = files.to_vec();
        expected.sort();
        assert_eq!(names, expected);
    }

    #[tokio::test]
    async fn a_folder_whose_list_the_engine_kept_opens_and_what_a_kill_left_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let day = folder.path().join("x");
        fs::create_dir(&day).expect("a folder");
        {
            let engine = tantivy::Index::create_in_dir(&day, FIELDS.schema.clone()).expect("made");
            let mut writer = engine.writer_with_num_threads(1, 15_000_000).expect("opens");
            writer.add_document(document("old")).expect("added");
            writer.commit().expect("committed");
        }
        let left = day.join("00112233445566778899aabbccddeeff.term");
        fs::write(&left, "cut").expect("written");
        let index = Index::open(IndexSettings::new(folder.path())).expect("opens");
        for id in ["old", "new"] {
            let operation = Operation { index: "x".into(), action: Action::Index(document(id)) };
            index.write(vec![operation]).await.expect("writes").remove(0).expect("is written");
        }
        assert_eq!(index.count("x", &serde_json::json!({})).expect("counts"), 2);
        assert!(!left.exists());
        drop(index);
        let index = Index::open(IndexSettings::new(folder.path())).expect("opens");
        assert_eq!(index.count("x", &serde_json::json!({})).expect("counts"), 2);
    }

    fn document(id: &str) -> Document {
        Document::parse(id, "{}").expect("fits")
    }
}
