use super::*;

fn plan(exclusive: bool) -> Plan {
    Plan {
        name: "shop".to_owned(),
        key: "k".to_owned(),
        slots: 1,
        startup: None,
        graceful: None,
        eviction: None,
        shutdown: Some(Duration::from_secs(5)),
        service: false,
        exclusive,
    }
}

const OLD: WorkerId = WorkerId(1);
const NEW: WorkerId = WorkerId(2);
const STAGES: [Stage; 6] = [Stage::Idle, Stage::Waiting, Stage::Starting, Stage::Serving, Stage::Due, Stage::Replacing];

/// A slot in a stage, 10 s after it was made; `OLD` serves, `NEW` is being started.
fn slot_in(stage: Stage, plan: &Plan) -> Slot {
    let mut actions = Vec::new();
    let mut scene = Scene { group: GroupId(0), plan, now: Duration::ZERO, actions: &mut actions };
    let mut slot = Slot::new(0, Duration::ZERO);
    if matches!(stage, Stage::Serving | Stage::Due | Stage::Replacing) {
        slot.start(OLD, &scene);
        slot.ready(OLD, &mut scene);
    }
    scene.now = Duration::from_secs(10);
    match stage {
        Stage::Idle => slot.retire(&mut scene),
        Stage::Waiting | Stage::Serving => {}
        Stage::Due | Stage::Replacing => slot.replace(OLD, Reason::MaximumRequests, &mut scene),
        Stage::Starting => {}
    }
    if matches!(stage, Stage::Starting | Stage::Replacing) {
        slot.start(NEW, &scene);
    }
    slot
}

type Happens = fn(&mut Slot, &mut Scene<'_>);

const EVENTS: &[(&str, Happens)] = &[
    ("new one ready", |slot, scene| {
        slot.ready(NEW, scene);
    }),
    ("new one unfit", |slot, scene| {
        slot.unfit(NEW, scene);
    }),
    ("new one not started", |slot, scene| {
        slot.not_started(NEW, scene);
    }),
    ("new one ended", |slot, scene| slot.ended(NEW, &end("by signal SIGSEGV", false), scene)),
    ("new one late", |slot, scene| {
        scene.now += Duration::from_secs(60);
        slot.tick(scene);
    }),
    ("new one to be replaced, then ready", |slot, scene| {
        slot.replace(NEW, Reason::GracefulSignal, scene);
        slot.ready(NEW, scene);
    }),
    ("old one to be replaced", |slot, scene| slot.replace(OLD, Reason::RestartInterval, scene)),
    ("old one leaves", |slot, scene| slot.leaving(OLD, Reason::ScriptReload, scene)),
    ("old one ended", |slot, scene| slot.ended(OLD, &end("by signal SIGSEGV", false), scene)),
    ("script changed", |slot, scene| slot.renew_code(scene)),
    ("script changed, elsewhere in the group", |slot, scene| slot.start_anew(scene)),
    ("new code there, elsewhere in the group", |slot, scene| {
        slot.yield_to_new_code(scene);
    }),
    ("same key again", |slot, scene| slot.renew(scene)),
    ("group gone", |slot, scene| slot.retire(scene)),
    ("group gone, 2 s later", |slot, scene| {
        slot.retire(scene);
        scene.now += LINGER;
        slot.tick(scene);
    }),
    ("stop", |slot, scene| slot.stop(Duration::from_secs(3), scene)),
];

fn table(exclusive: bool) -> String {
    let plan = plan(exclusive);
    let mut table = String::new();
    for stage in STAGES {
        for (event, happens) in EVENTS {
            let mut slot = slot_in(stage, &plan);
            if slot.stage() != stage {
                continue;
            }
            let mut actions = Vec::new();
            let now = Duration::from_secs(10);
            let mut scene = Scene { group: GroupId(0), plan: &plan, now, actions: &mut actions };
            happens(&mut slot, &mut scene);
            let now = scene.now;
            actions.retain(|action| !matches!(action, Action::Log { .. } | Action::LogServing { .. }));
            if slot.stage() == stage && actions.is_empty() {
                continue;
            }
            let wish = slot.wish.map(|wish| format!(" in {}", seconds(wish.not_before - now))).unwrap_or_default();
            let ending: Vec<&str> = slot.ending.iter().map(|life| if life.id == OLD { "old" } else { "new" }).collect();
            let done: Vec<String> = actions.iter().map(short).collect();
            let row =
                format!("{stage:?} | {event} | {:?}{wish} | {} | {}", slot.stage(), done.join(", "), ending.join(", "));
            table += row.trim_end_matches([' ', '|']);
            table += "\n";
        }
    }
    table
}

fn short(action: &Action) -> String {
    let name = |worker: &WorkerId| if *worker == OLD { "old" } else { "new" };
    match action {
        Action::End { worker, within } => format!("end {} within {}", name(worker), seconds(*within)),
        Action::Drain { worker, within: None } => format!("drain {}", name(worker)),
        Action::Drain { worker, within: Some(within) } => format!("drain {} within {}", name(worker), seconds(*within)),
        Action::Kill { worker, signal } => format!("{signal:?} {}", name(worker)),
        other => format!("{other:?}"),
    }
}

/// A change of the machine is a change of this file; what happens where nothing changes is left out.
#[test]
fn transitions() {
    let mut all = "stage | what happens | stage after, and in what time a start | told | ending then\n".to_owned();
    all += &format!("\nTwo may be there at once:\n{}", table(false));
    all += &format!("\noverlap=Off, threads=0:\n{}", table(true));
    assert_eq!(all, include_str!("transitions.txt"), "\n{all}");
}

/// An end with no request under way.
fn end(how: &str, clean: bool) -> End<'_> {
    End { how, clean, serving: None }
}

