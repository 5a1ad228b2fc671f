//! Groups for tests, and a worker that does what a script says.

use super::group::{Group, Groups, Home};
use crate::board::Layout;
use crate::config::DaemonOptions;
use crate::os::memory::SharedWords;

/// Groups of these names; sockets are not there until a test says where.
pub(super) fn groups(given: Vec<(&str, DaemonOptions, Home)>) -> Groups {
    let mut columns = 0;
    let list: Vec<Group> = given
        .into_iter()
        .enumerate()
        .map(|(number, (name, options, home))| {
            let first = columns;
            columns += usize::try_from(options.processes()).unwrap();
            Group {
                number,
                name: name.into(),
                secret: [7; 32],
                sockets: (first..columns).map(|column| format!("/nonexistent/{column}").into()).collect(),
                columns: first..columns,
                options,
                home,
                script_owner: None,
            }
        })
        .collect();
    let layout = Layout::new(list.len(), columns, 4);
    Groups { list, shared: SharedWords::new(layout.words()).unwrap(), layout }
}
