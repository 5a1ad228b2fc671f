//! What httpd calls: thin functions that hand on to the room that knows.
//!
//! `record` exports the module and its directives; here are the hooks. In which process each runs is said in `apache::hook`.

mod commands;
mod record;

pub(crate) use record::record;

use crate::apache::hook::{self, Startup};
use crate::apache::{Answer, Names, Place, Pool, Request, Server, Started, authn_provider, authz_provider, server};
use crate::front;
use crate::{access, embedded, proxy, python};

static ALIAS: Names<1> = Names::new([c"mod_alias.c"]);
static OTHER_MAPPERS: Names<2> = Names::new([c"mod_userdir.c", c"mod_vhost_alias.c"]);

static TLS: Names<1> = Names::new([c"mod_ssl.c"]);
static HOST_RULES: Names<2> = Names::new([c"mod_authz_host.c", c"mod_access_compat.c"]);

fn register(pool: Pool<'_>) {
    hook::post_config(post_config, Place::MIDDLE);
    hook::check_config(proxy::check, Place::MIDDLE);
    hook::test_config(proxy::advise_test, Place::MIDDLE);
    hook::monitor(proxy::monitor, Place::MIDDLE);
    hook::child_init(child_init, Place::MIDDLE);
    hook::child_stopping(proxy::stopping, Place::MIDDLE);
    // An `Alias` beside a WSGI application mounted at the root keeps its URLs (reference 3.2).
    hook::translate_name(front::translate, Place::MIDDLE.after(&ALIAS).before(&OTHER_MAPPERS));
    hook::check_access(access::check_access, Place::MIDDLE.after(&TLS).before(&HOST_RULES));
    authn_provider(pool, c"wsgi", access::check_password, access::realm_hash);
    authz_provider(pool, c"wsgi-group", access::is_member);
    hook::fixups(front::before_handler, Place::LAST);
    hook::handler(handle, Place::MIDDLE);
}

/// Answers a request, here or in a daemon process.
fn handle(request: &mut Request<'_>) -> Answer {
    let visit = front::admit(request).and_then(|admitted| {
        let chosen = access::dispatch(request, &admitted)?;
        front::visit(request, admitted, chosen)
    });
    let answer = match visit {
        Ok(visit) if visit.process_group.is_empty() => embedded::serve(request, &visit),
        Ok(visit) => proxy::serve(request, &visit, embedded::scoreboard),
        Err(answer) => {
            front::expect_nothing();
            return answer;
        }
    };
    front::expect_next(request, python::was_quick());
    answer
}

/// The parent, with the configuration read and logs open.
fn post_config(startup: &Startup<'_>) -> Started {
    server::add_version_component(startup.pools.config, TOKEN);
    server::add_version_component(startup.pools.config, PYTHON_TOKEN);
    proxy::advise(startup);
    proxy::prepare(startup)
}

/// A child begins, before it serves.
fn child_init(pool: Pool<'_>, main_server: &Server<'_>) {
    proxy::start(pool, main_server);
    embedded::start(pool, main_server);
}

/// What `ServerTokens Full` shows of us.
const TOKEN: &std::ffi::CStr = token(concat!("mod_wsgi-rs/", env!("CARGO_PKG_VERSION"), "\0"));
const PYTHON_TOKEN: &std::ffi::CStr = token(concat!("Python/", env!("WSGI_PYTHON_VERSION"), "\0"));

#[expect(clippy::panic, reason = "it ends the build, not a process")]
const fn token(text: &'static str) -> &'static std::ffi::CStr {
    match std::ffi::CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(token) => token,
        Err(_) => panic!("a token ends with its only NUL"),
    }
}
