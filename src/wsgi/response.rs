//! One response as PEP 3333 orders it: `start_response`, pieces of the body, the end; what may follow what.
//!
//! Room `python` marshals Python's calls into this, holding no interpreter while bytes move; the bytes go to a [`Host`].

use std::fs::File;

use super::{Ending, Gone, Head, Host, LengthError, LengthGuard, Level, Then, computed_length, may_have_content};

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
        if data.is_empty() && !matches!(self.stage, Stage::Waiting) {
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
