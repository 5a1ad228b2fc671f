//! `WSGIDaemonProcess` lines: where each option goes, and with which words others are refused.

use std::time::Duration;

use super::daemon_options::OPTIONS;
use crate::config::testing::{Reader, refusal};
use crate::config::{DaemonOptions, Level};

/// The options of a group that must load without a word.
#[track_caller]
fn group(options: &str) -> DaemonOptions {
    let reader = Reader::new().loads(&format!("WSGIDaemonProcess shop {options}"));
    assert!(reader.around.warnings.is_empty() && reader.around.notices.is_empty(), "{options}");
    let [group] = reader.server.daemons.as_slice() else { panic!("one group") };
    assert_eq!(group.name, b"shop");
    group.options.clone()
}

/// Why `option` is refused, without the part that is the same for all.
fn refused(option: &str) -> String {
    let sentence = refusal(&format!("WSGIDaemonProcess shop {option}"));
    let (name, value) = option.split_once('=').unwrap();
    let start = format!("WSGIDaemonProcess can't have the option {name}=\"{value}\"; ");
    sentence.strip_prefix(&start).unwrap_or_else(|| panic!("{sentence}")).to_owned()
}

fn seconds(count: u64) -> Option<Duration> {
    Some(Duration::from_secs(count))
}

fn text(value: &str) -> Option<Vec<u8>> {
    Some(value.into())
}

/// A line with every option there is, each with another value, and what must come of it.
fn full() -> (Vec<String>, DaemonOptions) {
    let wanted = DaemonOptions {
        user: text("joe"),
        group: text("#1001"),
        supplementary_groups: vec![b"staff".to_vec(), b"#27".to_vec()],
        processes: Some(2),
        threads: Some(25),
        umask: Some(0o027),
        chroot: text("/jail"),
        home: text("/home/joe"),
        lang: text("de_DE"),
        locale: text("C.UTF-8"),
        python_home: text("/srv/env/"),
        python_path: vec![b"/a".to_vec(), b"/b".to_vec()],
        python_eggs: text("/eggs"),
        switch_interval: Some(Duration::from_micros(500)),
        stack_size: Some(524_288),
        maximum_requests: Some(1000),
        maximum_memory: Some(1 << 40),
        overlap: Some(false),
        startup_timeout: seconds(1),
        shutdown_timeout: seconds(2),
        deadlock_timeout: seconds(3),
        inactivity_timeout: seconds(4),
        request_timeout: seconds(5),
        interrupt_timeout: seconds(6),
        graceful_timeout: seconds(7),
        eviction_timeout: seconds(8),
        restart_interval: seconds(9),
        connect_timeout: seconds(10),
        socket_timeout: seconds(11),
        queue_timeout: seconds(12),
        socket_user: text("ann"),
        listen_backlog: Some(500),
        display_name: text("my shop"),
        send_buffer_size: Some(512),
        receive_buffer_size: Some(513),
        header_buffer_size: Some(8192),
        response_buffer_size: Some(65_536),
        response_socket_timeout: seconds(13),
        response_flush_delay: Some(Duration::from_millis(14)),
        script_user: text("bob"),
        script_group: None,
        cpu_time_limit: seconds(15),
        cpu_priority: Some(-5),
        memory_limit: Some(1 << 41),
        virtual_memory_limit: Some(1 << 42),
        server_metrics: Some(true),
    };
    let line = "user=joe group=#1001 supplementary-groups=staff,#27 processes=2 threads=25 umask=0027 chroot=/jail \
                home=/home/joe lang=de_DE locale=C.UTF-8 python-home=/srv/env/ python-path=/a::/b python-eggs=/eggs \
                switch-interval=0.0005 stack-size=524288 maximum-requests=1000 maximum-memory=1099511627776 overlap=off \
                startup-timeout=1 shutdown-timeout=2 deadlock-timeout=3 inactivity-timeout=4 request-timeout=5 \
                interrupt-timeout=6 graceful-timeout=7 eviction-timeout=8 restart-interval=9 connect-timeout=10 \
                socket-timeout=11 queue-timeout=12 socket-user=ann listen-backlog=500 display-name=my_shop \
                send-buffer-size=512 receive-buffer-size=513 header-buffer-size=8192 response-buffer-size=65536 \
                response-socket-timeout=13 response-flush-delay=14 script-user=bob cpu-time-limit=15 cpu-priority=-5 \
                memory-limit=2199023255552 virtual-memory-limit=4398046511104 server-metrics=On";
    (line.split(' ').map(|option| option.replace("my_shop", "\"my shop\"")).collect(), wanted)
}

