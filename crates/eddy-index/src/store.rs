//! The folder of indices: one of the engine's indices in a folder each, and the lock that keeps
//! other processes out.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tantivy::index::SegmentId;
use tantivy::schema::{IndexRecordOption, Value as _};
use tantivy::{
    DocAddress, DocSet, IndexReader, ReloadPolicy, Searcher, SegmentReader, TERMINATED,
    TantivyDocument,
};

use crate::fields::{FIELDS, id_term};
use crate::folder::Folder;
use crate::limits::MAX_INDICES;
use crate::{IndexError, IndexSettings, names};

/// What the folder's files mean; a folder with a greater number is refused.
const FORMAT: u64 = 1;
const FORMAT_FILE: &str = "eddy-index.json";
const LOCK_FILE: &str = ".eddy-index.lock";

/// The first and the last id of a segment, as its terms.
type IdRange = Arc<(Vec<u8>, Vec<u8>)>;

/// One index: its name, the engine's handle and the reader of what is committed.
pub(crate) struct Shard {
    pub(crate) name: Arc<str>,
    pub(crate) engine: tantivy::Index,
    pub(crate) reader: IndexReader,
    folder: PathBuf,
    // The first and last id of each segment: most new ids lie behind all, so that looking them up
    // in every segment can be spared. Segments never change; merged ones are forgotten.
    id_ranges: Mutex<HashMap<SegmentId, IdRange>>,
}

/// All indices of a folder.
pub(crate) struct Store {
    pub(crate) settings: IndexSettings,
    shards: RwLock<BTreeMap<Arc<str>, Arc<Shard>>>,
    // An index was created since this was last asked.
    has_new: AtomicBool,
    // Held as long as the store lives; the system lets go of it when the process dies.
    _lock: File,
}

