//! Operators, and the rows between them.

mod chunk;
mod errors;
mod evaluate;
mod event_time;
mod forest;
mod groups;
mod hotspots;
mod items;
mod join;
mod operator;
mod output;
mod over;
mod ranks;
mod sort;
mod state;
mod table_join;
mod waiting;
mod window;

pub use errors::ErrorRow;
pub use output::{OutputRow, StreamRows};

pub(crate) use chunk::Chunk;
pub(crate) use errors::Errors;
pub(crate) use evaluate::{Filter, Project};
pub(crate) use event_time::EventTime;
pub(crate) use forest::{Explains, Forests};
pub(crate) use hotspots::{HotspotSettings, Hotspots, MAX_RESULT_CHARS};
pub(crate) use items::{Items, Tells};
pub(crate) use join::{Keeps, StreamJoin, Union, joined_schema};
pub(crate) use operator::{Node, Operator};
pub(crate) use output::{Writer as OutputWriter, columns_text, write_text};
pub(crate) use over::{Frame, Over, OverWindow};
pub(crate) use sort::{Sort, TimeSort, Within};
pub(crate) use state::{Reader, Writer};
pub(crate) use table_join::TableJoin;
pub(crate) use window::{Staggered, Tumble, fnv1a};
