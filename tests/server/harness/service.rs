//! Debian's `apachectl`, with which its unit for systemd starts, reloads and stops httpd.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::folder::Folder;
use super::httpd::Httpd;

pub(crate) struct Apachectl(PathBuf);

impl Apachectl {
    /// None, said loudly, where it is not Debian's.
    pub(crate) fn find() -> Option<Apachectl> {
        let path = PathBuf::from("/usr/sbin/apachectl");
        let debian = std::fs::read_to_string(&path).is_ok_and(|text| text.contains("APACHE_STARTED_BY_SYSTEMD"));
        if !debian {
            eprintln!("SKIPPED: {} is not there, or not Debian's", path.display());
        }
        debian.then_some(Apachectl(path))
    }

    /// Gives a command to the server in this folder: whether it was done, and what was printed.
    pub(crate) fn run(&self, root: &Folder, command: &str) -> (bool, String) {
        let printed = std::fs::File::create(root.join("logs/apachectl")).unwrap();
        let status = Command::new(&self.0)
            .arg(command)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("APACHE_STARTED_BY_SYSTEMD", "true")
            .env("APACHE_CONFDIR", root.path())
            .env("APACHE_ENVVARS", root.join("conf/envvars"))
            .env("APACHE_HTTPD", &Httpd::find().unwrap().program)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(printed.try_clone().unwrap())
            .stderr(printed)
            .status();
        (status.unwrap().success(), root.read("logs/apachectl"))
    }
}
