use super::*;

fn plan(exclusive: bool) -> Plan {
    Plan {
        name: "shop".to_owned(),
        key: "k".to_owned(),
        slots: 1,
        startup: Duration::from_secs(60),
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
