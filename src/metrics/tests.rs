//! What is told of requests, by interval and by process.

use super::*;

fn at(now: f64) -> Moment {
    Moment { now, cpu_user: now / 10.0, cpu_system: now / 20.0 }
}

fn request(thread: u32, begin: f64, end: f64, status: u16) -> Finished {
    let times =
        Times { request_start: begin, application_start: begin + 0.5, application_finish: end, ..Times::default() };
    let transfer =
        Transfer { input_length: 10, input_reads: 2, output_length: 20, output_writes: 1, ..Transfer::default() };
    let phases = times.phases(0.25, &transfer);
    Finished { thread, begin, end, cpu: 0.125, status, phases, gil_waits: 3, transfer }
}

fn field<'f>(fields: &'f Fields, name: &str) -> &'f Value {
    let mut found = fields.iter().filter(|(known, _)| *known == name);
    let (_, value) = found.next().unwrap_or_else(|| panic!("no {name}"));
    assert!(found.next().is_none(), "{name} twice");
    value
}

#[track_caller]
fn check(fields: &Fields, expected: &[(&str, Value)]) {
    for (name, value) in expected {
        assert_eq!(field(fields, name), value, "{name}");
    }
}

fn floats(values: &[f64]) -> Value {
    Value::List(values.iter().map(|value| Value::Float(*value)).collect())
}

fn ints(values: &[i64]) -> Value {
    Value::List(values.iter().map(|value| Value::Int(*value)).collect())
}

#[test]
fn an_interval_tells_of_the_requests_that_ended_in_it() {
    let mut recorder = Recorder::new(100.0, 3);
    recorder.subscribe(1, at(200.0));
    recorder.begin(1, 201.0);
    recorder.finish(&request(1, 201.0, 203.0, 200));
    recorder.begin(2, 202.0);
    recorder.finish(&request(2, 202.0, 206.0, 503));
    recorder.begin(2, 208.0);
    let fields = recorder.request_metrics(1, at(210.0)).unwrap();
    check(
        &fields,
        &[
            ("start_time", Value::Float(200.0)),
            ("stop_time", Value::Float(210.0)),
            ("sample_period", Value::Float(10.0)),
            ("cpu_user_utilization", Value::Float(0.1)),
            ("cpu_user_time", Value::Float(0.1)),
            ("cpu_system_utilization", Value::Float(0.05)),
            ("request_threads_maximum", Value::Int(3)),
            ("request_threads_started", Value::Int(2)),
            ("request_threads_active", Value::Int(1)),
            // 2 + 4 + the 2 seconds of the one that goes on, of 30.
            ("capacity_utilization", Value::Float(0.8 / 3.0)),
            ("request_count", Value::Int(2)),
            ("request_throughput", Value::Float(0.2)),
            ("status_2xx", Value::Int(1)),
            ("status_5xx", Value::Int(1)),
            ("status_1xx", Value::Int(0)),
            ("input_bytes", Value::Int(20)),
            ("input_reads", Value::Int(4)),
            ("output_bytes", Value::Int(40)),
            ("output_writes", Value::Int(2)),
            ("server_time", Value::Float(0.5)),
            ("application_time", Value::Float(2.5)),
            ("application_time_min_us", Value::Int(1_500_000)),
            ("application_time_max_us", Value::Int(3_500_000)),
            ("request_time", Value::Float(3.0)),
            ("queue_time", Value::None),
            ("queue_time_min_us", Value::None),
            ("gil_wait_time", Value::Float(0.25)),
            ("gil_wait_count", Value::Int(6)),
            ("request_threads_completed", ints(&[1, 1, 0])),
            ("request_threads_buckets", ints(&[1, 1, 0])),
            ("request_threads_busy_time", floats(&[2.0, 6.0, 0.0])),
            ("request_threads_cpu_time", floats(&[0.125, 0.125, 0.0])),
            ("request_threads_current_elapsed", floats(&[0.0, 2.0, 0.0])),
            ("request_threads_max_duration", floats(&[2.0, 4.0, 0.0])),
        ],
    );
    let Value::List(buckets) = field(&fields, "request_time_buckets") else { panic!("a list") };
    assert_eq!(buckets.len(), HISTOGRAM);
    assert_eq!(buckets.iter().filter(|count| **count == Value::Int(1)).count(), 2);
}

