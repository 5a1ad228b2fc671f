//! The thread that waits for the interpreter lock on behalf of others, who must not: the probe of `deadlock-timeout`, interruptions,
//! stacks for the log.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use super::log;
use super::process::Process;
use crate::python::Runtime;
use crate::supervise::worker::Active;
use crate::wsgi::Level;

/// What needs the lock.
pub(super) enum Order {
    Interrupt(Active),
    /// With who waits until it is done, or is not to be.
    Dump(Active, Sender<()>),
}

const PROBE: Duration = Duration::from_secs(1);

/// The thread's life.
pub(super) fn run(process: &'static Process, orders: &Receiver<Order>) {
    let probes = process.limits.deadlock.is_some();
    loop {
        let order =
            if probes { orders.recv_timeout(PROBE) } else { orders.recv().map_err(|_| RecvTimeoutError::Disconnected) };
        match order {
            Ok(order) => carry_out(process, &order),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if probes && Runtime::running().is_some_and(|runtime| runtime.probe().is_ok()) {
            process.requests.alive();
        }
    }
}

fn carry_out(process: &Process, order: &Order) {
    let (Order::Interrupt(active) | Order::Dump(active, _)) = order;
    let Some((running, group)) = process.requests.slot(active.thread).and_then(|slot| slot.running()) else { return };
    match order {
        Order::Interrupt(_) => {
            if process.applications.interrupt(&group, running, active.serial) {
                // The application may go on after it, and then nothing else is said.
                let text = format!(
                    "WSGI0432: request-timeout: RequestTimeout is raised in the thread which serves {}",
                    process.board.served_by(active.thread)
                );
                log::line(Level::Warn, text.as_bytes());
            }
        }
        Order::Dump(_, done) => {
            process.applications.log_stacks(&group);
            let _ = done.send(());
        }
    }
}