/// The log lines of what happens to a slot in `stage`.
fn said(stage: Stage, happens: Happens) -> Vec<String> {
    let plan = plan(false);
    let mut slot = slot_in(stage, &plan);
    if let Some(life) = slot.life(OLD) {
        life.pid = Some(123);
    }
    let mut actions = Vec::new();
    let now = Duration::from_secs(10);
    happens(&mut slot, &mut Scene { group: GroupId(0), plan: &plan, now, actions: &mut actions });
    actions
        .into_iter()
        .filter_map(|action| match action {
            Action::Log { level, text, .. } | Action::LogServing { level, text, .. } => {
                Some(format!("{level:?} {text}"))
            }
            _ => None,
        })
        .collect()
}

#[test]
fn ends_are_told_with_what_follows() {
    let crash: Happens = |slot, scene| slot.ended(OLD, &end("by signal SIGSEGV", false), scene);
    let who = "worker 1 of daemon group \"shop\" (pid 123) ended by signal SIGSEGV";
    assert_eq!(
        said(Stage::Serving, crash),
        [format!("Error WSGI0320: {who} while it served, with no request in progress; another is started at once.")]
    );
    assert_eq!(
        said(Stage::Replacing, crash),
        [format!(
            "Error WSGI0320: {who} while it served, with no request in progress; its successor is being started."
        )]
    );
    assert_eq!(
        said(Stage::Replacing, |slot, scene| {
            slot.ended(NEW, &end("with status 1", false), scene);
            slot.start(WorkerId(3), scene);
            slot.ended(WorkerId(3), &end("with status 1", false), scene);
        }),
        [
            "Error WSGI0321: worker 1 of daemon group \"shop\" ended with status 1 before it was ready; the old one serves on, another is started at once.",
            "Error WSGI0321: worker 1 of daemon group \"shop\" ended with status 1 before it was ready; the old one serves on, another is started in 0.25 s.",
        ]
    );
    assert_eq!(
        said(Stage::Serving, |slot, scene| {
            slot.leaving(OLD, Reason::ScriptReload, scene);
            slot.ended(OLD, &end("with status 0", true), scene);
        }),
        [
            "Info WSGI0329: worker 1 of daemon group \"shop\" (pid 123) leaves: script_reload.",
            "Info WSGI0330: worker 1 of daemon group \"shop\" (pid 123) ended with status 0.",
        ]
    );
}

