//! C extensions in several interpreters of one process.

use std::path::Path;
use std::process::Command;

use crate::frameworks::environment;
use crate::harness::{Site, wsgi_test};

/// Two applications, `/one` and `/two`, of one script that imports `module` with its first request.
fn twice(site: Site, module: &str) -> Site {
    let script = format!(
        "def application(environ, start_response):\n    import {module} as module\n    start_response('200 OK', [])\n    return [module.__name__.encode()]\n"
    );
    let site = site.file("apps/twice/app.wsgi", script).file("built/readme", "");
    let home = environment(&site);
    site.conf(&format!("WSGIPythonHome {}\nWSGIPythonPath ${{ROOT}}/built", home.display()))
        .daemon("processes=1 threads=4 python-path=${ROOT}/built")
        .conf("WSGIScriptAlias /one ${APPS}/twice/app.wsgi\nWSGIScriptAlias /two ${APPS}/twice/app.wsgi")
}

/// Compiles an extension module into `built/` of the site.
fn build(site: Site, name: &str, init: &str) -> Site {
    let source = format!(
        "#include <Python.h>\nstatic int nothing(PyObject *module) {{ return 0; }}\nPyMODINIT_FUNC PyInit_{name}(void)\n{{\n{init}\n}}\n"
    );
    let site = site.file(&format!("built/{name}.c"), source);
    let folder = site.root.join("built");
    let headers = answer(
        Command::new(environment(&site).join("bin/python"))
            .args(["-c", "import sysconfig; print(sysconfig.get_paths()['include'])"]),
    );
    let include = format!("-I{}", headers.trim());
    answer(Command::new("cc").current_dir(&folder).args([
        "-shared",
        "-fPIC",
        &include,
        "-o",
        &format!("{name}.so"),
        &format!("{name}.c"),
    ]));
    assert!(Path::new(&folder.join(format!("{name}.so"))).is_file());
    site
}

fn answer(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Asks both applications and then both again; how many warnings there are at the end.
fn warnings(site: Site, module: &str) -> usize {
    let server = site.start();
    for target in ["/one", "/two", "/one", "/two"] {
        assert_eq!(server.get(target).ok(), module);
    }
    // A request ends for its client before it does for the server; the next one of its kind comes behind it.
    let found = |text: &str| text.matches("WSGI0600").count();
    if found(&server.log_text()) == 0 {
        return 0;
    }
    let line = server.wait_log("WSGI0600").message;
    let port = server.port;
    let (one, two) = (format!("localhost:{port}|/one"), format!("localhost:{port}|/two"));
    for text in [&format!("\"{module}\""), &one, &two, ".so", "application-group=%{GLOBAL}"] {
        assert!(line.contains(text), "no {text} in {line}");
    }
    found(&server.log_text())
}

wsgi_test!(an_extension_of_pyo3_in_two_interpreters_is_named_once, |site| {
    assert_eq!(warnings(twice(site, "rpds").expect_log("WSGI0600"), "rpds"), 1);
});

wsgi_test!(an_extension_of_cython_that_refuses_a_second_interpreter_itself_is_not_named, |site| {
    assert_eq!(warnings(twice(site, "msgpack"), "msgpack"), 0);
});

wsgi_test!(an_extension_made_in_the_old_way_is_named, |site| {
    let old = "static struct PyModuleDef old = {PyModuleDef_HEAD_INIT, \"old_way\", NULL, -1};\nreturn PyModule_Create(&old);";
    let site = build(twice(site, "old_way"), "old_way", old);
    assert_eq!(warnings(site.expect_log("WSGI0600"), "old_way"), 1);
});

const NEW: &str = "static PyModuleDef_Slot slots[] = {{Py_mod_exec, nothing}, {0, NULL}};\nstatic struct PyModuleDef new = {PyModuleDef_HEAD_INIT, \"new_way\", NULL, 0, NULL, slots};\nreturn PyModuleDef_Init(&new);";

wsgi_test!(an_extension_that_is_made_anew_for_each_interpreter_is_not_named, |site| {
    assert_eq!(warnings(build(twice(site, "new_way"), "new_way", NEW), "new_way"), 0);
});

wsgi_test!(an_extension_that_a_tool_has_written_is_named, |site| {
    let cython =
        NEW.replacen("static", "static volatile const char tool[] = \"cython_runtime\";\n(void)tool[0];\nstatic", 1);
    let site = build(twice(site, "new_way"), "new_way", &cython);
    assert_eq!(warnings(site.expect_log("WSGI0600"), "new_way"), 1);
});

wsgi_test!(an_extension_in_one_interpreter_is_not_named, |site| {
    assert_eq!(warnings(twice(site, "rpds").conf("WSGIApplicationGroup %{GLOBAL}"), "rpds"), 0);
});
