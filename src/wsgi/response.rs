//! One response as PEP 3333 orders it: `start_response`, pieces of the body, the end; what may follow what.
//!
//! Room `python` marshals Python's calls into this, holding no interpreter while bytes move; the bytes go to a [`Host`].

use std::fs::File;

use super::length::{Ending, LengthGuard, computed_length, may_have_content};
use super::{Gone, Head, Hints, Host, LengthError, Level, Then};

/// Why `start_response` is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// PEP 3333: "it is a fatal error to call start_response without the exc_info argument if start_response has already been called
    /// within the current invocation of the application" and output began. (Before output mod_wsgi lets it pass, and so do we.)
    #[error("start_response was called again after the headers were sent, without exc_info")]
    HeadSent,
    /// PEP 3333: "if exc_info is supplied, and the HTTP headers have already been output, start_response must raise an error, and should
    /// re-raise using the exc_info tuple."
    #[error("the headers were sent before the exception was raised")]
    Reraise,
}

/// Early hints come too late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("early hints come before the response, whose headers were sent already")]
pub struct HeadSent;

/// Why a piece of the body, or the end, can't be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// PEP 3333: "the start_response callable must not actually transmit the response headers"; without it there are none to send.
    #[error("the application returned a body without having called start_response")]
    NotStarted,
    #[error(transparent)]
    Length(#[from] LengthError),
    #[error(transparent)]
    Gone(#[from] Gone),
}

/// How a response that can't be completed stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// Nothing was sent: the server's own error page can be.
    BeforeHead,
    /// The head was sent: the connection was given up so that the client sees it.
    AfterHead,
}

#[derive(Debug)]
enum Stage {
    Waiting,
    Started(Head),
    Sending(LengthGuard),
    Ended,
}

/// How far the response is.
#[derive(Debug)]
pub struct Response {
    stage: Stage,
    /// The client's method: whether a body is expected at all.
    client_method: Box<[u8]>,
    /// The method that the application saw: whether it could leave the body out.
    method: Box<[u8]>,
}

impl Response {
    /// A response to `client_method`, of an application that saw `method` (`WSGIMapHEADToGET`).
    pub fn new(client_method: &[u8], method: &[u8]) -> Response {
        Response { stage: Stage::Waiting, client_method: client_method.into(), method: method.into() }
    }

    /// `start_response`: keeps the head until the first output.
    ///
    /// # Errors
    /// [`StartError`] once output began.
    pub fn start(&mut self, head: Head, with_exc_info: bool) -> Result<(), StartError> {
        match self.stage {
            Stage::Waiting | Stage::Started(_) => {
                self.stage = Stage::Started(head);
                Ok(())
            }
            Stage::Sending(_) | Stage::Ended if with_exc_info => Err(StartError::Reraise),
            Stage::Sending(_) | Stage::Ended => Err(StartError::HeadSent),
        }
    }

    /// `early_hints`: sends them at once.
    ///
    /// # Errors
    /// [`HeadSent`] once output began.
    pub fn hint(&self, host: &mut dyn Host, hints: &Hints) -> Result<(), HeadSent> {
        if self.sent() {
            return Err(HeadSent);
        }
        if !hints.is_empty() {
            host.hint(hints);
        }
        Ok(())
    }

    /// Whether the head went out.
    pub fn sent(&self) -> bool {
        matches!(self.stage, Stage::Sending(_) | Stage::Ended)
    }

    /// `write()`: sends the head even when `data` is empty.
    ///
    /// # Errors
    /// [`SendError`]; after [`Gone`] further pieces are pointless.
    pub fn write(&mut self, host: &mut dyn Host, data: &[u8]) -> Result<(), SendError> {
        self.begin(host)?;
        let data = self.allowed(data);
        Ok(host.send(data, Then::Flush)?)
    }

    /// One item of the iterable. PEP 3333: headers wait "until there is actual body data", so an empty item sends nothing.
    ///
    /// # Errors
    /// As [`Response::write`].
    pub fn item(&mut self, host: &mut dyn Host, data: &[u8]) -> Result<(), SendError> {
        if data.is_empty() {
            return Ok(());
        }
        self.write(host, data)
    }

    /// The items to come are this long together: the head can say so.
    pub fn announce(&mut self, total: usize) {
        self.complete_length(u64::try_from(total).unwrap_or(u64::MAX));
    }