#[test]
fn ends_are_told_with_what_they_cut_off() {
    const CRASH: End<'_> = End { how: "by signal SIGSEGV", clean: false, serving: Some("GET /a (3.2 s)") };
    let who = "worker 1 of daemon group \"shop\" (pid 123)";
    assert_eq!(
        said(Stage::Serving, |slot, scene| slot.ended(OLD, &CRASH, scene)),
        [format!(
            "Error WSGI0320: {who} ended by signal SIGSEGV while it served: GET /a (3.2 s); another is started at once."
        )]
    );
    let lines = said(Stage::Serving, |slot, scene| {
        slot.leaving(OLD, Reason::ShutdownSignal, scene);
        scene.now += Duration::from_secs(100);
        slot.tick(scene);
        slot.ended(OLD, &CRASH, scene);
    });
    assert_eq!(
        lines[1..],
        [
            format!("Warning WSGI0325: {who} has not ended in time and is killed"),
            format!("Info WSGI0330: {who} ended by signal SIGSEGV, with requests in progress: GET /a (3.2 s)."),
        ]
    );
}

#[test]
fn causes_are_counted_and_stages_told() {
    let plan = plan(false);
    let mut slot = slot_in(Stage::Replacing, &plan);
    let mut actions = Vec::new();
    let mut scene = Scene { group: GroupId(0), plan: &plan, now: Duration::from_secs(10), actions: &mut actions };
    assert_eq!((slot.stage_of(OLD), slot.stage_of(NEW)), (Some(board::Stage::Serving), Some(board::Stage::Starting)));
    slot.ready(NEW, &mut scene);
    assert_eq!((slot.stage_of(OLD), slot.stage_of(NEW)), (Some(board::Stage::Ending), Some(board::Stage::Serving)));
    slot.replace(NEW, Reason::MaximumRequests, &mut scene);
    slot.renew(&mut scene);
    slot.ended(OLD, &end("with status 0", true), &mut scene);
    slot.ended(NEW, &end("by signal SIGKILL", false), &mut scene);
    assert_eq!((slot.stage_of(OLD), slot.stage_of(NEW)), (None, None));
    slot.start(WorkerId(3), &scene);
    slot.unfit(WorkerId(3), &mut scene);
    let counted = [Cause::Died, Cause::NotStarted, Cause::Configuration, Cause::MaximumRequests];
    let counts: Vec<_> = (0..).zip(slot.causes()).filter(|(_, count)| **count > 0).map(|(cause, _)| cause).collect();
    assert_eq!(counts, counted.map(|cause| cause as usize));
}

#[test]
fn a_group_that_is_gone_is_followed_by_nothing() {
    let lines = said(Stage::Serving, |slot, scene| {
        slot.retire(scene);
        slot.ended(OLD, &end("by signal SIGKILL", false), scene);
    });
    assert!(lines[0].ends_with("while it served, with no request in progress; nothing follows."), "{lines:?}");
}

/// What a tick does to a slot in `stage` so many seconds after the new one was begun, and when the next one is due.
fn ticked(stage: Stage, plan: &Plan, after: u64) -> (Stage, Vec<String>, Option<u64>) {
    let mut slot = slot_in(stage, plan);
    let mut actions = Vec::new();
    let begun = Duration::from_secs(10);
    let mut scene = Scene { group: GroupId(0), plan, now: begun, actions: &mut actions };
    while let Some(next) = slot.next(plan).filter(|next| *next <= begun + Duration::from_secs(after)) {
        scene.now = next;
        slot.tick(&mut scene);
        assert_ne!(slot.next(plan), Some(next), "it must not spin");
    }
    let lines = actions.iter().filter_map(|action| match action {
        Action::Log { level, text, .. } => Some(format!("{level:?} {text}")),
        _ => None,
    });
    (slot.stage(), lines.collect(), slot.next(plan).map(|next| (next - begun).as_secs()))
}

/// Loading that takes long is waited for where killing it would leave nobody; `startup-timeout` holds in any case.
#[test]
fn a_late_worker_is_given_up_where_another_one_serves() {
    let who = "worker 1 of daemon group \"shop\"";
    for exclusive in [false, true] {
        let unset = plan(exclusive);
        assert_eq!(ticked(Stage::Starting, &unset, 59), (Stage::Starting, vec![], Some(60)));
        let waits = format!(
            "Warning WSGI0332: {who} is not ready after 60 s; it is waited for, as nobody else serves in its place."
        );
        assert_eq!(ticked(Stage::Starting, &unset, 9999), (Stage::Starting, vec![waits], None), "said once");
        let set = Plan { startup: Some(Duration::from_secs(90)), ..unset };
        let gives_up =
            format!("Error WSGI0324: {who} was not ready within 90 s and is given up; another is started at once.");
        assert_eq!(ticked(Stage::Starting, &set, 89), (Stage::Starting, vec![], Some(90)));
        assert_eq!(ticked(Stage::Starting, &set, 90), (Stage::Waiting, vec![gives_up], None));
    }
    let gives_up = |limit| {
        format!(
            "Error WSGI0324: {who} was not ready within {limit} s and is given up; the old one serves on, another is started at once."
        )
    };
    assert_eq!(ticked(Stage::Replacing, &plan(false), 60), (Stage::Due, vec![gives_up(60)], None));
    let set = Plan { startup: Some(Duration::from_secs(90)), ..plan(false) };
    assert_eq!(ticked(Stage::Replacing, &set, 90), (Stage::Due, vec![gives_up(90)], None));
}

