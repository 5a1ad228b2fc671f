//! Which groups a request may use: those of the main server, of its own virtual host, and of hosts of the same name.

use super::failure::Failure;
use super::group::{Group, Groups};

/// Where a request came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker<'a> {
    /// Where httpd's record of its server lies.
    pub(super) address: usize,
    /// `ServerName`.
    pub(super) name: Option<&'a [u8]>,
}

/// The group of this name, if requests of this server may use it.
///
/// # Errors
/// There is none, or it is another host's.
pub(super) fn permitted<'g>(groups: Option<&'g Groups>, name: &[u8], asker: Asker<'_>) -> Result<&'g Group, Failure> {
    let group = || name.to_vec();
    let Some(groups) = groups.filter(|groups| !groups.list.is_empty()) else {
        return Err(Failure::NoGroups { group: group() });
    };
    let found = groups.find(name).ok_or_else(|| Failure::UnknownGroup { group: group() })?;
    let home = &found.home;
    let open = home.is_main || home.address == asker.address || home.name.as_deref() == asker.name;
    if !open {
        return Err(Failure::ForeignGroup { group: group() });
    }
    if found.options.threads() == 0 {
        return Err(Failure::NoThreads { group: group() });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DaemonOptions;
    use crate::proxy::group::Home;
    use crate::proxy::testing::groups;

    fn ask(groups: Option<&Groups>, name: &str, address: usize, host: &str) -> Result<(), String> {
        let asker = Asker { address, name: Some(host.as_bytes()) };
        permitted(groups, name.as_bytes(), asker)
            .map(|group| assert_eq!(group.name, name.as_bytes()))
            .map_err(|failure| failure.to_string().split(':').next().unwrap().to_owned())
    }

    #[test]
    fn a_group_is_open_to_its_own_host_to_its_namesakes_and_from_the_main_server_to_all() {
        let home = |address: usize, is_main| Home {
            address,
            is_main,
            name: Some(format!("h{address}").into_bytes()),
            ..Home::default()
        };
        let none = DaemonOptions { threads: Some(0), ..DaemonOptions::default() };
        let groups = groups(vec![
            ("main", DaemonOptions::default(), home(1, true)),
            ("two", DaemonOptions::default(), home(2, false)),
            ("service", none, home(1, true)),
        ]);
        let groups = Some(&groups);
        assert_eq!(ask(groups, "main", 3, "h3"), Ok(()));
        assert_eq!(ask(groups, "two", 2, "h2"), Ok(()));
        assert_eq!(ask(groups, "two", 3, "h2"), Ok(()));
        assert_eq!(ask(groups, "two", 3, "H2"), Err("WSGI0152".to_owned()));
        assert_eq!(ask(groups, "Main", 1, "h1"), Err("WSGI0151".to_owned()));
        assert_eq!(ask(groups, "service", 1, "h1"), Err("WSGI0360".to_owned()));
        assert_eq!(ask(None, "main", 1, "h1"), Err("WSGI0150".to_owned()));
    }
}
