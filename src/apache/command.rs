//! Directives: httpd's command table, built in const context, and what a directive's function sees of where it stands.
//!
//! All are RAW_ARGS: httpd hands over the rest of the line and the room `config` splits it. Runs in the single-threaded parent while it reads
//! its configuration, and on a request's thread for `.htaccess`, where the servers' records are shared and so closed.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use super::boundary::boundary;
use super::config_record::{Typed, slot};
use super::entry::{ByType, by_type};
use super::pool::{Pool, bytes};
use super::record;
use super::server::Server;
use crate::bindings as raw;

/// Where httpd allows a directive, as bits of the command table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overrides(c_int);

impl Overrides {
    /// Main server and virtual hosts, outside sections.
    pub(crate) const SERVER: Overrides = Overrides(raw::RSRC_CONF as c_int);
    /// Directory-type sections, not `.htaccess`.
    pub(crate) const SECTION: Overrides = Overrides(raw::ACCESS_CONF as c_int);
    /// Everywhere, in `.htaccess` by `AllowOverride FileInfo`.
    pub(crate) const FILE_INFO: Overrides = Overrides(raw::OR_FILEINFO as c_int);
    /// Sections, and `.htaccess` by `AllowOverride AuthConfig`.
    pub(crate) const AUTH_CONFIG: Overrides = Overrides(raw::OR_AUTHCFG as c_int);

    /// Wherever one of both allows.
    pub(crate) const fn or(self, other: Overrides) -> Overrides {
        Overrides(self.0 | other.0)
    }
}

/// One row of the table, made by `raw`.
pub(crate) type Row = raw::command_rec;

/// What every table ends with.
pub(crate) const END: Row = Row {
    name: ptr::null(),
    func: raw::cmd_func { raw_args: None },
    cmd_data: ptr::null_mut(),
    req_override: 0,
    args_how: raw::RAW_ARGS,
    errmsg: ptr::null(),
};

/// The command table: `static COMMANDS: Commands<3> = Commands::new([raw(...), raw(...), END]);`
#[repr(transparent)]
pub(crate) struct Commands<const N: usize>([Row; N]);

// SAFETY: httpd only reads a command table, and the pointers in ours are to constants.
unsafe impl<const N: usize> Sync for Commands<N> {}

impl<const N: usize> Commands<N> {
    /// # Panics
    /// When built, if the last row is not `END` (httpd would read on) or one before is.
    #[expect(clippy::panic, clippy::indexing_slicing, reason = "it ends the build, not a process")]
    pub(crate) const fn new(rows: [Row; N]) -> Commands<N> {
        let mut row = 0;
        while row < N {
            if rows[row].name.is_null() != (row + 1 == N) {
                panic!("a command table ends with `END`, and nowhere else");
            }
            row += 1;
        }
        Commands(rows)
    }

    pub(super) const fn as_ptr(&'static self) -> *const raw::command_rec {
        self.0.as_ptr()
    }
}

