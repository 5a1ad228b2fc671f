//! curl, for what the raw client does not speak: TLS and HTTP/2.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use super::client::Response;
use super::server::Server;

/// Asks for `url`, where `${PORT}` is the server's. Interim responses are seen, and a cut off response is not complete.
pub(crate) fn curl(server: &Server, url: &str, arguments: &[impl AsRef<OsStr>]) -> Response {
    try_curl(server, url, arguments).unwrap_or_else(|said| panic!("no response to {url}: {said}"))
}

/// As [`curl`]; what it said where there was no response.
pub(crate) fn try_curl(server: &Server, url: &str, arguments: &[impl AsRef<OsStr>]) -> Result<Response, String> {
    let url = url.replace("${PORT}", &server.port.to_string());
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--include", "--max-time", "120", "--noproxy", "*", "--ipv4"]);
    let output = command.args(arguments).arg(&url).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|cause| panic!("curl, which the tests need: {cause}"));
    let mut response = parse(&output.stdout).ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    response.complete = output.status.success();
    Ok(response)
}

/// What `--include` writes: heads one after the other, then the body.
fn parse(mut bytes: &[u8]) -> Option<Response> {
    let (mut interim, mut hints) = (Vec::new(), Vec::new());
    loop {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head: String = bytes[..end].iter().copied().map(char::from).collect();
        bytes = &bytes[end + 4..];
        let mut lines = head.split("\r\n");
        let mut words = lines.next()?.splitn(3, ' ').skip(1);
        let status = words.next()?.parse().ok()?;
        let reason = words.next().unwrap_or_default().to_owned();
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
        if (100..200).contains(&status) {
            interim.push(status);
            hints.extend(headers);
        } else {
            let (headers, body) = (headers.collect(), bytes.to_vec());
            return Some(Response { status, reason, headers, body, complete: true, interim, hints });
        }
    }
}