/// The old one may go while the new one loads: then that is waited for.
#[test]
fn a_late_worker_is_waited_for_when_the_old_one_has_gone() {
    let plan = plan(false);
    let mut slot = slot_in(Stage::Replacing, &plan);
    let mut actions = Vec::new();
    let mut scene = Scene { group: GroupId(0), plan: &plan, now: Duration::from_secs(69), actions: &mut actions };
    slot.ended(OLD, &end("by signal SIGSEGV", false), &mut scene);
    scene.now = Duration::from_secs(100);
    slot.tick(&mut scene);
    assert_eq!((slot.stage(), slot.next(&plan)), (Stage::Starting, None));
    assert!(matches!(actions.last(), Some(Action::Log { text, .. }) if text.starts_with("WSGI0332")), "{actions:?}");
}

/// A limit that is less than what the application needs has every worker ask at once.
#[test]
fn replacements_for_memory_come_one_at_a_time() {
    for exclusive in [false, true] {
        let plan = plan(exclusive);
        let mut slot = Slot::new(0, Duration::ZERO);
        let mut actions = Vec::new();
        let mut scene = Scene { group: GroupId(0), plan: &plan, now: Duration::ZERO, actions: &mut actions };
        let mut starts = Vec::new();
        for second in 0..120 {
            scene.now = Duration::from_secs(second);
            slot.tick(&mut scene);
            while let Some(ended) = slot.ending.first().map(|life| life.id) {
                slot.ended(ended, &end("with status 0", true), &mut scene);
            }
            if slot.wish.is_some_and(|wish| wish.not_before <= scene.now) {
                let id = WorkerId(second);
                starts.push(second);
                slot.start(id, &scene);
                slot.ready(id, &mut scene);
                slot.replace(id, Reason::MaximumMemory, &mut scene);
            }
        }
        assert_eq!(starts, [0, 1, 30, 60, 90], "overlap=Off: {exclusive}");
        // Other causes do not wait.
        assert_eq!(slot.stage(), Stage::Serving);
        slot.renew_code(&mut scene);
        assert_ne!(slot.stage(), Stage::Serving);
    }
}

#[test]
fn a_limit_of_memory_that_is_too_low_is_told() {
    let lines = said(Stage::Serving, |slot, scene| {
        slot.outgrown(NEW, 1, 2, Duration::ZERO, scene);
        assert!(!slot.has_outgrown(), "nobody there");
        slot.outgrown(OLD, 25_000_000, 33_554_432, Duration::from_millis(400), scene);
        assert!(slot.has_outgrown());
        slot.renew(scene);
        assert!(!slot.has_outgrown());
    });
    assert_eq!(
        lines,
        [
            "Warning WSGI0333: maximum-memory=25000000 is less than the 33554432 bytes that worker 1 of daemon group \"shop\" \
          (pid 123) had 0.4 s after its first request; raise it: what needs more is replaced again and again, every 30 s at most."
        ]
    );
}

#[test]
fn a_forced_end_tells_why_it_was_leaving() {
    let lines = said(Stage::Serving, |slot, scene| {
        slot.leaving(OLD, Reason::CpuTimeLimit, scene);
        slot.ended(OLD, &End { how: "by signal SIGKILL", clean: false, serving: Some("GET /a (3.2 s)") }, scene);
    });
    assert_eq!(
        lines[1],
        "Error WSGI0330: worker 1 of daemon group \"shop\" (pid 123) ended by signal SIGKILL after cpu_time_limit, with requests in progress: GET /a (3.2 s)."
    );
}
