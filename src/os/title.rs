//! What a process is called in lists of processes.

use std::ffi::CString;

/// Names the process for `ps` and `top`: the command line as far as the one it was started with is long, and the short name (15 bytes).
/// What does not fit, or can't be changed, stays as it was. Called early, on the main thread: the memory of the arguments is written over.
pub fn set(title: &[u8]) {
    let short = title.strip_prefix(b"(").and_then(|inner| inner.strip_suffix(b")")).unwrap_or(title);
    if let Ok(short) = CString::new(short.get(..short.len().min(15)).unwrap_or_default()) {
        let _ = nix::sys::prctl::set_name(&short);
    }
    if let Some((start, end)) = arguments() {
        write_over(start, end, title);
    }
}

/// Where the kernel put the arguments (proc(5), `arg_start` and `arg_end` of `/proc/self/stat`).
fn arguments() -> Option<(usize, usize)> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is a name in parentheses that may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let start = fields.nth(48 - 3)?.parse().ok()?;
    let end = fields.next()?.parse().ok()?;
    (start > 0 && end > start).then_some((start, end))
}

fn write_over(start: usize, end: usize, title: &[u8]) {
    let length = (end - start).saturating_sub(1);
    let shown = title.get(..title.len().min(length)).unwrap_or_default();
    let place = std::ptr::with_exposed_provenance_mut::<u8>(start);
    // SAFETY: the kernel's own answer where the arguments are: writable memory of this process until it ends, which Rust's standard
    // library reads only while it copies arguments out.
    unsafe { std::ptr::write_bytes(place, 0, end - start) };
    // SAFETY: as above, and no longer than the place.
    unsafe { std::ptr::copy_nonoverlapping(shown.as_ptr(), place, shown.len()) };
}
