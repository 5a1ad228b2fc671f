//! `WSGIDaemonProcess`: a daemon process group and its options. (Being furnished.)

use serde::{Deserialize, Serialize};

/// The options of a daemon process group, as written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DaemonOptions {}
