//! A site before it is started: applications laid out in a folder and the lines of configuration a test adds.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::folder::{self, Folder};
use super::httpd::{Httpd, tree};
use super::log;
use super::server::Parent;
use super::service::Apachectl;
use super::{Mpm, Server, Setting, until};

/// Modules that nearly every site loads; a test asks for others with [`Site::load`].
const MODULES: [&str; 10] =
    ["unixd", "log_config", "authn_core", "authz_core", "authz_host", "mime", "dir", "alias", "env", "setenvif"];

/// What a test configures. `${ROOT}`, `${APPS}`, `${PORT}` and `${TREE}` are defined for its lines.
pub(crate) struct Site {
    pub(crate) setting: Setting,
    pub(crate) httpd: &'static Httpd,
    pub(crate) root: Folder,
    load: String,
    lines: String,
    environment: Vec<(String, String)>,
    announced: Vec<String>,
    children: Option<u32>,
    threads: u32,
    daemon: String,
    unprivileged: bool,
    single: bool,
    standalone: Option<&'static str>,
    defines: Vec<(&'static str, String)>,
    /// Where another copy of the module is, below the site's root.
    module: Option<String>,
    within: Vec<String>,
}

impl Site {
    /// None where there is no httpd to start.
    pub(crate) fn new(name: &str, setting: Setting) -> Option<Site> {
        Some(Site {
            setting,
            httpd: Httpd::find()?,
            root: Folder::new(name),
            load: String::new(),
            lines: String::new(),
            environment: Vec::new(),
            announced: Vec::new(),
            children: None,
            threads: 8,
            daemon: "processes=1 threads=4".to_owned(),
            unprivileged: false,
            single: false,
            standalone: None,
            defines: Vec::new(),
            module: None,
            within: Vec::new(),
        })
    }

    /// Puts `tests/apps/<name>` at the root of the site.
    pub(crate) fn app(self, name: &str) -> Site {
        self.mount("/", name)
    }

    /// Puts `tests/apps/<name>` at `url`.
    pub(crate) fn mount(self, url: &str, name: &str) -> Site {
        self.mount_with(url, name, "")
    }

    /// As [`Site::mount`], with options of `WSGIScriptAlias`.
    pub(crate) fn mount_with(self, url: &str, name: &str, options: &str) -> Site {
        let line = format!("WSGIScriptAlias {url} ${{APPS}}/{name}/app.wsgi {options}");
        self.files(name).conf(&line)
    }

    /// Copies `tests/apps/<name>` to `${APPS}/<name>` without a mount.
    pub(crate) fn files(self, name: &str) -> Site {
        folder::copy(&tree().join("tests/apps").join(name), &self.root.join("apps").join(name));
        self
    }

    /// Writes a file below the site's root.
    pub(crate) fn file(self, path: &str, content: impl AsRef<[u8]>) -> Site {
        self.root.write(path, content);
        self
    }

    /// Adds lines to the configuration.
    pub(crate) fn conf(mut self, lines: &str) -> Site {
        self.lines.push_str(lines);
        self.lines.push('\n');
        self
    }

    /// Loads more of httpd's modules, named as in `rewrite`.
    pub(crate) fn load(mut self, names: &[&str]) -> Site {
        for name in names {
            let line = self.httpd.load(name);
            self.load.push_str(&line);
        }
        self
    }

    /// Loads a module of another file name than httpd's own have. None, said loudly, where there is none that begins and ends so.
    pub(crate) fn load_other(mut self, name: &str, begin: &str, end: &str) -> Option<Site> {
        let files = fs::read_dir(&self.httpd.modules).unwrap().flatten().map(|entry| entry.path());
        let found = files.into_iter().find(|path| {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            file.starts_with(begin) && file.ends_with(end)
        });
        let Some(path) = found else {
            eprintln!("SKIPPED: no {begin}*{end} beside httpd's modules");
            return None;
        };
        writeln!(self.load, "LoadModule {name}_module \"{}\"", path.display()).unwrap();
        Some(self)
    }

    /// Loads the module under test before the others that the test has asked for so far.
    pub(crate) fn load_late(mut self) -> Site {
        let late = std::mem::take(&mut self.load);
        self.conf(&late)
    }

    /// Sets a variable in httpd's own environment.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Site {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Announces a line of the log of level warn or worse, by a part of it; it must come.
    pub(crate) fn expect_log(mut self, text: &str) -> Site {
        self.announced.push(text.to_owned());
        self
    }

    /// Number of child processes (default: 1, and 4 under prefork).
    pub(crate) fn children(mut self, number: u32) -> Site {
        self.children = Some(number);
        self
    }

    /// Threads of each child (default: 8; prefork has one).
    pub(crate) fn threads(mut self, number: u32) -> Site {
        self.threads = number;
        self
    }

    /// Options of the daemon process group `site` (default: `processes=1 threads=4`).
    pub(crate) fn daemon(mut self, options: &str) -> Site {
        options.clone_into(&mut self.daemon);
        self
    }

