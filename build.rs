//! Builds what the module needs from the system: bindings to httpd and APR, the C shim, the link to libpython.
//!
//! Reads as steps. Whatever is missing ends the build with one sentence that names the package to install.
//! Without the `module` feature there is nothing to find: the pure rooms build with a Rust compiler alone.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-env=WSGI_LANGUAGE={:016x}", language());
    match find() {
        Ok(()) => ExitCode::SUCCESS,
        Err(missing) => {
            println!("cargo::error={missing}");
            ExitCode::FAILURE
        }
    }
}

/// One sentence for whoever builds: what is missing and what to install.
type Missing = String;

fn find() -> Result<(), Missing> {
    #[cfg(feature = "worker")]
    python::build()?;
    #[cfg(feature = "module")]
    module::build()?;
    Ok(())
}

/// What module and programs must have in common: a digest (FNV-1a) of the sources of all that passes between them.
fn language() -> u64 {
    let mut files: Vec<PathBuf> = ["daemon", "interpreter"].map(|name| format!("src/config/{name}.rs").into()).into();
    files.iter().for_each(|file| println!("cargo:rerun-if-changed={}", file.display()));
    for room in ["src/wire", "src/board"] {
        println!("cargo:rerun-if-changed={room}");
        files.extend(fs::read_dir(room).into_iter().flatten().flatten().map(|entry| entry.path()));
    }
    files.sort();
    let bytes = files.into_iter().filter_map(|file| fs::read(file).ok()).flatten();
    bytes.fold(0xcbf2_9ce4_8422_2325, |digest, byte| (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(feature = "worker")]
mod python {
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;
    use std::process::Command;

    use super::Missing;

    /// The Python that `PYO3_PYTHON` names (Debian's by `.cargo/config.toml`): it must come with a shared libpython, but for what Python's
    /// own executable runs.
    pub(super) fn build() -> Result<(), Missing> {
        println!("cargo:rerun-if-env-changed=PYO3_PYTHON");
        let python = pyo3_build_config::get();
        pyo3_build_config::use_pyo3_cfgs();
        let version = python.version();
        // `config::OLDEST_PYTHON`.
        if (version.major, version.minor) < (3, 11) {
            return Err(format!(
                "Python {version} is too old, 3.11 is the first that can be used: set PYO3_PYTHON to a later one (Debian: /usr/bin/python3 with python3-dev)."
            ));
        }
        println!("cargo:rustc-env=WSGI_PYTHON_VERSION={}", python.version());
        println!("cargo:rustc-env=WSGI_PYTHON_EXECUTABLE={}", python.executable().unwrap_or_default());
        println!("cargo:rustc-env=WSGI_PYTHON_RELEASE={}", release(python).unwrap_or_default());
        if cfg!(feature = "hosted") {
            return hosted();
        }
        if python.shared() {
            // By its full path where the system's loader would not find it.
            pyo3_build_config::add_libpython_rpath_link_args();
            return Ok(());
        }
        Err(format!(
            "Python {} was built without a shared libpython, which a module of httpd must link: set PYO3_PYTHON to one that has it (Debian: /usr/bin/python3 with python3-dev).",
            python.version()
        ))
    }

    /// With patch level; and by what to know that the interpreter is still the one of the build: size in bytes, and when it was changed,
    /// which packages bring along.
    fn release(python: &pyo3_build_config::InterpreterConfig) -> Option<String> {
        let executable = python.executable()?;
        println!("cargo:rerun-if-changed={executable}");
        let ask = ["-I", "-c", "import platform; print(platform.python_version())"];
        let said = Command::new(executable).args(ask).output().ok().filter(|said| said.status.success())?;
        let found = fs::metadata(executable).ok()?;
        Some(format!("{} {} {}", String::from_utf8(said.stdout).ok()?.trim(), found.len(), found.mtime()))
    }

    /// Python's executable brings Python along.
    fn hosted() -> Result<(), Missing> {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,mod_wsgi-worker.so");
        let told = std::env::var_os("PYO3_BUILD_EXTENSION_MODULE").is_some();
        let untold = "Set PYO3_BUILD_EXTENSION_MODULE=1 for the feature `hosted`: it must not link libpython.";
        if told { Ok(()) } else { Err(untold.to_owned()) }
    }
}

#[cfg(feature = "module")]
mod module {
    use std::path::PathBuf;
    use std::process::Command;
    use std::{env, fs};

    use super::Missing;

    pub(super) fn build() -> Result<(), Missing> {
        let httpd = find_httpd()?;
        bind(&httpd)?;
        compile_shim(&httpd)?;
        // httpd's symbols stay open until LoadModule.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,mod_wsgi.so");
        Ok(())
    }

    /// Where httpd's and APR's headers are, as compiler flags.
    struct Httpd {
        flags: Vec<String>,
    }

    /// Asks `apxs` (or `APXS`) for httpd's headers and `apr-1-config` for APR's and the flags both were compiled with.
    fn find_httpd() -> Result<Httpd, Missing> {
        println!("cargo:rerun-if-env-changed=APXS");
        let apxs = env::var("APXS").unwrap_or_else(|_| "apxs".to_owned());
        let ask = |name: &str| {
            answer(&apxs, &["-q", name]).ok_or_else(|| {
                format!("`{apxs} -q {name}` gives no answer: install httpd's development files (Debian: apache2-dev), or set APXS to the path of apxs.")
            })
        };
        let include = ask("INCLUDEDIR")?;
        let apr_config = ask("APR_CONFIG").unwrap_or_else(|_| "apr-1-config".to_owned());
        let apr = answer(&apr_config, &["--includes", "--cppflags"]).ok_or_else(|| {
            format!("`{apr_config} --includes` gives no answer: install APR's development files (Debian: libapr1-dev).")
        })?;
        let apu_config = ask("APU_CONFIG").unwrap_or_else(|_| "apu-1-config".to_owned());
        let apu = answer(&apu_config, &["--includes"]).ok_or_else(|| {
            format!("`{apu_config} --includes` gives no answer: install APR-util's development files (Debian: libaprutil1-dev).")
        })?;
        if !PathBuf::from(&include).join("httpd.h").is_file() {
            return Err(format!(
                "{include}/httpd.h is not there: install httpd's development files (Debian: apache2-dev)."
            ));
        }
        println!("cargo:rustc-env=WSGI_LIBEXECDIR={}", ask("LIBEXECDIR")?);
        let mut flags = vec![format!("-I{include}")];
        flags.extend(apr.split_whitespace().chain(apu.split_whitespace()).map(str::to_owned));
        Ok(Httpd { flags })
    }

    /// Rust declarations for what `apache-headers/wrapper.h` includes, as far as the allowlist goes.
    fn bind(httpd: &Httpd) -> Result<(), Missing> {
        println!("cargo:rerun-if-changed=apache-headers/wrapper.h");
        println!("cargo:rerun-if-changed=apache-headers/shim.h");
        if let Err(cause) = load_libclang() {
            return Err(format!(
                "libclang, which reads httpd's headers, can't be loaded ({cause}): install it (Debian: libclang1-14 libclang-common-14-dev)."
            ));
        }
        let bindings = bindgen::Builder::default()
            .header("apache-headers/wrapper.h")
            .clang_args(&httpd.flags)
            .allowlist_function("(ap|apr|wsgi_shim)_.*")
            .allowlist_type("(ap|apr|authn|authz|module|request_rec|server_rec|conn_rec|process_rec|cmd|command|unixd_config_rec|global_score|process_score|worker_score).*")
            .allowlist_var("(ap_|apr_|AP_|APR_|APLOG_|MODULE_MAGIC|AUTH_|AUTHN_|AUTHZ_|SATISFY_|REMOTE_|M_|HTTP_|OK|DECLINED|DONE|OR_|RSRC_CONF|ACCESS_CONF|EXEC_ON_READ|OPT_|REQUEST_|NOT_IN_|GLOBAL_ONLY|SERVER_|core_module).*")
            .default_enum_style(bindgen::EnumVariation::Consts)
            .prepend_enum_name(false)
            .derive_debug(false)
            .generate_comments(false)
            .layout_tests(true)
            .wrap_unsafe_ops(true)
            .generate()
            .map_err(|cause| format!("httpd's headers can't be read: {cause}"))?;
        let out = out_dir()?.join("httpd.rs");
        bindings.write_to_file(&out).map_err(|cause| format!("{} can't be written: {cause}", out.display()))
    }

    /// bindgen panics where libclang is missing; ask for it first.
    fn load_libclang() -> Result<(), String> {
        std::panic::catch_unwind(|| bindgen::clang_version().full)
            .map(|_| ())
            .map_err(|_| "no libclang found".to_owned())
    }

    /// What C macros and inline functions hide (`apache-headers/shim.c`).
    fn compile_shim(httpd: &Httpd) -> Result<(), Missing> {
        println!("cargo:rerun-if-changed=apache-headers/shim.c");
        let mut shim = cc::Build::new();
        shim.file("apache-headers/shim.c")
            .warnings(true)
            .extra_warnings(true)
            .flag_if_supported("-Wno-unused-parameter");
        for flag in &httpd.flags {
            shim.flag(flag);
        }
        shim.try_compile("wsgi_shim")
            .map_err(|cause| format!("apache-headers/shim.c can't be compiled, is gcc installed? {cause}"))
    }

    fn out_dir() -> Result<PathBuf, Missing> {
        let dir = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set: build with cargo.")?);
        fs::create_dir_all(&dir).map_err(|cause| format!("{} can't be made: {cause}", dir.display()))?;
        Ok(dir)
    }

    /// What a program prints, trimmed; nothing where it is missing, fails or prints nothing.
    fn answer(program: &str, arguments: &[&str]) -> Option<String> {
        let output = Command::new(program).args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        (output.status.success() && !text.is_empty()).then_some(text)
    }
}
