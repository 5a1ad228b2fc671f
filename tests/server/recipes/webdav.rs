//! WebDAV: every method of it is the application's, also where mod_dav is loaded.

use crate::access::base64;
use crate::frameworks::environment;
use crate::harness::folder::copy;
use crate::harness::httpd::tree;
use crate::harness::{Request, Response, Server, Site, wsgi_test};

/// The folder `site` with the script of `conf-examples/webdav`, its user joe, and a folder that all may write to.
pub(crate) fn files(site: Site) -> Site {
    copy(&tree().join("conf-examples/webdav"), &site.root.join("site/app"));
    std::os::unix::fs::symlink(environment(&site), site.root.join("site/venv")).unwrap();
    std::fs::create_dir(site.root.join("site/data")).unwrap();
    site.root.chmod("site/data", 0o777);
    site.load(&["dav", "dav_fs"]).file("site/users.json", r#"{"joe": "secret"}"#)
}

/// What its user sends as `Authorization`.
pub(crate) fn joe() -> String {
    format!("Basic {}", base64(b"joe:secret"))
}

const LOCK: &str = r#"<?xml version="1.0"?><D:lockinfo xmlns:D="DAV:"><D:lockscope><D:exclusive/></D:lockscope>
<D:locktype><D:write/></D:locktype><D:owner>joe</D:owner></D:lockinfo>"#;

/// A session of a client that can do all of it.
pub(crate) fn session(server: &Server) {
    let ask = |request: Request| server.ask(&request.header("Host", "shop.example").header("Authorization", &joe()));
    let new = |method: &str, path: &str| Request::new(method, path);
    let status = |request: Request| ask(request).status;
    let refused = server.ask(&new("PROPFIND", "/").header("Host", "shop.example"));
    assert_eq!((refused.status, refused.header("WWW-Authenticate").is_some()), (401, true));

    let options = ask(new("OPTIONS", "/"));
    assert_eq!((options.status, options.header("DAV")), (200, Some("1,2")));
    assert_eq!(status(new("MKCOL", "/folder")), 201);
    assert_eq!(status(new("MKCOL", "/folder")), 405);
    assert_eq!(status(new("PUT", "/folder/a.txt").body("whole")), 201);
    // As clients send it that do not know how much it will be, or wait for leave.
    assert_eq!(status(new("PUT", "/folder/b.txt").chunks(&[b"in ", b"pieces"])), 201);
    let waits = ask(new("PUT", "/folder/c.txt").header("Expect", "100-continue").body("asked first"));
    assert_eq!((waits.status, &waits.interim[..]), (201, &[100][..]));
    for (file, content) in [("a", "whole"), ("b", "in pieces"), ("c", "asked first")] {
        assert_eq!(ask(Request::get(&format!("/folder/{file}.txt"))).ok(), content);
    }
    assert_eq!(ask(Request::get("/folder/a.txt").header("Range", "bytes=1-2")).text(), "ho");

    let listed = ask(new("PROPFIND", "/folder/").header("Depth", "1"));
    assert_eq!((listed.status, listed.complete), (207, true));
    for file in ["a", "b", "c"] {
        assert!(listed.text().contains(&format!("/folder/{file}.txt</")), "{}", listed.text());
    }
    let patch = "<D:propertyupdate xmlns:D=\"DAV:\" xmlns:x=\"x:\"><D:set><D:prop><x:colour>green</x:colour></D:prop></D:set></D:propertyupdate>";
    assert_eq!(status(new("PROPPATCH", "/folder/a.txt").body(patch)), 207);
    assert!(ask(new("PROPFIND", "/folder/a.txt").header("Depth", "0")).text().contains("green"));

    locked(&ask);

    let to = |request: Request, path: &str| request.header("Destination", &format!("http://shop.example{path}"));
    assert_eq!(status(to(new("COPY", "/folder/a.txt"), "/folder/d.txt")), 201);
    assert_eq!(status(to(new("MOVE", "/folder/d.txt"), "/e f.txt".replace(' ', "%20").as_str())), 201);
    assert_eq!(ask(Request::get("/e%20f.txt")).ok(), "whole");
    assert_eq!(status(Request::get("/folder/d.txt")), 404);
    assert_eq!(status(new("DELETE", "/folder/")), 204);
    assert_eq!(status(Request::get("/folder/a.txt")), 404);
    assert_eq!(server.root.read("site/data/e f.txt"), "whole");
}

/// Who has the lock's token may write, and nobody else.
fn locked(ask: &impl Fn(Request) -> Response) {
    let put = || Request::new("PUT", "/folder/a.txt").body("whole");
    let lock = ask(Request::new("LOCK", "/folder/a.txt").header("Timeout", "Second-600").body(LOCK));
    assert_eq!(lock.status, 200, "{}", lock.text());
    let token = lock.header("Lock-Token").unwrap();
    assert_eq!(ask(put()).status, 423);
    assert_eq!(ask(put().header("If", &format!("({token})"))).status, 204);
    assert_eq!(ask(Request::new("UNLOCK", "/folder/a.txt").header("Lock-Token", token)).status, 204);
    assert_eq!(ask(put()).status, 204);
}

wsgi_test!(webdav_is_the_applications_in_both_modes, |site| {
    let site = files(site).conf("WSGIPythonHome ${ROOT}/site/venv").conf("WSGIScriptAlias / ${ROOT}/site/app/app.wsgi");
    let site = site.conf("WSGIPassAuthorization On\nWSGIChunkedRequest On\nLimitRequestBody 100000");
    let server = site.conf("<Directory ${ROOT}/site/app>\n  Require all granted\n</Directory>").start();
    session(&server);
    let large = Request::new("PUT", "/large").header("Authorization", &joe()).body(vec![0; 100_001]);
    assert_eq!(server.ask(&large).status, 413);
    assert!(!server.root.join("site/data/large").exists());
});