    /// Defines a daemon process group.
    pub(crate) fn group(self, name: &str, options: &str) -> Site {
        self.conf(&format!("WSGIDaemonProcess {name} {options}"))
    }

    /// Where the tests are run by root: starts httpd as the user that its children would be.
    pub(crate) fn unprivileged(mut self) -> Site {
        self.unprivileged = true;
        self
    }

    /// Loads a copy of the module that is in the site.
    pub(crate) fn module(mut self, path: &str) -> Site {
        self.module = Some(path.to_owned());
        self
    }

    /// Starts httpd with `-X`: one process, no child.
    pub(crate) fn single(mut self) -> Site {
        self.single = true;
        self
    }

    /// Starts httpd through another program, which gets httpd's command line behind these words and must become it.
    pub(crate) fn within(mut self, words: &[&str]) -> Site {
        self.within = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// Copies module and programs into `modules/`, where [`Folder::renew_module`] can replace them.
    pub(crate) fn own_module(mut self) -> Site {
        self.module = Some("modules/mod_wsgi.so".to_owned());
        let folder = self.httpd.wsgi.parent().unwrap();
        fs::create_dir(self.root.join("modules")).unwrap();
        fs::copy(&self.httpd.wsgi, self.root.join("modules/mod_wsgi.so")).unwrap();
        for program in ["mod_wsgi-supervisor", "mod_wsgi-worker", "mod_wsgi-worker.so"] {
            fs::copy(folder.join(program), self.root.join("modules").join(program)).unwrap();
        }
        self
    }

    /// Uses a complete configuration of `conf-examples/` instead of the harness's own; `${APP}` is the demo.
    pub(crate) fn standalone(mut self, name: &'static str) -> Site {
        self.standalone = Some(name);
        self
    }

    /// A variable of that configuration.
    pub(crate) fn define(mut self, name: &'static str, value: &Path) -> Site {
        self.defines.push((name, value.display().to_string()));
        self
    }

    /// Starts httpd and waits until it serves.
    pub(crate) fn start(self) -> Server {
        self.try_start().unwrap_or_else(|text| panic!("httpd did not start:\n{text}"))
    }

    /// As [`Site::start`]; what httpd wrote where it ends instead.
    pub(crate) fn try_start(self) -> Result<Server, String> {
        let mut port = free_port();
        loop {
            self.write_configuration(port);
            let mut command = self.command(port);
            // At its end httpd signals its whole process group, so it must not be ours.
            command.args(if self.single { &["-X"][..] } else { &["-D", "FOREGROUND"] });
            command.process_group(0).stdin(Stdio::null());
            command.stdout(File::create(self.root.join("logs/stdout")).unwrap());
            command.stderr(File::create(self.root.join("logs/stderr")).unwrap());
            if self.unprivileged {
                self.give_up_privileges(&mut command);
            }
            let child = command.spawn().unwrap();
            // With -X it does not say that it serves.
            let serves = || self.single && TcpStream::connect(("127.0.0.1", port)).is_ok();
            match Server::wait_for(child, &self.root, serves) {
                Ok(child) => return Ok(Server::new(Parent::Own(child), self.root, port, self.announced)),
                Err(text) if text.contains("Address already in use") => port = free_port(),
                Err(text) => return Err(text),
            }
        }
    }

    /// Starts httpd as Debian's unit for systemd does, by `apachectl`, which leaves it to itself.
    pub(crate) fn start_by(self, apachectl: &Apachectl) -> Server {
        let user = self.httpd.user.as_ref().map_or_else(|| "$(id -un)".to_owned(), |(user, _)| user.clone());
        let root = self.root.path().display();
        let lines = [
            format!("APACHE_RUN_USER={user}"),
            format!("APACHE_RUN_DIR={root}/run"),
            format!("APACHE_LOCK_DIR={root}/lock"),
            "APACHE_ARGUMENTS='-f conf/httpd.conf'".to_owned(),
            "LANG=C".to_owned(),
        ];
        self.root.write("conf/envvars", lines.map(|line| format!("export {line}\n")).concat());
        loop {
            let port = free_port();
            self.write_configuration(port);
            let (done, said) = apachectl.run(&self.root, "start");
            if !done {
                let text = said + &self.root.read("logs/error.log");
                assert!(text.contains("Address already in use"), "{text}");
                continue;
            }
            let id = until("httpd to serve", || {
                let serves = self.root.read("logs/error.log").contains(super::server::SERVING);
                self.root.read("run/httpd.pid").trim().parse().ok().filter(|_| serves)
            });
            return Server::new(Parent::Other(id), self.root, port, self.announced);
        }
    }

    fn give_up_privileges(&self, command: &mut Command) {
        let Some((name, _)) = &self.httpd.user else { return };
        let user = nix::unistd::User::from_name(name).unwrap().unwrap();
        let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
        for folder in ["logs", "run", "logs/stdout", "logs/stderr"] {
            std::os::unix::fs::chown(self.root.join(folder), Some(uid), Some(gid)).unwrap();
        }
        command.uid(uid).gid(gid);
    }

    /// Runs `httpd -t`: whether it passed and all it printed.
    pub(crate) fn test(&self) -> (bool, String) {
        let port = free_port();
        self.write_configuration(port);
        let Output { status, stdout, stderr } = self.command(port).arg("-t").output().unwrap();
        (status.success(), format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)))
    }