impl Store {
    /// Opens the folder and every index in it.
    pub(crate) fn open(settings: IndexSettings) -> Result<Self, IndexError> {
        settings.validate()?;
        let path = &settings.path;
        fs::create_dir_all(path).map_err(IndexError::io("create the index folder"))?;
        let lock = File::create(path.join(LOCK_FILE)).map_err(IndexError::io("create the lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(IndexError::InUse { path: path.clone() }),
            Err(TryLockError::Error(source)) => {
                return Err(IndexError::Io { doing: "lock the index folder", source });
            }
        }
        check_format(path)?;
        let mut shards = BTreeMap::new();
        for entry in fs::read_dir(path).map_err(IndexError::io("list the index folder"))? {
            let folder = entry.map_err(IndexError::io("list the index folder"))?.path();
            let Some(name) = folder.file_name().and_then(|name| name.to_str()) else { continue };
            if !folder.is_dir() || names::validate(name).is_err() {
                continue;
            }
            // A kill between making the folder and the engine's first file leaves this; nothing in
            // it was ever acknowledged.
            if !folder.join("meta.json").exists() {
                fs::remove_dir_all(&folder).map_err(IndexError::io("remove an unborn index"))?;
                continue;
            }
            let shard = Arc::new(Shard::open(name, &folder)?);
            shards.insert(Arc::clone(&shard.name), shard);
        }
        let has_new = AtomicBool::new(false);
        Ok(Self { settings, shards: RwLock::new(shards), has_new, _lock: lock })
    }

    fn shards(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<Arc<str>, Arc<Shard>>> {
        self.shards.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The index of that very name.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Shard>> {
        self.shards().get(name).cloned()
    }

    /// The index of that name, created where it is missing.
    pub(crate) fn get_or_create(&self, name: &str) -> Result<Arc<Shard>, IndexError> {
        if let Some(shard) = self.get(name) {
            return Ok(shard);
        }
        names::validate(name)?;
        if self.shards().len() >= MAX_INDICES {
            return Err(IndexError::illegal(format!("there are already {MAX_INDICES} indices")));
        }
        let folder = self.settings.path.join(name);
        fs::create_dir_all(&folder).map_err(IndexError::io("create an index"))?;
        let shard = Arc::new(Shard::open(name, &folder)?);
        sync_folder(&self.settings.path)?;
        let mut shards = self.shards.write().unwrap_or_else(PoisonError::into_inner);
        shards.insert(Arc::clone(&shard.name), Arc::clone(&shard));
        self.has_new.store(true, Ordering::Relaxed);
        Ok(shard)
    }

    /// Whether an index was created since this was last asked.
    pub(crate) fn has_new_index(&self) -> bool {
        self.has_new.swap(false, Ordering::Relaxed)
    }

    /// Forgets an index and removes its files.
    pub(crate) fn remove(&self, name: &str) -> Result<(), IndexError> {
        self.shards.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        let folder = self.settings.path.join(name);
        // Without its first file the rest is nothing, should a kill come in between.
        fs::remove_file(folder.join("meta.json"))
            .and_then(|()| fs::remove_dir_all(&folder))
            .map_err(IndexError::io("remove an index"))?;
        sync_folder(&self.settings.path)
    }

    /// The indices that a request names: names, patterns with `*`, the alias, lists with commas;
    /// empty or `_all` for all. In the order of their names. Where `lenient`, names that do not
    /// exist are left out.
    pub(crate) fn resolve(
        &self,
        pattern: &str,
        lenient: bool,
    ) -> Result<Vec<Arc<Shard>>, IndexError> {
        let shards = self.shards();
        let mut found: BTreeMap<&str, &Arc<Shard>> = BTreeMap::new();
        let mut add = |pattern: &str| {
            found.extend(
                shards
                    .iter()
                    .filter(|(name, _)| names::matches(pattern, name))
                    .map(|(name, shard)| (name.as_ref(), shard)),
            );
        };
        for part in pattern.split(',').map(str::trim) {
            if part.is_empty() || part == "_all" {
                add("*");
            } else if part == self.settings.alias {
                add(&format!("{part}-*"));
            } else if part.contains('*') || shards.contains_key(part) {
                add(part);
            } else if !lenient {
                return Err(IndexError::IndexNotFound { index: part.to_owned() });
            }
        }
        Ok(found.into_values().cloned().collect())
    }

    /// As [`resolve`](Self::resolve), the newest day first and what is no day last: where an id is
    /// looked for. A kill may have left it in two days.
    pub(crate) fn newest_first(
        &self,
        pattern: &str,
        lenient: bool,
    ) -> Result<Vec<Arc<Shard>>, IndexError> {
        let mut found = self.resolve(pattern, lenient)?;
        found.sort_by_key(|shard| Reverse(names::day(&self.settings.alias, &shard.name)));
        Ok(found)
    }
}

impl Shard {
    fn open(name: &str, folder: &Path) -> Result<Self, IndexError> {
        let directory = Folder::open(folder)?;
        let mut engine = tantivy::Index::open_or_create(directory, FIELDS.schema.clone())?;
        // Handing blocks to a thread of their own costs more than compressing them.
        engine.settings_mut().docstore_compress_dedicated_thread = false;
        let reader = engine.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        let folder = folder.to_owned();
        Ok(Self { name: name.into(), engine, reader, folder, id_ranges: Mutex::default() })
    }

    /// Where the document of that id stands among what is committed.
    pub(crate) fn find(
        &self,
        searcher: &Searcher,
        id: &str,
    ) -> tantivy::Result<Option<DocAddress>> {
        let term = id_term(id);
        let key = term.serialized_value_bytes();
        for (segment_ord, segment) in (0_u32..).zip(searcher.segment_readers()) {
            if !self.may_hold(searcher, segment, key)? {
                continue;
            }
            let ids = segment.inverted_index(FIELDS.id)?;
            let Some(mut found) = ids.read_postings(&term, IndexRecordOption::Basic)? else {
                continue;
            };
            let mut doc = found.doc();
            while doc != TERMINATED {
                if !segment.is_deleted(doc) {
                    return Ok(Some(DocAddress::new(segment_ord, doc)));
                }
                doc = found.advance();
            }
        }
        Ok(None)
    }

    fn may_hold(
        &self,
        searcher: &Searcher,
        segment: &SegmentReader,
        key: &[u8],
    ) -> tantivy::Result<bool> {
        let range = self.id_range(searcher, segment)?;
        Ok(range.is_some_and(|range| range.0.as_slice() <= key && key <= range.1.as_slice()))
    }

    /// The first and the last id of a segment; none where it has no terms.
    fn id_range(
        &self,
        searcher: &Searcher,
        segment: &SegmentReader,
    ) -> tantivy::Result<Option<IdRange>> {
        let mut ranges = self.id_ranges.lock().unwrap_or_else(PoisonError::into_inner);
        let segment_id = segment.segment_id();
        if let Some(range) = ranges.get(&segment_id) {
            return Ok(Some(Arc::clone(range)));
        }
        let ids = segment.inverted_index(FIELDS.id)?;
        let terms = ids.terms();
        let (mut first, mut last) = (Vec::new(), Vec::new());
        if terms.num_terms() == 0 {
            return Ok(None);
        }
        terms.ord_to_term(0, &mut first)?;
        terms.ord_to_term(terms.num_terms() as u64 - 1, &mut last)?;
        let live: Vec<SegmentId> =
            searcher.segment_readers().iter().map(SegmentReader::segment_id).collect();
        ranges.retain(|id, _| live.contains(id));
        let range = Arc::new((first, last));
        ranges.insert(segment_id, Arc::clone(&range));
        Ok(Some(range))
    }

    /// The first id behind that one, of documents that are there or were.
    pub(crate) fn next_id(
        &self,
        searcher: &Searcher,
        id: &str,
    ) -> tantivy::Result<Option<Box<str>>> {
        let term = id_term(id);
        let key = term.serialized_value_bytes();
        let mut next: Option<Vec<u8>> = None;
        for segment in searcher.segment_readers() {
            let Some(range) = self.id_range(searcher, segment)? else { continue };
            let found = match &*range {
                (first, _) if first.as_slice() > key => first.clone(),
                (_, last) if last.as_slice() > key => {
                    let ids = segment.inverted_index(FIELDS.id)?;
                    let mut behind = ids.terms().range().gt(key).into_stream()?;
                    if !behind.advance() {
                        continue;
                    }
                    behind.key().to_vec()
                }
                _ => continue,
            };
            if next.as_ref().is_none_or(|next| found < *next) {
                next = Some(found);
            }
        }
        Ok(next.map(|next| String::from_utf8_lossy(&next).into()))
    }

    /// What its files take, in bytes.
    pub(crate) fn n_bytes(&self) -> Result<u64, IndexError> {
        let size = |entry: std::io::Result<fs::DirEntry>| match entry?.metadata() {
            Ok(metadata) => Ok(metadata.len()),
            // A merge has just removed it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        };
        fs::read_dir(&self.folder)
            .and_then(|entries| entries.map(size).sum())
            .map_err(IndexError::io("measure an index"))
    }

    /// The source of the document of that id.
    pub(crate) fn source(&self, id: &str) -> Result<Option<String>, IndexError> {
        let searcher = self.reader.searcher();
        let Some(address) = self.find(&searcher, id)? else { return Ok(None) };
        Ok(Some(stored(&searcher, address)?.1))
    }
}

/// The id and source of a document.
pub(crate) fn stored(
    searcher: &Searcher,
    address: DocAddress,
) -> Result<(String, String), IndexError> {
    let document: TantivyDocument = searcher.doc(address)?;
    let text = |field| {
        document
            .get_first(field)
            .and_then(|value| value.as_str().map(str::to_owned))
            .ok_or_else(|| IndexError::Internal { reason: "a document has no source".to_owned() })
    };
    Ok((text(FIELDS.id)?, text(FIELDS.source)?))
}

fn check_format(path: &Path) -> Result<(), IndexError> {
    let file: PathBuf = path.join(FORMAT_FILE);
    let found = match fs::read(&file) {
        Ok(bytes) => serde_json::from_slice::<serde_json::Value>(&bytes)
            .ok()
            .and_then(|value| value.get("format")?.as_u64()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(source) => return Err(IndexError::Io { doing: "read the format file", source }),
    };
    match found {
        Some(found) if found <= FORMAT => Ok(()),
        Some(found) => Err(IndexError::Format { path: path.to_owned(), found, supported: FORMAT }),
        // Missing, or torn by a kill before anything else was written.
        None => fs::write(&file, format!("{{\"format\":{FORMAT}}}\n"))
            .and_then(|()| File::open(&file)?.sync_all())
            .map_err(IndexError::io("write the format file")),
    }
}

fn sync_folder(path: &Path) -> Result<(), IndexError> {
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(IndexError::io("make the index folder durable"))
}