#[test]
fn each_option_goes_where_it_belongs() {
    let (options, wanted) = full();
    assert_eq!(group(&options.join(" ")), wanted);
    // Each name of the table is in the line, but for the one that excludes another.
    let named = |name: &str| options.iter().any(|option| option.split('=').next() == Some(name));
    let missing: Vec<&str> = OPTIONS.iter().map(|row| row.name).filter(|name| !named(name)).collect();
    assert_eq!(missing, ["script-group"]);
    assert_eq!(group("script-group=#5").script_group, text("#5"));
}

#[test]
fn no_option_sets_what_another_sets() {
    let (options, _) = full();
    let outcomes: Vec<DaemonOptions> = options.iter().map(|option| group(option)).collect();
    for (number, outcome) in outcomes.iter().enumerate() {
        assert_ne!(*outcome, DaemonOptions::default(), "{}", options[number]);
        assert!(!outcomes[..number].contains(outcome), "{}", options[number]);
    }
}

#[test]
fn a_name_alone_has_all_defaults() {
    assert_eq!(group(""), DaemonOptions::default());
    assert!(refusal("WSGIDaemonProcess").contains("takes one value before its options"));
    assert!(refusal("WSGIDaemonProcess \"\"").contains("takes one value before its options"));
}

#[test]
fn numbers_are_taken_whole_and_in_range_or_refused() {
    for (name, least, most) in [
        ("processes", "1", "65535"),
        ("threads", "0", "65533"),
        ("maximum-requests", "0", "2147483647"),
        ("stack-size", "1", "2147483647"),
        ("listen-backlog", "0", "2147483647"),
        ("shutdown-timeout", "0", "2147483647"),
        ("response-flush-delay", "0", "2147483647"),
        ("cpu-priority", "-2147483648", "2147483647"),
    ] {
        group(&format!("{name}={least} {name}={most}"));
        let below = least.parse::<i64>().unwrap() - 1;
        let above = most.parse::<i64>().unwrap() + 1;
        for value in [below.to_string(), above.to_string(), format!("{most}x"), "5s".to_owned()] {
            let remedy = refused(&format!("{name}={value}"));
            assert_eq!(remedy, format!("write a whole number: {least} to {most}"), "{name}={value}");
        }
    }
    for value in ["five", "1.5", "0x10", "1e3", "99999999999999999999"] {
        assert!(refused(&format!("threads={value}")).contains("whole number"), "{value}");
    }
    assert_eq!(refused("memory-limit=1G"), "write a whole number: 0 or more");
}

#[test]
fn some_sizes_are_either_left_or_large_enough() {
    for (name, least) in [
        ("send-buffer-size", 512),
        ("receive-buffer-size", 512),
        ("header-buffer-size", 8192),
        ("response-buffer-size", 65_536),
    ] {
        group(&format!("{name}=0"));
        group(&format!("{name}={least}"));
        for value in [1, least - 1, -1] {
            let remedy = refused(&format!("{name}={value}"));
            assert_eq!(remedy, format!("write a whole number: 0, or {least} to 2147483647"), "{name}={value}");
        }
    }
}

#[test]
fn paths_start_at_the_root() {
    for option in ["home=run", "home=~joe", "chroot=./jail"] {
        assert_eq!(refused(option), "write the path from / on", "{option}");
    }
}

#[test]
fn a_umask_is_octal() {
    for (value, bits) in [("0", 0), ("22", 0o22), ("0022", 0o22), ("777", 0o777), ("7777", 0o7777)] {
        assert_eq!(group(&format!("umask={value}")).umask, Some(bits), "{value}");
    }
    for value in ["0o22", "8", "-22", "+22", "22x", "10000", "u=rwx"] {
        assert_eq!(refused(&format!("umask={value}")), "write an octal number up to 7777, such as 0022", "{value}");
    }
}

