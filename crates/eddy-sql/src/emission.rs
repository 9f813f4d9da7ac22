//! What leaves an application.

use eddy_record::format_timestamp_ms;

use crate::run::{ErrorRow, OutputRow, OutputWriter, StreamRows, write_text};

/// Rows that leave at one step, in order, and rows at fault.
#[derive(Clone, Debug, Default)]
pub struct Emission {
    streams: Vec<StreamRows>,
    // (stream, row)
    order: Vec<(u32, u32)>,
    /// The rows of the error stream, in order.
    pub errors: Vec<ErrorRow>,
    errors_leave: bool,
    n_ticks: usize,
}

impl Emission {
    /// What leaves in one part of `n_ticks` ticks: rows by stream, each stream's in order, and rows
    /// at fault in order.
    pub(crate) fn new(
        streams: Vec<StreamRows>,
        errors: Vec<ErrorRow>,
        errors_leave: bool,
        n_ticks: usize,
    ) -> Self {
        let mut emission = Self { streams, order: Vec::new(), errors, errors_leave, n_ticks };
        emission.put_in_order();
        emission
    }

    /// What leaves behind these rows.
    pub(crate) fn append(&mut self, mut later: Self) {
        if self.n_ticks == 0 {
            *self = later;
            return;
        }
        let ticks = u32::try_from(self.n_ticks).expect("rows held are bounded");
        let streams = u32::try_from(self.streams.len()).expect("rows held are bounded");
        for stream in &mut later.streams {
            stream.chunk.ticks.iter_mut().for_each(|tick| *tick += ticks);
        }
        later.errors.iter_mut().for_each(|error| error.tick += ticks);
        self.order.extend(later.order.iter().map(|(stream, row)| (stream + streams, *row)));
        self.streams.append(&mut later.streams);
        self.errors.append(&mut later.errors);
        self.errors_leave |= later.errors_leave;
        self.n_ticks += later.n_ticks;
    }

    fn put_in_order(&mut self) {
        for (stream_idx, stream) in self.streams.iter().enumerate() {
            let stream_idx = u32::try_from(stream_idx).expect("an application has fewer streams");
            let n_rows = u32::try_from(stream.n_rows()).expect("a batch has fewer rows");
            self.order.extend((0..n_rows).map(|row| (stream_idx, row)));
        }
        if self.streams.len() > 1 {
            let streams = &self.streams;
            self.order.sort_by_key(|(stream, row)| {
                (streams[*stream as usize].chunk.ticks[*row as usize], *stream, *row)
            });
        }
    }

    /// How many rows leave.
    pub fn n_rows(&self) -> usize {
        self.order.len()
    }

    /// The rows by stream, each stream's in order; a stream may come several times, the earlier rows
    /// first.
    pub fn streams(&self) -> &[StreamRows] {
        &self.streams
    }

    /// The rows of all destination streams in the order in which they leave.
    pub fn rows(&self) -> impl Iterator<Item = OutputRow> {
        self.order.iter().map(|(stream, row)| self.streams[*stream as usize].row(*row as usize))
    }

    /// Appends the rows as lines of JSON, in the order in which they leave. The error stream's are
    /// among them if it is an output.
    pub fn write_ndjson(&self, out: &mut Vec<u8>) {
        let mut writers: Vec<OutputWriter<'_>> =
            self.streams.iter().map(OutputWriter::new).collect();
        let mut errors = if self.errors_leave { self.errors.as_slice() } else { &[] };
        for (stream, row) in &self.order {
            let tick = self.streams[*stream as usize].chunk.ticks[*row as usize];
            while let Some((first, rest)) = errors.split_first() {
                if first.tick >= tick {
                    break;
                }
                write_error(first, out);
                errors = rest;
            }
            writers[*stream as usize].write(*row as usize, out);
        }
        errors.iter().for_each(|error| write_error(error, out));
    }

    /// Whether the error stream is an output, whose rows [`Emission::write_ndjson`] writes.
    pub fn errors_leave(&self) -> bool {
        self.errors_leave
    }

    /// Appends the rows of the error stream as lines of JSON.
    pub fn write_errors_ndjson(&self, out: &mut Vec<u8>) {
        self.errors.iter().for_each(|error| write_error(error, out));
    }
}

fn write_error(error: &ErrorRow, out: &mut Vec<u8>) {
    let time = format_timestamp_ms(error.error_time_ms);
    out.extend_from_slice(b"{\"stream\":\"error_stream\",\"rowtime\":");
    write_text(&time, out);
    let fields = [
        ("ERROR_TIME", time.as_str()),
        ("ERROR_LEVEL", "ERROR"),
        ("ERROR_NAME", &error.error_name),
        ("MESSAGE", &error.message),
        ("DATA_ROWTIME", &format_timestamp_ms(error.data_rowtime_ms)),
        ("DATA_ROW", &error.data_row_hex()),
        ("PUMP_NAME", &error.pump_name),
    ];
    out.extend_from_slice(b",\"row\":{");
    for (idx, (name, value)) in fields.into_iter().enumerate() {
        if idx > 0 {
            out.push(b',');
        }
        write_text(name, out);
        out.push(b':');
        write_text(value, out);
    }
    out.extend_from_slice(b"}}\n");
}