    fn command(&self, port: u16) -> Command {
        let mut command = match self.within.split_first() {
            None => Command::new(&self.httpd.program),
            Some((program, words)) => {
                let mut command = Command::new(program);
                command.args(words).arg(&self.httpd.program);
                command
            }
        };
        command.arg("-d").arg(self.root.path());
        match self.standalone {
            None => command.args(["-f", "conf/httpd.conf"]),
            Some(name) => {
                let root = self.root.path().display();
                let mut define = |name: &str, value: String| {
                    command.args(["-C", &format!("Define {name} \"{value}\"")]);
                };
                define("MODULES", self.httpd.modules.display().to_string());
                define("WSGI", self.httpd.wsgi.display().to_string());
                define("RUN", format!("{root}/run"));
                define("LOG", format!("{root}/logs/error.log"));
                define("APP", format!("{root}/apps/demo/app.wsgi"));
                define("PORT", port.to_string());
                if let Some((user, _)) = &self.httpd.user {
                    define("SERVER_USER", user.clone());
                }
                for (name, value) in &self.defines {
                    define(name, value.clone());
                }
                command.arg("-f").arg(tree().join("conf-examples").join(name))
            }
        };
        command
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LANG", "C");
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    fn write_configuration(&self, port: u16) {
        let mut text = String::new();
        let root = self.root.path().display();
        writeln!(text, "Define ROOT {root}\nDefine APPS {root}/apps\nDefine PORT {port}").unwrap();
        writeln!(text, "Define TREE {}", tree().display()).unwrap();
        writeln!(text, "ServerRoot {root}\nServerName localhost\nListen 127.0.0.1:{port}").unwrap();
        writeln!(text, "PidFile run/httpd.pid\nDefaultRuntimeDir run\nErrorLog logs/error.log").unwrap();
        // Where `ulimit -c` allows it, a child that crashes leaves its core in the folder of the failed test.
        writeln!(text, "CoreDumpDirectory {root}/var").unwrap();
        writeln!(text, "ErrorLogFormat \"{}\"\nLogLevel info", log::FORMAT).unwrap();
        text.push_str(&self.httpd.load(&format!("mpm_{}", self.setting.mpm.name())));
        for name in MODULES {
            text.push_str(&self.httpd.load(name));
        }
        text.push_str(&self.load);
        if let Some((user, group)) = &self.httpd.user {
            writeln!(text, "User {user}\nGroup {group}").unwrap();
        }
        text.push_str(&self.processes());
        self.root.write("conf/mime.types", "text/html html\ntext/plain txt\ntext/css css\n");
        writeln!(text, "TypesConfig conf/mime.types").unwrap();
        writeln!(text, "Timeout 60\nKeepAliveTimeout 30\nMaxKeepAliveRequests 0\nDocumentRoot htdocs").unwrap();
        text.push_str("<Directory />\n  AllowOverride None\n  Require all denied\n</Directory>\n");
        text.push_str("<Directory ${ROOT}/htdocs>\n  Require all granted\n</Directory>\n");
        text.push_str("<Directory ${APPS}>\n  Require all granted\n</Directory>\n");
        let module = self.module.as_ref().map_or_else(|| self.httpd.wsgi.clone(), |path| self.root.join(path));
        writeln!(text, "LoadModule wsgi_module \"{}\"", module.display()).unwrap();
        text.push_str(&self.setting.lines(&self.daemon));
        text.push_str(&self.lines);
        self.root.write("conf/httpd.conf", text);
    }

    fn processes(&self) -> String {
        let threads = self.threads;
        if self.setting.mpm == Mpm::Prefork {
            let children = self.children.unwrap_or(4);
            let limit = children * 4;
            return format!(
                "StartServers {children}\nMinSpareServers 1\nMaxSpareServers {children}\nServerLimit {limit}\nMaxRequestWorkers {children}\n"
            );
        }
        let children = self.children.unwrap_or(1);
        // Children that finish gracefully need places of their own beside the new ones.
        let limit = children * 4;
        let all = children * threads;
        let spare = all + threads + 1;
        format!(
            "StartServers {children}\nServerLimit {limit}\nThreadsPerChild {threads}\nThreadLimit {threads}\nMinSpareThreads 1\nMaxSpareThreads {spare}\nMaxRequestWorkers {all}\n"
        )
    }
}

/// A port of the loopback interface that the kernel says is free; if somebody is quicker, `start` takes another.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
