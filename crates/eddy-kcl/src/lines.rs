//! Standard input, line by line, each read into a message.

use eddy_stream::StreamError;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::sync::{mpsc, watch};

use crate::connection::Ending;
use crate::messages::{Message, read};

/// Bytes of one line at most. A read of a shard is 10 MiB at most; base64 adds a third, and each
/// record some 250 bytes, which weighs where an aggregate holds very many small ones.
pub const MAX_LINE_BYTES: usize = 256 << 20;
/// How much is asked of the pipe at once.
const BUFFER_BYTES: usize = 256 << 10;

/// Reads messages until the input ends, and tells of the end. It ends when nobody listens.
pub(crate) async fn read_messages(
    input: impl AsyncRead + Unpin,
    messages: mpsc::Sender<Result<Message, StreamError>>,
    ending: watch::Sender<Ending>,
) {
    let mut input = BufReader::with_capacity(BUFFER_BYTES, input);
    let mut line = Vec::new();
    loop {
        match read_line(&mut input, &mut line).await {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                // Nobody listens any more: the process is ending.
                let _ = messages.send(Err(error)).await;
                break;
            }
        }
        let message = read(&line).transpose();
        // What a huge message took is not kept for small ones.
        line.clear();
        line.shrink_to(BUFFER_BYTES);
        let Some(message) = message else { continue };
        if messages.send(message).await.is_err() {
            break;
        }
    }
    ending.send_replace(Ending::Closed);
}

/// Reads a line without its newline; false at the end. What stands behind the last newline was cut
/// off in the middle and is no line.
async fn read_line(
    input: &mut (impl AsyncBufRead + Unpin),
    line: &mut Vec<u8>,
) -> Result<bool, StreamError> {
    loop {
        let read = input
            .fill_buf()
            .await
            .map_err(|error| StreamError::fatal("cannot read standard input").with_source(error))?;
        if read.is_empty() {
            return Ok(false);
        }
        let (part, whole) = match read.iter().position(|byte| *byte == b'\n') {
            Some(end) => (end, true),
            None => (read.len(), false),
        };
        if line.len() + part > MAX_LINE_BYTES {
            return Err(StreamError::fatal(format!(
                "a message of the daemon is longer than {MAX_LINE_BYTES} bytes; lower maxRecords in \
                 the daemon's properties"
            )));
        }
        line.extend_from_slice(&read[..part]);
        input.consume(part + usize::from(whole));
        if whole {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_come_whole_however_the_pipe_cuts_them() {
        let text = b"one\n\ntwo\r\nand a half";
        for n_bytes in 1..=text.len() {
            let mut input = BufReader::with_capacity(n_bytes, &text[..]);
            let mut lines = Vec::new();
            let mut line = Vec::new();
            while read_line(&mut input, &mut line).await.expect("readable") {
                lines.push(std::mem::take(&mut line));
            }
            assert_eq!(lines, [&b"one"[..], b"", b"two\r"], "{n_bytes}");
        }
    }

    #[tokio::test]
    async fn a_line_beyond_the_bound_is_an_error() {
        let mut input = BufReader::with_capacity(1 << 20, tokio::io::repeat(b'x'));
        let error = read_line(&mut input, &mut Vec::new()).await.expect_err("endless");
        assert!(error.to_string().contains("maxRecords"), "{error}");
    }
}