#[test]
fn users_and_groups_are_names_or_numbers() {
    for option in ["user=#0x5", "group=#", "socket-user=#-1", "script-user=#4294967295", "supplementary-groups=a,#x"] {
        assert_eq!(refused(option), "write a name, or # and a number, such as #1000", "{option}");
    }
    assert_eq!(group("supplementary-groups=a,,b,").supplementary_groups, [b"a", b"b"]);
    assert_eq!(refused("supplementary-groups=,"), "write names, parted by commas");
    let many = |count: usize| format!("supplementary-groups={}", vec!["a"; count].join(","));
    assert_eq!(group(&many(65_535)).supplementary_groups.len(), 65_535);
    assert_eq!(refused(&many(65_536)), "the system takes at most 65535");
}

#[test]
fn a_script_has_an_owner_or_a_group_to_be_checked() {
    let sentence = refusal("WSGIDaemonProcess shop script-user=joe script-group=staff");
    assert!(sentence.contains("script-group=\"staff\"; the line has script-user"), "{sentence}");
}

#[test]
fn switches_and_intervals_are_strict() {
    assert_eq!(refused("overlap=yes"), "write On or Off");
    for value in ["0", "-1", "nan", "1s"] {
        assert!(refused(&format!("switch-interval={value}")).contains("above 0"), "{value}");
    }
    assert_eq!(refused("server-metrics=maybe"), "write On or Off");
}

#[test]
fn options_have_their_exact_names_and_slips_are_helped() {
    for (typed, answer) in [
        ("maximum-request=5", "did you mean \"maximum-requests\"?"),
        ("Threads=5", "did you mean \"threads\"?"),
        ("python-paht=/x", "did you mean \"python-path\"?"),
        ("zzz=5", "it has: user, group, supplementary-groups"),
    ] {
        let sentence = refusal(&format!("WSGIDaemonProcess shop {typed}"));
        assert!(sentence.contains("has no option") && sentence.contains(answer), "{sentence}");
    }
    assert!(refusal("WSGIDaemonProcess shop threads").contains("\"threads\" is none"));
    assert!(refusal("WSGIDaemonProcess shop threads=").contains("give it a value: number"));
    assert_eq!(group("threads=5 threads=6").threads, Some(6));
}

#[test]
fn texts_may_be_empty_and_count_as_not_given() {
    let empty =
        "python-path=\"\" python-home= lang='' locale= python-eggs= display-name=\"\" supplementary-groups= home=/srv";
    assert_eq!(group(empty), group("home=/srv"));
    assert_eq!(group("lang=C lang=").lang, None);
    assert_eq!(group("lang= C").lang.as_deref(), Some(&b"C"[..]), "as C mod_wsgi has it");
    for name in ["user", "group", "home", "umask", "script-user", "chroot"] {
        assert!(refusal(&format!("WSGIDaemonProcess shop {name}=")).contains("give it a value"), "{name}");
    }
}

#[test]
fn old_spellings_load_with_a_notice() {
    let reader = Reader::new().loads("WSGIDaemonProcess shop maximum_requests=10 display_name=x");
    assert_eq!(reader.server.daemons[0].options.maximum_requests, Some(10));
    assert_eq!(reader.around.notices.len(), 2);
    assert!(reader.around.notices[0].contains("write \"maximum-requests\""));
}

#[test]
fn groups_of_a_server_have_names_of_their_own() {
    let mut reader = Reader::new().loads("WSGIDaemonProcess shop threads=5").loads("WSGIDaemonProcess Shop");
    let sentence = reader.line("WSGIDaemonProcess shop").unwrap_err().to_string();
    assert!(sentence.starts_with("WSGIDaemonProcess can't be \"shop\"; this server has a group"), "{sentence}");
    let names: Vec<&[u8]> = reader.server.daemons.iter().map(|group| group.name.as_slice()).collect();
    assert_eq!(names, [b"shop", b"Shop"]);
}

#[test]
fn a_name_that_looks_like_a_form_is_warned_about() {
    let reader = Reader::new().loads("WSGIDaemonProcess %{GLOBAL}").loads("WSGIDaemonProcess 100%");
    assert_eq!(reader.around.warnings.len(), 1);
    assert!(reader.around.warnings[0].contains("\"%{GLOBAL}\" looks like"));
}

#[test]
fn groups_are_defined_in_servers_only() {
    for (main_server, level, allowed) in [
        (true, Level::Server, true),
        (false, Level::Server, true),
        (true, Level::Section, false),
        (false, Level::Htaccess, false),
    ] {
        let done = Reader::at(main_server, level).line("WSGIDaemonProcess shop");
        assert_eq!(done.is_ok(), allowed, "{level:?}: {done:?}");
    }
}
