//! `mod_wsgi.server_metrics()`: httpd's scoreboard in the words of C mod_wsgi.

use crate::apache::scoreboard::{Process, Scoreboard, Worker};
use crate::metrics::Value;
use crate::python::now;

/// What it shows at the moment; nothing where httpd keeps none. For any thread.
pub(super) fn read() -> Option<Value> {
    let board = Scoreboard::read()?;
    let (restarted, now) = (seconds(board.restart_time), now());
    Some(Value::Map(vec![
        ("server_limit", Value::Int(board.server_limit.into())),
        ("thread_limit", Value::Int(board.thread_limit.into())),
        ("running_generation", Value::Int(board.running_generation.into())),
        ("restart_time", Value::Float(restarted)),
        ("current_time", Value::Float(now)),
        ("running_time", Value::whole(now - restarted)),
        ("processes", Value::List(board.processes.into_iter().map(process).collect())),
    ]))
}

/// The same for other processes, as JSON.
pub(crate) fn text() -> Option<Vec<u8>> {
    Some(read()?.to_json().to_string().into_bytes())
}

fn process(process: Process) -> Value {
    Value::Map(vec![
        ("process_num", Value::Int(process.number.into())),
        ("pid", Value::Int(process.pid.into())),
        ("generation", Value::Int(process.generation.into())),
        ("quiescing", Value::Bool(process.quiescing)),
        ("workers", Value::List(process.workers.into_iter().map(worker).collect())),
    ])
}

fn worker(worker: Worker) -> Value {
    Value::Map(vec![
        ("thread_num", Value::Int(worker.number.into())),
        ("generation", Value::Int(worker.generation.into())),
        ("status", Value::Text(worker.status.letter().to_string().into_bytes())),
        ("access_count", Value::number(worker.access_count)),
        ("bytes_served", Value::Int(worker.bytes_served)),
        ("start_time", Value::Float(seconds(worker.start_time))),
        ("stop_time", Value::Float(seconds(worker.stop_time))),
        ("last_used", Value::Float(seconds(worker.last_used))),
        ("client", Value::Text(worker.client)),
        ("request", Value::Text(worker.request)),
        ("vhost", Value::Text(worker.vhost)),
    ])
}

#[expect(clippy::cast_precision_loss, reason = "microseconds since 1970 stay below 2^53 until the year 2255")]
fn seconds(microseconds: i64) -> f64 {
    microseconds as f64 / 1e6
}
