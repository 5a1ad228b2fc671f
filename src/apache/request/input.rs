//! The body: read from the request's input filters, blocking (but for what came already), on the request's thread.
//!
//! httpd sends `100 Continue` as the first read reaches it, enforces `LimitRequestBody` and `Timeout`, and undoes chunks. An
//! error stays: each later read answers it again.

use std::ffi::{c_char, c_int};
use std::ptr;
use std::time::Duration;

use super::pieces::{Buffer, Piece, Pieces, Sink};
use super::{Request, field};
use crate::bindings as raw;

/// Why no more of the body can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the request's body is larger than LimitRequestBody allows")]
    TooLarge,
    #[error("the client did not send the request's body in time")]
    Timeout,
    #[error("the client closed the connection before the request's body was complete")]
    ClientGone,
    /// Also where httpd itself has answered the client (`Request::is_answered`).
    #[error("the request's body can't be read: {text}")]
    Other { text: String },
}

impl BodyError {
    /// By the status that httpd answers the client with, and APR's status.
    fn of(answer: c_int, status: raw::apr_status_t) -> BodyError {
        match u32::try_from(answer) {
            Ok(raw::HTTP_REQUEST_ENTITY_TOO_LARGE) => BodyError::TooLarge,
            Ok(raw::HTTP_REQUEST_TIME_OUT) => BodyError::Timeout,
            _ => BodyError::Other { text: describe(status) },
        }
    }
}

/// Whether a read waits for the client.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    Yes,
    No,
}

/// How many milliseconds pass before a body of unknown length counts as whole, where it is a stream's.
const RESET_MOMENTS: u32 = 5;

/// What is kept between reads.
pub(super) struct State {
    /// Made on first use, in the request's pool; may hold what a filter gave beyond what was asked.
    brigade: *mut raw::apr_bucket_brigade,
    /// Read by `body_that_came`, which could not use it: `ahead[taken..]` is to be given first.
    ahead: Vec<u8>,
    taken: usize,
    end: Option<Result<(), BodyError>>,
}

impl Default for State {
    fn default() -> State {
        State { brigade: ptr::null_mut(), ahead: Vec::new(), taken: 0, end: None }
    }
}

impl<'r> Request<'r> {
    /// Reads at least one byte, unless `buffer` is empty, and what else came by then, and answers how many; 0 is the end of the body. Blocks.
    ///
    /// An empty `buffer` asks for nothing, but a client that waits for `100 Continue` gets it.
    ///
    /// # Errors
    /// Whatever keeps the rest of the body away; the same at each later call.
    pub(crate) fn read_body(&mut self, buffer: &mut [u8]) -> Result<usize, BodyError> {
        let length = buffer.len();
        let mut buffer = Buffer::new(buffer);
        self.read_to(&mut buffer)?;
        Ok(length - buffer.room())
    }