#[test]
fn each_call_begins_an_interval_of_its_own_interpreter() {
    let mut recorder = Recorder::new(0.0, 1);
    assert_eq!(recorder.request_metrics(1, at(1.0)), None);
    recorder.subscribe(1, at(1.0));
    recorder.subscribe(2, at(1.0));
    recorder.finish(&request(1, 2.0, 3.0, 200));
    let count = |recorder: &mut Recorder, interpreter, now| {
        field(&recorder.request_metrics(interpreter, at(now)).unwrap(), "request_count").clone()
    };
    assert_eq!(count(&mut recorder, 1, 4.0), Value::Int(1));
    assert_eq!(count(&mut recorder, 1, 5.0), Value::Int(0));
    assert_eq!(count(&mut recorder, 2, 5.0), Value::Int(1));
    // Asking for the recording again loses nothing.
    recorder.finish(&request(1, 5.5, 5.7, 200));
    recorder.subscribe(1, at(6.0));
    assert_eq!(count(&mut recorder, 1, 6.0), Value::Int(1));
}

#[test]
fn a_request_counts_in_an_interval_with_the_time_that_it_spent_there() {
    let mut recorder = Recorder::new(0.0, 1);
    recorder.subscribe(1, at(10.0));
    recorder.begin(1, 8.0);
    let first = recorder.request_metrics(1, at(12.0)).unwrap();
    check(
        &first,
        &[("request_threads_busy_time", floats(&[2.0])), ("request_threads_current_elapsed", floats(&[4.0]))],
    );
    recorder.finish(&request(1, 8.0, 13.0, 200));
    let second = recorder.request_metrics(1, at(14.0)).unwrap();
    check(&second, &[("request_threads_busy_time", floats(&[1.0])), ("request_threads_max_duration", floats(&[5.0]))]);
}

#[test]
fn phases_of_a_daemon_process_add_up_to_the_request() {
    let times = Times {
        request_start: 1.0,
        queue_start: 1.5,
        daemon_start: 2.5,
        application_start: 3.5,
        application_finish: 8.0,
    };
    let none = Transfer::default();
    let expected = [0.5, 1.0, 1.0, 4.5, 7.0, 0.0, 0.0, 0.0].map(Some);
    assert_eq!(times.phases(0.0, &none), expected);
    // A clock that was set back makes no negative time; an application that was not called has none.
    let back = Times { daemon_start: 1.0, application_start: 0.0, ..times };
    assert_eq!(back.phases(0.0, &none), [Some(0.5), Some(0.0), None, None, None, None, None, None]);
}

#[test]
fn a_process_tells_of_its_threads() {
    let mut recorder = Recorder::new(100.0, 4);
    recorder.begin(3, 110.0);
    recorder.finish(&request(1, 105.0, 106.5, 200));
    recorder.begin(1, 118.0);
    let fields = recorder.process_metrics(120.5);
    let thread = |id, count| Value::Map(vec![("thread_id", Value::Int(id)), ("request_count", Value::Int(count))]);
    check(
        &fields,
        &[
            ("request_busy_time", Value::Float(1.5 + 10.5 + 2.5)),
            ("request_count", Value::Int(1)),
            ("restart_time", Value::Float(100.0)),
            ("current_time", Value::Float(120.5)),
            ("running_time", Value::Int(20)),
            ("request_threads", Value::Int(2)),
            ("active_requests", Value::Int(2)),
            ("threads", Value::List(vec![thread(1, 2), thread(3, 1)])),
        ],
    );
}

#[test]
fn what_was_sent_elsewhere_does_not_count() {
    let mut recorder = Recorder::new(100.0, 4);
    recorder.subscribe(1, at(110.0));
    recorder.begin(1, 110.0);
    recorder.withdraw(1);
    recorder.withdraw(1);
    let fields = recorder.process_metrics(120.0);
    let thread = Value::Map(vec![("thread_id", Value::Int(1)), ("request_count", Value::Int(0))]);
    check(
        &fields,
        &[
            ("request_busy_time", Value::Float(0.0)),
            ("request_count", Value::Int(0)),
            ("active_requests", Value::Int(0)),
            ("threads", Value::List(vec![thread])),
        ],
    );
}

#[test]
fn an_empty_interval_divides_by_nothing() {
    let mut recorder = Recorder::new(0.0, 0);
    recorder.subscribe(1, at(1.0));
    let fields = recorder.request_metrics(1, at(1.0)).unwrap();
    for (name, value) in &fields {
        if let Value::Float(value) = value {
            assert!(value.is_finite(), "{name}");
        }
    }
}