/// What a directive's function is: given where it stands and the rest of its line, it takes it, or says what is wrong in a
/// sentence for the administrator (httpd puts file and line before it).
pub(crate) trait Apply: Fn(&mut Command<'_>, &[u8]) -> Result<(), String> + ByType {}

impl<F: Fn(&mut Command<'_>, &[u8]) -> Result<(), String> + ByType> Apply for F {}

/// One row of the table. `help` is what `httpd -L` prints.
pub(crate) const fn raw<F: Apply>(name: &'static CStr, help: &'static CStr, overrides: Overrides, _apply: F) -> Row {
    Row {
        name: name.as_ptr(),
        func: raw::cmd_func { raw_args: Some(on_directive::<F>) },
        cmd_data: ptr::null_mut(),
        req_override: overrides.0,
        args_how: raw::RAW_ARGS,
        errmsg: help.as_ptr(),
    }
}

unsafe extern "C" fn on_directive<F: Apply>(
    parms: *mut raw::cmd_parms,
    dir: *mut c_void,
    arguments: *const c_char,
) -> *const c_char {
    boundary("directive", || {
        let Some(parms) = NonNull::new(parms) else { return c"httpd gave no directive".as_ptr() };
        let mut command = Command { raw: parms, dir, life: PhantomData };
        // SAFETY: `raw` was given a value of `F`.
        let apply = unsafe { by_type::<F>() };
        // SAFETY: httpd gives NULL or NUL-terminated text, alive for the call.
        let arguments = unsafe { bytes(arguments) }.unwrap_or_default();
        // A record laid out otherwise must not even be read: `Command` reads them.
        match record::refusal().map_or_else(|| apply(&mut command, arguments), |refusal| Err(refusal.to_owned())) {
            Ok(()) => ptr::null(),
            Err(refusal) => command.keep_text(&refusal),
        }
    })
}

/// A directive of ours where httpd has just read it.
pub(crate) struct Command<'c> {
    raw: NonNull<raw::cmd_parms>,
    /// Our record of the directory; of the server's top level outside sections.
    dir: *mut c_void,
    life: PhantomData<(&'c (), *mut ())>,
}

macro_rules! field {
    ($command:ident . $field:ident) => {{
        // SAFETY: httpd lends a live record for the call; a plain field read.
        unsafe { (*$command.raw.as_ptr()).$field }
    }};
}

impl<'c> Command<'c> {
    /// As it stands in our table.
    pub(crate) fn name(&self) -> &[u8] {
        let row = field!(self.cmd);
        if row.is_null() {
            return b"";
        }
        // SAFETY: httpd points to the row of our table that it calls.
        let name = unsafe { (*row).name };
        // SAFETY: our table holds static texts.
        unsafe { bytes(name) }.unwrap_or_default()
    }

    /// The server whose section it stands in; nothing where httpd gives none.
    pub(crate) fn server(&self) -> Option<Server<'_>> {
        let server = field!(self.server);
        // SAFETY: httpd lends a live server for the call.
        unsafe { Server::from_raw(server) }
    }

    /// Lives as long as what this directive configures.
    pub(crate) fn pool(&self) -> Option<Pool<'c>> {
        let pool = field!(self.pool);
        // SAFETY: httpd lends a live pool for the call, on this thread.
        unsafe { Pool::from_raw(pool) }
    }

    /// Gone once the configuration is read.
    pub(crate) fn temp_pool(&self) -> Option<Pool<'c>> {
        let pool = field!(self.temp_pool);
        // SAFETY: httpd lends a live pool for the call, on this thread.
        unsafe { Pool::from_raw(pool) }
    }

    /// The path, URL or pattern of the directory-type section it stands in; `None` outside such sections.
    pub(crate) fn section_path(&self) -> Option<&[u8]> {
        let path = field!(self.path);
        // SAFETY: NULL or NUL-terminated, alive for the call.
        unsafe { bytes(path) }
    }

    /// File and line it was read from.
    pub(crate) fn origin(&self) -> Option<(&[u8], u32)> {
        let directive = NonNull::new(field!(self.directive))?;
        // SAFETY: httpd's configuration tree, alive for the call.
        let file = unsafe { (*directive.as_ptr()).filename };
        // SAFETY: NUL-terminated in the tree.
        let file = unsafe { bytes(file) }?;
        // SAFETY: as above.
        let line = unsafe { (*directive.as_ptr()).line_num };
        Some((file, u32::try_from(line).ok()?))
    }

    /// The name of the section that it stands in directly, with its `<`; sections that httpd takes away when it reads them (`<IfModule>`)
    /// do not count.
    pub(crate) fn parent_name(&self) -> Option<&[u8]> {
        let directive = NonNull::new(field!(self.directive))?;
        // SAFETY: httpd's configuration tree, alive for the call.
        let parent = NonNull::new(unsafe { (*directive.as_ptr()).parent })?;
        // SAFETY: as above.
        let name = unsafe { (*parent.as_ptr()).directive };
        // SAFETY: NUL-terminated in the tree.
        unsafe { bytes(name) }
    }

    /// Has httpd read what stands in the section that this directive begins, in the same place of the configuration. Our records are lent to
    /// nobody meanwhile: `&mut self`.
    ///
    /// # Errors
    /// What httpd, or a directive's function, says of a line there.
    pub(crate) fn read_inside(&mut self) -> Result<(), String> {
        let Some(directive) = NonNull::new(field!(self.directive)) else { return Ok(()) };
        // SAFETY: httpd's configuration tree, alive for the call.
        let inside = unsafe { (*directive.as_ptr()).first_child };
        let place = field!(self.context);
        // SAFETY: the tree, and what httpd gave us for this directive.
        let refusal = unsafe { raw::ap_walk_config(inside, self.raw.as_ptr(), place) };
        // SAFETY: NULL or NUL-terminated, alive for the call.
        let refusal = unsafe { bytes(refusal) };
        refusal.map_or(Ok(()), |refusal| Err(String::from_utf8_lossy(refusal).into_owned()))
    }

    /// In a `.htaccess` file, so read for one request on its thread?
    pub(crate) fn is_htaccess(&self) -> bool {
        // SAFETY: httpd lends a live record for the call, which this only reads.
        let refusal = unsafe { raw::ap_check_cmd_context(self.raw.as_ptr(), raw::NOT_IN_HTACCESS) };
        !refusal.is_null()
    }

    /// Inside `<Limit>` or `<LimitExcept>`?
    pub(crate) fn is_limited(&self) -> bool {
        field!(self.limited) != -1
    }

    /// Our records to write into: of the directory (at a server's top level: of all in it), and of the server. The server's is closed
    /// (`None`) to `.htaccess`, since other threads read it.
    pub(crate) fn records<D, S>(&mut self) -> (Option<&mut D>, Option<&mut S>)
    where
        D: Send + Sync + 'static,
        S: Send + Sync + 'static,
    {
        let server = if self.is_htaccess() { ptr::null_mut() } else { self.server_record() };
        // SAFETY: httpd gives what `create_dir` made for this section.
        let dir = unsafe { Typed::<D>::find(self.dir) };
        let server = if server == self.dir {
            None
        } else {
            // SAFETY: httpd's slot holds what `create_server` made.
            unsafe { Typed::<S>::find(server) }
        };
        // SAFETY: one thread reads the configuration, and a `.htaccess` file's record is known to its request alone; `&mut self` lends
        // each once at a time, and they are two.
        let dir = dir.map(|mut dir| unsafe { dir.as_mut() });
        // SAFETY: as above.
        let server = server.map(|mut server| unsafe { server.as_mut() });
        (dir, server)
    }

    fn server_record(&self) -> *mut c_void {
        let Some(server) = self.server() else { return ptr::null_mut() };
        // SAFETY: a live server; a plain field read.
        let vector = unsafe { (*server.as_raw()).module_config };
        // SAFETY: httpd's vector of a live server.
        unsafe { slot(vector) }
    }

    fn keep_text(&self, text: &str) -> *const c_char {
        let kept = self.pool().and_then(|pool| pool.copy_cstring(text.replace('\0', "\\0").as_bytes()).ok());
        kept.map_or(c"refused".as_ptr(), CStr::as_ptr)
    }
}