    /// As [`Request::read_body`], but what was read, at most so many bytes, stays where it lies.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn lend_body(&mut self, most: usize) -> Result<Pieces<'r>, BodyError> {
        let mut pieces = Pieces::new(most, self.pool().as_raw());
        self.read_to(&mut pieces)?;
        Ok(pieces)
    }

    fn read_to(&mut self, sink: &mut impl Sink<'r>) -> Result<(), BodyError> {
        if let Some(ahead) = self.input.ahead.get(self.input.taken..).filter(|ahead| !ahead.is_empty()) {
            let count = ahead.len().min(sink.room());
            sink.copy(ahead.get(..count).unwrap_or_default());
            self.input.taken += count;
            return Ok(());
        }
        if let Some(end) = &self.input.end {
            return end.clone();
        }
        let read = self.read_on(sink);
        if let Err(error) = &read {
            self.input.end = Some(Err(error.clone()));
        }
        read
    }

    /// The whole body of `length` bytes, where all of it came already. Never waits, and asks no client to send. Otherwise what came is the
    /// first that `read_body` gives.
    ///
    /// For a request that nothing was read of yet, with this `Content-Length`.
    pub(crate) fn body_that_came(&mut self, length: usize) -> Option<Vec<u8>> {
        if length == 0 {
            return Some(Vec::new());
        }
        // Where a client waits for `100 Continue`, reading sends that.
        if field!(self.expecting_100) != 0 || !self.may_read_ahead() {
            return None;
        }
        self.make_brigade();
        let mut body = vec![0; length];
        let mut buffer = Buffer::new(&mut body);
        self.fill(&mut buffer);
        let held = length - buffer.room();
        if held == length {
            return Some(body);
        }
        body.truncate(held);
        self.input.ahead = body;
        None
    }

    /// Reads what else came already, as long as there is room. An error is kept for the next read.
    fn fill(&mut self, sink: &mut impl Sink<'r>) {
        while sink.room() > 0 {
            let came = self.fetch(self.input.brigade, sink.room(), Wait::No).and_then(|()| self.take(sink));
            if !matches!(came, Ok(true)) {
                self.input.end = self.input.end.take().or(came.err().map(Err));
                break;
            }
        }
    }

    /// Nobody reads the body: whoever answers in place of this request, such as an error document, has none. The connection ends with the
    /// response, since the body is not the next request's.
    pub(crate) fn give_up_body(&mut self) {
        self.forget_body();
        self.close_connection();
    }

    pub(super) fn forget_body(&mut self) {
        let headers = field!(self.headers_in);
        for name in [c"Content-Length", c"Transfer-Encoding"] {
            // SAFETY: the live request's own table; `&mut self` ends what was lent before.
            unsafe { raw::apr_table_unset(headers, name.as_ptr()) };
        }
    }

    /// Whether nothing but the protocol's own filters read the body: others may take the absence of bytes for its end.
    fn may_read_ahead(&self) -> bool {
        field!(self.input_filters) == field!(self.proto_input_filters)
    }

    fn make_brigade(&mut self) {
        if self.input.brigade.is_null() {
            // SAFETY: a live pool and the connection's allocator, which outlives the request.
            self.input.brigade = unsafe { raw::apr_brigade_create(self.pool().as_raw(), self.bucket_alloc()) };
        }
    }

    fn read_on(&mut self, sink: &mut impl Sink<'r>) -> Result<(), BodyError> {
        self.forget_expectation();
        if sink.room() == 0 {
            return self.ask_to_continue();
        }
        self.make_brigade();
        loop {
            let took = self.take(sink)?;
            if took {
                if self.input.end.is_none() && self.may_read_ahead() {
                    self.fill(sink);
                }
                return Ok(());
            }
            if let Some(end) = &self.input.end {
                return end.clone();
            }
            self.fetch(self.input.brigade, sink.room(), Wait::Yes)?;
        }
    }

    /// Takes what the brigade holds, as much as there is room for; false where that is nothing.
    fn take(&mut self, sink: &mut impl Sink<'r>) -> Result<bool, BodyError> {
        let mut took = false;
        while sink.room() > 0 {
            // SAFETY: a brigade of this request.
            let bucket = unsafe { raw::wsgi_shim_brigade_first(self.input.brigade) };
            if bucket.is_null() {
                break;
            }
            // SAFETY: a live bucket of that brigade.
            if unsafe { raw::wsgi_shim_bucket_is_eos(bucket) } != 0 {
                self.input.end = Some(if self.was_reset() { Err(BodyError::ClientGone) } else { Ok(()) });
                break;
            }
            // SAFETY: as above.
            let refused = unsafe { raw::wsgi_shim_bucket_error_status(bucket) };
            if refused != 0 {
                return Err(BodyError::of(refused, raw::AP_FILTER_ERROR));
            }
            // SAFETY: as above.
            if unsafe { raw::wsgi_shim_bucket_is_metadata(bucket) } != 0 {
                // SAFETY: as above; it is not used again.
                unsafe { raw::wsgi_shim_bucket_delete(bucket) };
                continue;
            }
            match self.take_from(bucket, sink.room()) {
                Ok(piece) => {
                    took |= !piece.bytes().is_empty();
                    sink.put(piece);
                }
                // What was read first goes out first; the next call meets the error again.
                Err(_) if took => break,
                Err(error) => return Err(error),
            }
        }
        Ok(took)
    }

    /// Has the client given up a body that seems to be whole? Where one of unknown length comes as a stream of HTTP/2, mod_http2 ends it when
    /// the client resets the stream, and marks the stream's connection only a moment later.
    fn was_reset(&self) -> bool {
        let of_a_stream = self.is_stream() && self.headers_in().get(c"Transfer-Encoding").is_some();
        of_a_stream
            && (0..RESET_MOMENTS).any(|_| {
                let gone = self.is_client_gone();
                if !gone {
                    std::thread::sleep(Duration::from_millis(1));
                }
                gone
            })
    }

    /// The first data of a bucket of the brigade, so many bytes at most.
    fn take_from(&mut self, bucket: *mut raw::apr_bucket, most: usize) -> Result<Piece<'r>, BodyError> {
        let mut data: *const c_char = ptr::null();
        let mut length = 0;
        // SAFETY: a live bucket, and places for a pointer and a length.
        let status = unsafe { raw::wsgi_shim_bucket_read(bucket, &raw mut data, &raw mut length) };
        if status != 0 {
            return Err(self.error_of(status));
        }
        if length > most {
            // SAFETY: a live bucket that was read, and a point inside.
            let status = unsafe { raw::wsgi_shim_bucket_split(bucket, most) };
            if status != 0 {
                return Err(self.error_of(status));
            }
            length = most;
        }
        // SAFETY: a live bucket of this request's brigade, which was read; it is not used again.
        Ok(unsafe { Piece::take(bucket, data.cast::<u8>(), length) })
    }

    fn fetch(&mut self, brigade: *mut raw::apr_bucket_brigade, wanted: usize, wait: Wait) -> Result<(), BodyError> {
        let wanted = raw::apr_off_t::try_from(wanted).unwrap_or(raw::apr_off_t::MAX);
        let filters = field!(self.input_filters);
        let block = match wait {
            Wait::Yes => raw::APR_BLOCK_READ,
            Wait::No => raw::APR_NONBLOCK_READ,
        };
        // SAFETY: the live request's own filters and a brigade of its pool.
        let status = unsafe { raw::ap_get_brigade(filters, brigade, raw::AP_MODE_READBYTES, block, wanted) };
        if wait == Wait::No && status == libc::EAGAIN {
            return Ok(());
        }
        // With the head out, httpd's HTTP filter ends the response where it refuses the body, and reports success.
        let refused = status == 0 && field!(self.eos_sent) != 0 && !self.is_complete();
        match (refused, status) {
            (true, _) => Err(self.error_of(raw::AP_FILTER_ERROR)),
            (false, 0) => Ok(()),
            (false, status) => Err(self.error_of(status)),
        }
    }

    /// Once the head is out, a `100 Continue` would stand in the middle of the response. Only then: before, httpd closes a connection whose
    /// client still waits, and that is decided as the head is written.
    fn forget_expectation(&mut self) {
        if self.has_begun_output() && self.is_head_written() {
            // SAFETY: `lend` promised a live request_rec; a plain field.
            unsafe { (*self.raw.as_ptr()).expecting_100 = 0 };
        }
    }

    /// Lets a waiting client send; where none waits, nothing happens.
    fn ask_to_continue(&mut self) -> Result<(), BodyError> {
        if field!(self.expecting_100) == 0 || !self.input.brigade.is_null() {
            return Ok(());
        }
        self.make_brigade();
        self.fetch(self.input.brigade, 0, Wait::Yes)
    }

    fn error_of(&mut self, status: raw::apr_status_t) -> BodyError {
        if self.is_client_gone() || is_end_of_connection(status) {
            return BodyError::ClientGone;
        }
        let answer = if status == raw::AP_FILTER_ERROR {
            // httpd's HTTP filter has sent its error document down the output filters (http_protocol.h, ap_map_http_request_error).
            self.note_answered();
            c_int::from(self.status())
        } else {
            // SAFETY: numbers in, a number out.
            unsafe { raw::ap_map_http_request_error(status, raw::HTTP_BAD_REQUEST as c_int) }
        };
        BodyError::of(answer, status)
    }
}