    /// The whole body at once, as a list or tuple in memory is: head, body and end go out together, with a Content-Length if
    /// none was given and one may be.
    ///
    /// # Errors
    /// As [`Response::write`].
    pub fn whole(&mut self, host: &mut dyn Host, data: &[u8]) -> Result<(), SendError> {
        self.announce(data.len());
        self.begin(host)?;
        let data = self.allowed(data);
        self.end(host, data)
    }

    /// A regular file from `offset`: to its end, or as much as the application's Content-Length says; `available` is what it holds
    /// from there. Ends the response.
    ///
    /// # Errors
    /// As [`Response::write`].
    pub fn file(&mut self, host: &mut dyn Host, file: File, offset: u64, available: u64) -> Result<(), SendError> {
        self.complete_length(available);
        self.begin(host)?;
        let Stage::Sending(guard) = &mut self.stage else { return Err(SendError::NotStarted) };
        let length = guard.allow(usize::try_from(available).unwrap_or(usize::MAX));
        let ending = guard.end();
        self.stage = Stage::Ended;
        let length = u64::try_from(length).unwrap_or(available);
        match ending {
            Ending::Complete => Ok(host.send_file(file, offset, length, Then::End)?),
            Ending::Short(missing) => {
                host.send_file(file, offset, length, Then::Flush)?;
                give_up_short(host, missing);
                Ok(())
            }
        }
    }

    /// The iterable is exhausted: sends the head if nothing did, and the end.
    ///
    /// # Errors
    /// As [`Response::write`].
    pub fn finish(&mut self, host: &mut dyn Host) -> Result<(), SendError> {
        if matches!(self.stage, Stage::Ended) {
            return Ok(());
        }
        self.begin(host)?;
        self.end(host, &[])
    }

    /// The application failed.
    pub fn fail(&mut self, host: &mut dyn Host) -> Failed {
        match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Waiting | Stage::Started(_) => Failed::BeforeHead,
            Stage::Sending(_) => {
                host.abort();
                Failed::AfterHead
            }
            Stage::Ended => Failed::AfterHead,
        }
    }

    fn complete_length(&mut self, total: u64) {
        if let Stage::Started(head) = &mut self.stage
            && let Some(length) = computed_length(&self.method, head, Some(total))
        {
            // Digits pass the checks of `push`.
            drop(head.push(b"Content-Length", length.to_string().as_bytes()));
        }
    }

    fn begin(&mut self, host: &mut dyn Host) -> Result<(), SendError> {
        match &self.stage {
            Stage::Waiting => Err(SendError::NotStarted),
            Stage::Started(head) => {
                let declared = head.content_length()?;
                host.head(head);
                let content = may_have_content(&self.client_method, head.code());
                self.stage = Stage::Sending(LengthGuard::new(declared, content));
                Ok(())
            }
            Stage::Sending(_) | Stage::Ended => Ok(()),
        }
    }

    /// As much of `data` as Content-Length leaves; the rest would be read by the client as the next response.
    fn allowed<'d>(&mut self, data: &'d [u8]) -> &'d [u8] {
        let Stage::Sending(guard) = &mut self.stage else { return data };
        data.get(..guard.allow(data.len())).unwrap_or_default()
    }

    fn end(&mut self, host: &mut dyn Host, data: &[u8]) -> Result<(), SendError> {
        let Stage::Sending(guard) = std::mem::replace(&mut self.stage, Stage::Ended) else { return Ok(()) };
        if guard.dropped() > 0 {
            let text =
                format!("the body is {} bytes longer than its Content-Length; they are dropped", guard.dropped());
            host.log(Level::Debug, text.as_bytes());
        }
        match guard.end() {
            Ending::Complete => Ok(host.send(data, Then::End)?),
            Ending::Short(missing) => {
                host.send(data, Then::Flush)?;
                give_up_short(host, missing);
                Ok(())
            }
        }
    }
}

