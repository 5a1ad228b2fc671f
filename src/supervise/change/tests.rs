use super::*;

const ONE: WorkerId = WorkerId(1);
const TWO: WorkerId = WorkerId(2);
const NEW: WorkerId = WorkerId(3);
const NEWER: WorkerId = WorkerId(4);
const PHASES: [&str; 3] = ["Hold", "Bridge", "Switch"];

fn script(name: &str) -> Script {
    (name.into(), Vec::new())
}

/// A change that was seen at 10 s, a second ago where it went on; two old workers.
fn change_in(phase: &str) -> (Change, Time) {
    let seen = Duration::from_secs(10);
    let mut change = Change::seen(&script("a"), seen);
    if phase == "Hold" {
        return (change, seen);
    }
    let now = seen + Duration::from_secs(1);
    assert!(change.bridge(now));
    if phase == "Switch" {
        assert!(change.warm(NEW));
        change.switch(NEW, BTreeSet::from([ONE, TWO]), now);
    }
    (change, now)
}

fn name(change: &Change) -> &'static str {
    match change.phase {
        Phase::Hold { .. } => "Hold",
        Phase::Bridge => "Bridge",
        Phase::Switch { .. } => "Switch",
    }
}

type Happens = fn(&mut Change, Time) -> String;

const EVENTS: &[(&str, Happens)] = &[
    ("seen again", |change, _| format!("{:?}", change.answer())),
    ("another script", |change, _| if change.add(&script("b")) { "tell the others".into() } else { "too many".into() }),
    ("0.4 s after it was seen", |change, _| {
        if change.bridge(Duration::from_secs(10) + HOLD) { "tell all: Bridge".into() } else { String::new() }
    }),
    ("a new one warm", |change, now| {
        if change.warm(NEWER) {
            change.switch(NEWER, BTreeSet::from([ONE, TWO]), now);
            "tell all old ones: Drain".into()
        } else {
            "it waits, too".into()
        }
    }),
    ("one old one closed", |change, _| {
        change.closed(ONE);
        String::new()
    }),
    ("all old ones closed", |change, _| {
        change.closed(ONE);
        change.closed(TWO);
        String::new()
    }),
    ("0.3 s later", |_, _| String::new()),
];

/// A change of the machine is a change of this file.
#[test]
fn transitions() {
    let mut table = "phase | what happens | phase after | answer\n".to_owned();
    for phase in PHASES {
        for (event, happens) in EVENTS {
            let (mut change, mut now) = change_in(phase);
            if *event == "0.3 s later" {
                now += CLOSING;
            }
            let answer = happens(&mut change, now);
            let (after, opens) = match change.over(now) {
                Some(warm) => ("over", format!("Open {}", warm.len())),
                None => (name(&change), answer),
            };
            if after == phase && opens.is_empty() {
                continue;
            }
            let row = format!("{phase} | {event} | {after} | {opens}");
            table += row.trim_end_matches([' ', '|']);
            table += "\n";
        }
    }
    assert_eq!(table, include_str!("transitions.txt"), "\n{table}");
}

#[test]
fn who_is_warm_is_kept_back_until_old_code_is_at_rest() {
    let (mut change, now) = change_in("Switch");
    assert!(!change.warm(NEWER));
    assert!(change.keeps_back(NEW) && change.keeps_back(NEWER) && !change.keeps_back(ONE));
    assert_eq!((change.over(now), change.next()), (None, Some(now + CLOSING)));
    change.closed(TWO);
    assert_eq!(change.over(now), None);
    change.closed(ONE);
    assert_eq!(change.over(now), Some(vec![NEW, NEWER]));
}

#[test]
fn a_worker_that_invents_scripts_does_not_fill_the_memory() {
    let mut change = Change::seen(&script("a"), Duration::ZERO);
    let told = (0..10_000).filter(|number| change.add(&script(&number.to_string()))).count();
    assert_eq!(told, MOST_SCRIPTS - 1);
}