fn is_end_of_connection(status: raw::apr_status_t) -> bool {
    [raw::APR_EOF, raw::APR_INCOMPLETE, raw::APR_ECONNRESET, raw::APR_ECONNABORTED, raw::APR_EPIPE]
        .iter()
        .any(|end| raw::apr_status_t::try_from(*end) == Ok(status))
}

/// APR's words for a status.
fn describe(status: raw::apr_status_t) -> String {
    if status == raw::AP_FILTER_ERROR {
        return "an input filter refused it".to_owned();
    }
    let mut text = [0_u8; 200];
    // SAFETY: room of the length said; APR ends the text with a NUL in it.
    unsafe { raw::apr_strerror(status, text.as_mut_ptr().cast(), text.len()) };
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_that_httpd_answers_says_what_is_wrong() {
        assert_eq!(BodyError::of(413, raw::AP_FILTER_ERROR), BodyError::TooLarge);
        assert_eq!(BodyError::of(408, raw::AP_FILTER_ERROR), BodyError::Timeout);
        let other = BodyError::Other { text: "an input filter refused it".to_owned() };
        assert_eq!(BodyError::of(400, raw::AP_FILTER_ERROR), other);
        assert_eq!(BodyError::of(200, raw::AP_FILTER_ERROR), other);
    }

    #[test]
    fn apr_describes_its_statuses() {
        assert_eq!(describe(13), "Permission denied");
        assert!(is_end_of_connection(104));
        assert!(!is_end_of_connection(110));
    }
}