/// PEP 3333: "if the application does not provide enough data to meet its stated Content-Length, the server should close the
/// connection and log or otherwise report the error."
fn give_up_short(host: &mut dyn Host, missing: u64) {
    let text = format!(
        "WSGI0301: the body ended {missing} bytes short of its Content-Length; the connection is closed so that the client sees it"
    );
    host.log(Level::Warn, text.as_bytes());
    host.abort();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wsgi::testing::{Did, Scripted};

    fn head(status: &str, headers: &[(&str, &str)]) -> Head {
        let mut head = Head::new(status.as_bytes()).unwrap();
        for (name, value) in headers {
            head.push(name.as_bytes(), value.as_bytes()).unwrap();
        }
        head
    }

    fn started(method: &str, headers: &[(&str, &str)]) -> Response {
        let mut response = Response::new(method.as_bytes(), method.as_bytes());
        response.start(head("200 OK", headers), false).unwrap();
        response
    }

    fn sent_head(headers: &[(&str, &str)]) -> Did {
        Did::Head(200, headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    fn sent(data: &str, then: Then) -> Did {
        Did::Send(data.to_owned(), then)
    }

    #[test]
    fn the_head_waits_for_the_first_bytes() {
        let (mut response, mut host) = (started("GET", &[]), Scripted::default());
        response.item(&mut host, b"").unwrap();
        assert_eq!((response.sent(), host.did.len()), (false, 0));
        response.item(&mut host, b"ab").unwrap();
        response.item(&mut host, b"").unwrap();
        response.item(&mut host, b"c").unwrap();
        response.finish(&mut host).unwrap();
        let flush = Then::Flush;
        assert_eq!(host.did, [sent_head(&[]), sent("ab", flush), sent("c", flush), sent("", Then::End)]);
    }

    #[test]
    fn write_sends_the_head_even_for_no_bytes() {
        let (mut response, mut host) = (started("GET", &[]), Scripted::default());
        response.write(&mut host, b"").unwrap();
        assert!(response.sent());
        assert_eq!(host.did, [sent_head(&[]), sent("", Then::Flush)]);
    }

    #[test]
    fn an_exhausted_iterable_sends_the_head_alone() {
        let (mut response, mut host) = (started("GET", &[]), Scripted::default());
        response.finish(&mut host).unwrap();
        assert_eq!(host.did, [sent_head(&[]), sent("", Then::End)]);
    }

    #[test]
    fn nothing_goes_out_before_start_response() {
        let (mut response, mut host) = (Response::new(b"GET", b"GET"), Scripted::default());
        assert_eq!(response.item(&mut host, b""), Ok(()), "an application may yield nothing first");
        assert_eq!(response.item(&mut host, b"x"), Err(SendError::NotStarted));
        assert_eq!(response.write(&mut host, b"x"), Err(SendError::NotStarted));
        assert_eq!(response.whole(&mut host, b"x"), Err(SendError::NotStarted));
        assert_eq!(response.finish(&mut host), Err(SendError::NotStarted));
        assert_eq!((response.fail(&mut host), host.did.len()), (Failed::BeforeHead, 0));
    }

    #[test]
    fn a_head_may_be_replaced_until_it_is_sent() {
        let (mut response, mut host) = (started("GET", &[]), Scripted::default());
        response.start(head("404 Not Found", &[]), false).unwrap();
        response.start(head("500 Oops", &[]), true).unwrap();
        response.write(&mut host, b"x").unwrap();
        assert_eq!(host.did[0], Did::Head(500, Vec::new()));
        assert_eq!(response.start(head("200 OK", &[]), false), Err(StartError::HeadSent));
        assert_eq!(response.start(head("200 OK", &[]), true), Err(StartError::Reraise));
    }

    #[test]
    fn hints_go_out_before_the_head_only() {
        let (mut response, mut host) = (Response::new(b"GET", b"GET"), Scripted::default());
        let mut hints = Hints::default();
        response.hint(&mut host, &hints).unwrap();
        assert_eq!(host.did, [], "there is nothing to send");
        hints.push(b"Link", b"</a.css>; rel=preload").unwrap();
        response.hint(&mut host, &hints).unwrap();
        response.start(head("200 OK", &[]), false).unwrap();
        response.hint(&mut host, &hints).unwrap();
        response.write(&mut host, b"x").unwrap();
        assert_eq!(response.hint(&mut host, &hints), Err(HeadSent));
        response.finish(&mut host).unwrap();
        assert_eq!(response.hint(&mut host, &hints), Err(HeadSent));
        let flush = sent("x", Then::Flush);
        assert_eq!(host.did, [Did::Hint(1), Did::Hint(1), sent_head(&[]), flush, sent("", Then::End)]);
    }

    #[test]
    fn a_body_in_memory_gets_its_length() {
        for (method, status, body, length) in [
            ("GET", "200 OK", "four", Some("4")),
            ("GET", "200 OK", "", Some("0")),
            ("POST", "404 Not Found", "four", Some("4")),
            ("HEAD", "200 OK", "", None),
            ("GET", "204 No Content", "", None),
            ("GET", "304 Not Modified", "", None),
        ] {
            let (mut response, mut host) = (Response::new(method.as_bytes(), method.as_bytes()), Scripted::default());
            response.start(head(status, &[]), false).unwrap();
            response.whole(&mut host, body.as_bytes()).unwrap();
            let Did::Head(_, headers) = &host.did[0] else { panic!("{:?}", host.did) };
            assert_eq!(headers.first().map(|(_, value)| value.as_str()), length, "{method} {status}");
        }
    }

    #[test]
    fn a_length_that_the_application_gave_stays() {
        let (mut response, mut host) = (started("GET", &[("Content-Length", "2")]), Scripted::default());
        response.announce(4);
        response.item(&mut host, b"abcd").unwrap();
        response.finish(&mut host).unwrap();
        assert_eq!(host.did[..2], [sent_head(&[("Content-Length", "2")]), sent("ab", Then::Flush)]);
        assert_eq!(host.did.last(), Some(&sent("", Then::End)));
    }

    #[test]
    fn a_short_body_is_cut_off_and_said() {
        let (mut response, mut host) = (started("GET", &[("Content-Length", "9")]), Scripted::default());
        response.item(&mut host, b"abcd").unwrap();
        response.finish(&mut host).unwrap();
        let warned = |did: &Did| matches!(did, Did::Log(Level::Warn, text) if text.contains("5 bytes short"));
        assert!(host.did.iter().any(warned), "{:?}", host.did);
        assert_eq!(host.did.last(), Some(&Did::Abort));
    }

    #[test]
    fn a_response_without_content_is_never_short() {
        for (method, status) in [("HEAD", "200 OK"), ("GET", "304 Not Modified"), ("GET", "204 No Content")] {
            let (mut response, mut host) = (Response::new(method.as_bytes(), b"GET"), Scripted::default());
            response.start(head(status, &[("Content-Length", "9")]), false).unwrap();
            response.finish(&mut host).unwrap();
            assert_eq!(host.did.last(), Some(&sent("", Then::End)), "{method} {status}");
        }
    }

    #[test]
    fn a_bad_length_is_found_before_anything_is_sent() {
        let (mut response, mut host) = (started("GET", &[("Content-Length", "-1")]), Scripted::default());
        assert!(matches!(response.item(&mut host, b"x"), Err(SendError::Length(_))));
        assert_eq!((response.fail(&mut host), host.did.len()), (Failed::BeforeHead, 0));
    }

    #[test]
    fn a_failure_behind_the_head_cuts_the_response_off() {
        let (mut response, mut host) = (started("GET", &[]), Scripted::default());
        response.item(&mut host, b"x").unwrap();
        assert_eq!(response.fail(&mut host), Failed::AfterHead);
        assert_eq!(host.did.last(), Some(&Did::Abort));
        assert_eq!(response.fail(&mut host), Failed::AfterHead, "once is enough");
        assert_eq!(host.did.iter().filter(|did| **did == Did::Abort).count(), 1);
    }

    #[test]
    fn a_client_that_is_gone_is_told_to_the_caller() {
        let (mut response, mut host) = (started("GET", &[]), Scripted::default());
        host.sends_until_gone = Some(1);
        response.item(&mut host, b"x").unwrap();
        assert_eq!(response.item(&mut host, b"y"), Err(SendError::Gone(Gone)));
    }

    #[test]
    fn a_file_goes_out_as_far_as_both_lengths_allow() {
        let file = || File::open("/dev/null").unwrap();
        let (mut response, mut host) = (started("GET", &[]), Scripted::default());
        response.file(&mut host, file(), 3, 7).unwrap();
        assert_eq!(host.did, [sent_head(&[("Content-Length", "7")]), Did::File(3, 7, Then::End)]);

        let (mut response, mut host) = (started("GET", &[("Content-Length", "5")]), Scripted::default());
        response.file(&mut host, file(), 0, 7).unwrap();
        assert_eq!(host.did[1], Did::File(0, 5, Then::End));

        let (mut response, mut host) = (started("GET", &[("Content-Length", "9")]), Scripted::default());
        response.file(&mut host, file(), 0, 7).unwrap();
        assert_eq!((&host.did[1], host.did.last()), (&Did::File(0, 7, Then::Flush), Some(&Did::Abort)));
    }
}
