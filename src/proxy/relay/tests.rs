use std::fs::File;
use std::io::IoSlice;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

use super::*;
use crate::config::DaemonOptions;
use crate::os::window::Window;
use crate::proxy::testing::{Answer, Peer, Scripted, Site, hello};
use crate::wire::Body;

fn site() -> Site {
    Site::new(DaemonOptions { socket_timeout: Some(Duration::from_secs(9)), ..DaemonOptions::default() })
}

/// One request without a body, answered with these bytes; the worker then closes.
fn answered(client: &mut Scripted, answer: &[u8]) -> String {
    let site = site();
    let outcome = site.exchange(Body::None, client, |listeners| Peer::asked(&listeners[0]).say(answer));
    assert_eq!(site.load(0), 0);
    shown(&outcome)
}

fn shown(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Failed(failure) => format!("{} {}", failure.status(), failure.to_string().split(':').next().unwrap()),
        Outcome::Redirect(path) => format!("to {}", String::from_utf8_lossy(path)),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_small_answer_goes_out_in_one_pass() {
    let mut client = Scripted::default();
    assert_eq!(answered(&mut client, &hello()), "Done");
    assert_eq!(client.got, ["head 200 2", "end hello"]);
}

#[test]
fn early_hints_go_ahead_of_the_answer() {
    let hints = |value: &str| {
        let mut out = Vec::new();
        wire::encode_interim(&mut out, [(&b"Link"[..], value.as_bytes())]).unwrap();
        out
    };
    let mut client = Scripted::default();
    let answer = [hints("</a.css>"), hints("</b.css>"), hello()].concat();
    assert_eq!(answered(&mut client, &answer), "Done");
    assert_eq!(client.got, ["hint 1", "hint 1", "head 200 2", "end hello"]);

    // A request that a client has heard of has begun, and a worker's hints are looked at as its head is.
    let mut client = Scripted::default();
    assert_eq!(answered(&mut client, &hints("</a.css>")), "502 WSGI0146");
    assert_eq!(client.got, ["hint 1"]);
    let mut client = Scripted::default();
    assert_eq!(answered(&mut client, &[hints("a\r\nSet-Cookie: b"), hello()].concat()), "500 WSGI0148");
    assert_eq!(client.got, [""; 0]);
}

#[test]
fn an_answer_in_pieces_is_flushed_where_the_worker_pauses() {
    let (site, mut client) = (site(), Scripted::default());
    let outcome = site.exchange(Body::None, &mut client, |listeners| {
        let mut peer = Peer::asked(&listeners[0]);
        peer.say(&Answer::head("200 OK", &[]).0);
        std::thread::sleep(Duration::from_millis(40));
        peer.say(&Answer::default().data(b"one").0);
        std::thread::sleep(Duration::from_millis(40));
        peer.say(&Answer::default().data(b"two").data(b"three").end());
    });
    assert_eq!(shown(&outcome), "Done");
    assert_eq!(client.got, ["head 200 0", "flush", "flush one", "more twothree", "end"]);
}

#[test]
fn a_worker_may_pause_for_the_flush_delay() {
    let pieces = |listeners: &[UnixListener]| {
        let mut peer = Peer::asked(&listeners[0]);
        peer.say(&Answer::head("200 OK", &[]).data(b"one").0);
        std::thread::sleep(Duration::from_millis(40));
        peer.say(&Answer::default().data(b"two").end());
    };
    for (delay, flushed) in [(0, true), (60_000, false)] {
        let delay = Some(Duration::from_millis(delay));
        let (site, mut client) =
            (Site::new(DaemonOptions { response_flush_delay: delay, ..DaemonOptions::default() }), Scripted::default());
        assert_eq!(shown(&site.exchange(Body::None, &mut client, pieces)), "Done");
        assert_eq!(client.got.iter().any(|line| line.starts_with("flush")), flushed, "{delay:?}: {:?}", client.got);
    }
}

#[test]
fn large_data_is_passed_on_as_it_comes_and_flushed_after_the_buffer_size() {
    let options = DaemonOptions { response_buffer_size: Some(65_536), ..DaemonOptions::default() };
    let (site, mut client) = (Site::new(options), Scripted::default());
    let piece = vec![b'x'; 50_000];
    let answer = Answer::head("200 OK", &[]).data(&piece).data(&piece).end();
    let outcome = site.exchange(Body::None, &mut client, |listeners| Peer::asked(&listeners[0]).say(&answer));
    assert_eq!(shown(&outcome), "Done");
    let sent: Vec<_> = client.got.iter().filter(|line| line.contains("bytes")).collect();
    assert_eq!(sent, ["more 50000 bytes", "flush 50000 bytes"]);
    assert_eq!(client.got.last().unwrap(), "end");
}

#[test]
fn pieces_that_came_together_are_passed_on_together() {
    let (site, mut client) = (site(), Scripted::default());
    let piece = vec![b'x'; 10_000];
    let (mut answer, mut sent) = (Answer::head("200 OK", &[]), 0);
    for _ in 0..50 {
        answer = answer.data(&piece).data(b"small");
        sent += piece.len() + 5;
    }
    let answer = answer.end();
    let outcome = site.exchange(Body::None, &mut client, |listeners| Peer::asked(&listeners[0]).say(&answer));
    assert_eq!(shown(&outcome), "Done");
    let length = |line: &String| line.strip_suffix(" bytes")?.split(' ').nth(1)?.parse::<usize>().ok();
    assert_eq!(client.got.iter().filter_map(length).sum::<usize>(), sent, "{:?}", client.got);
    assert!(client.got.len() < 15, "{:?}", client.got);
}

#[test]
fn a_connection_is_used_again() {
    let site = site();
    let mut clients = [Scripted::default(), Scripted::default()];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut peer = Peer::accept(&site.listeners[0]);
            for _ in 0..2 {
                peer.request();
                peer.say(&hello());
            }
            assert!(peer.is_left());
        });
        for client in &mut clients {
            let outcome = crate::proxy::serve::exchange(
                &site.child,
                site.group(),
                false,
                &crate::proxy::testing::request(Body::None),
                client,
            );
            assert_eq!(shown(&outcome), "Done");
        }
        assert_eq!(site.idle(), 1);
        site.child.stop();
    });
}

#[test]
fn the_body_travels_when_the_worker_asks() {
    let (site, mut client) = (site(), Scripted::body(&["one", "two"]));
    let outcome = site.exchange(Body::Length(6), &mut client, |listeners| {
        let mut peer = Peer::asked(&listeners[0]);
        let mut heard = Vec::new();
        for most in [0, 4, 4, 4] {
            peer.say(&Answer::default().and(&FromWorker::WantBody(most)).0);
            peer.hear(|frame| {
                heard.push(match frame {
                    FromChild::Body(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
                    other => format!("{other:?}"),
                });
                true
            });
        }
        assert_eq!(heard, ["", "one", "two", "BodyEnd"]);
        peer.say(&hello());
    });
    assert_eq!(shown(&outcome), "Done");
    assert_eq!(client.got, ["continue", "head 200 2", "end hello"]);
}

#[test]
fn a_body_that_cant_be_read_decides_the_status_unless_the_application_answers() {
    for (error, status, line) in [
        (InputError::Timeout, 408, "WSGI0126"),
        (InputError::TooLarge, 413, "WSGI0126"),
        (InputError::ClientGone, 400, "WSGI0126"),
        (InputError::Failed("odd".to_owned()), 500, "WSGI0126"),
    ] {
        for own_answer in [false, true] {
            let (site, mut client) = (site(), Scripted::default());
            client.body.push_back(Err(error.clone()));
            let outcome = site.exchange(Body::Chunked, &mut client, |listeners| {
                let mut peer = Peer::asked(&listeners[0]);
                peer.say(&Answer::default().and(&FromWorker::WantBody(10)).0);
                assert!(peer.hear(|frame| matches!(frame, FromChild::BodyError(_))));
                match own_answer {
                    true => peer.say(&hello()),
                    false => peer.say(&Answer::default().and(&FromWorker::End(End::Status(500))).0),
                }
            });
            assert_eq!(client.logged(), [line]);
            assert_eq!(shown(&outcome), if own_answer { "Done".to_owned() } else { format!("Status({status})") });
        }
    }
}

#[test]
fn an_answer_that_ends_early_is_cut_off() {
    let head = || Answer::head("200 OK", &[]).data(b"half");
    let mut client = Scripted::default();
    assert_eq!(answered(&mut client, &head().and(&FromWorker::End(End::Aborted)).0), "Done");
    assert_eq!(client.got, ["head 200 0", "flush half", "cut"]);
    let mut client = Scripted::default();
    assert_eq!(answered(&mut client, &head().0), "Done");
    assert_eq!((client.logged(), client.got.last().unwrap().as_str()), (vec!["WSGI0119"], "cut"));
    let mut client = Scripted::default();
    assert_eq!(answered(&mut client, &[head().0, b"junk and more".to_vec()].concat()), "Done");
    assert_eq!((client.logged(), client.got.last().unwrap().as_str()), (vec!["WSGI0362"], "cut"));
}

#[test]
fn without_a_head_the_client_gets_httpds_page() {
    for (answer, expected) in [
        (Vec::new(), "502 WSGI0146"),
        (Answer::default().and(&FromWorker::End(End::Status(504))).0, "Status(504)"),
        (Answer::default().and(&FromWorker::End(End::Aborted)).0, "Status(500)"),
        (b"\xff junk that is no frame".to_vec(), "500 WSGI0148"),
        ([&[19, 0, 0, 0][..], &[255; 4]].concat(), "500 WSGI0148"),
        (Answer::head("200 OK", &[]).0[..9].to_vec(), "502 WSGI0146"),
        (Answer::default().data(b"before the head").0, "500 WSGI0148"),
        (Answer::head("200 OK\r\nX: y", &[]).0, "500 WSGI0148"),
        (Answer::head("200 OK", &[("X", "a\nb")]).0, "500 WSGI0148"),
        (Answer::head("200 OK", &[("X", &"a".repeat(40_000))]).0, "500 WSGI0144"),
        (Answer::default().and(&FromWorker::Log { level: 3, line: b"x" }).0, "502 WSGI0146"),
    ] {
        assert_eq!(answered(&mut Scripted::default(), &answer), expected);
    }
}

#[test]
fn a_worker_that_is_silent_times_out_before_and_behind_the_head() {
    let options = || DaemonOptions { socket_timeout: Some(Duration::from_millis(100)), ..DaemonOptions::default() };
    let quiet = |answer: Vec<u8>| {
        let (site, mut client) = (Site::new(options()), Scripted::default());
        let outcome = site.exchange(Body::None, &mut client, |listeners| {
            let mut peer = Peer::asked(&listeners[0]);
            peer.say(&answer);
            assert!(peer.is_left());
        });
        (shown(&outcome), client.logged().join(" "))
    };
    assert_eq!(quiet(Vec::new()), ("504 WSGI0145".to_owned(), String::new()));
    assert_eq!(quiet(Answer::head("200 OK", &[]).0), ("Done".to_owned(), "WSGI0118".to_owned()));
    // In mid-frame, too.
    let answer = Answer::head("200 OK", &[]).data(b"half of this").0;
    assert_eq!(quiet(answer[..9].to_vec()).0, "504 WSGI0145");
    assert_eq!(quiet(answer[..answer.len() - 6].to_vec()), ("Done".to_owned(), "WSGI0118".to_owned()));
}

#[test]
fn a_client_that_leaves_is_told_to_the_worker() {
    let (site, mut client) = (site(), Scripted { gone: true, ..Scripted::default() });
    let outcome = site.exchange(Body::None, &mut client, |listeners| {
        let mut peer = Peer::asked(&listeners[0]);
        peer.say(&Answer::head("200 OK", &[]).data(b"more to come").0);
        assert!(peer.is_left());
    });
    assert_eq!((shown(&outcome), client.logged().len()), ("Done".to_owned(), 0));
}

#[test]
fn a_local_location_is_a_redirect_within_httpd_for_status_200_only() {
    let answer = |status, path| Answer::head(status, &[("Location", path)]).data(b"dropped").end();
    let mut client = Scripted::default();
    assert_eq!(answered(&mut client, &answer("200 OK", "/other?x=1")), "to /other?x=1");
    assert_eq!(client.got, ["keep 200"]);
    assert_eq!(answered(&mut Scripted::default(), &answer("302 Found", "/other")), "Done");
    assert_eq!(answered(&mut Scripted::default(), &answer("200 OK", "http://h/other")), "Done");
}

#[test]
fn error_pages_replace_answers_where_asked() {
    let answer = |status| Answer::head(status, &[]).data(b"dropped").end();
    for (status, outcome) in [("404 Not Found", "Status(404)"), ("302 Found", "Done")] {
        let mut client = Scripted { error_override: true, ..Scripted::default() };
        assert_eq!(answered(&mut client, &answer(status)), outcome);
    }
    assert_eq!(answered(&mut Scripted::default(), &answer("404 Not Found")), "Done");
}

#[test]
fn what_is_not_wanted_is_skipped_and_the_connection_kept_unless_it_is_long() {
    for (length, kept) in [(1000, 1), (600_000, 0)] {
        let (site, mut client) = (site(), Scripted { error_override: true, ..Scripted::default() });
        let piece = vec![b'x'; length];
        let answer = Answer::head("500 Oh", &[]).data(&piece).data(&piece).end();
        let outcome = site.exchange(Body::None, &mut client, |listeners| {
            let mut peer = Peer::asked(&listeners[0]);
            // The child may leave in the middle.
            let _ = std::io::Write::write_all(&mut peer.stream, &answer);
        });
        assert_eq!((shown(&outcome), site.idle()), ("Status(500)".to_owned(), kept));
    }
}

#[test]
fn a_file_comes_as_a_descriptor() {
    let path = std::env::temp_dir().join(format!("mod_wsgi-relay-{}", std::process::id()));
    std::fs::write(&path, "0123456789").unwrap();
    let file = File::open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let with_file = |listeners: &[UnixListener], with: bool| {
        let mut peer = Peer::asked(&listeners[0]);
        peer.say(&Answer::head("200 OK", &[]).0);
        let frame = Answer::default().and(&FromWorker::File { offset: 2, length: 3 }).0;
        let rest = Answer::default().data(b"!").end();
        if with {
            let rights = [file.as_raw_fd()];
            let control = [ControlMessage::ScmRights(&rights)];
            let parts = [IoSlice::new(&frame)];
            sendmsg::<()>(peer.stream.as_raw_fd(), &parts, &control, MsgFlags::empty(), None).unwrap();
            peer.say(&rest);
        } else {
            // At once: the child hangs up at the frame.
            peer.say(&[frame, rest].concat());
        }
    };
    let (site, mut client) = (site(), Scripted::default());
    let outcome = site.exchange(Body::None, &mut client, |listeners| with_file(listeners, true));
    // In one pass or two.
    let sent: String = client.got.iter().filter_map(|line| line.split_once(' ')).map(|(_, text)| text).collect();
    assert_eq!((shown(&outcome), sent.trim_start_matches("200 0")), ("Done".to_owned(), "234!"));
    assert_eq!(site.idle(), 1);
    let mut client = Scripted::default();
    let site = self::site();
    let outcome = site.exchange(Body::None, &mut client, |listeners| with_file(listeners, false));
    assert_eq!((shown(&outcome), client.got.last().unwrap().as_str()), ("Done".to_owned(), "cut"));
}

/// Says the beginning of an answer with a window, whose memory goes along where there is some.
fn open_window(peer: &mut Peer, memory: Option<&OwnedFd>) {
    let frames = Answer::head("200 OK", &[]).and(&FromWorker::Window { size: 4096 }).0;
    let rights: Vec<i32> = memory.iter().map(|memory| memory.as_raw_fd()).collect();
    let control = [ControlMessage::ScmRights(&rights)];
    let control = if rights.is_empty() { &[] } else { control.as_slice() };
    sendmsg::<()>(peer.stream.as_raw_fd(), &[IoSlice::new(&frames)], control, MsgFlags::empty(), None).unwrap();
}

#[test]
fn parts_of_a_window_come_in_order_with_data_answer_after_answer() {
    let (site, mut client) = (site(), Scripted::default());
    let (mut window, memory) = Window::new(1024).unwrap();
    let mut peers = Vec::new();
    let outcome = site.exchange(Body::None, &mut client, |listeners| {
        let mut peer = Peer::asked(&listeners[0]);
        open_window(&mut peer, Some(&memory));
        assert!(window.fill(0, b"onetwo"));
        let parts = [(0, 3), (3, 3)].map(|(offset, length)| FromWorker::Part { offset, length });
        peer.say(&Answer::default().and(&parts[0]).data(b"-").and(&parts[1]).end());
        peers.push(peer);
    });
    let sent = |client: &Scripted| -> String {
        client.got.iter().filter_map(|line| line.split_once(' ')).map(|(_, text)| text).collect()
    };
    assert_eq!((shown(&outcome), sent(&client)), ("Done".to_owned(), "200 0one-two".to_owned()));
    assert_eq!(site.idle(), 1);
    // The next request on the same connection, whose worker fills the same memory.
    let mut client = Scripted::default();
    let outcome = site.exchange(Body::None, &mut client, |_| {
        let mut peer = peers.pop().unwrap();
        peer.request();
        assert!(window.fill(0, b"six"));
        peer.say(&Answer::head("200 OK", &[]).and(&FromWorker::Part { offset: 0, length: 3 }).end());
    });
    assert_eq!((shown(&outcome), sent(&client)), ("Done".to_owned(), "200 0six".to_owned()));
}

#[test]
fn what_is_no_part_of_a_window_cuts_the_answer_off() {
    let window = || Window::new(1024).unwrap().1;
    let part = |offset, length| Answer::default().and(&FromWorker::Part { offset, length }).end();
    let again = Answer::default().and(&FromWorker::Window { size: 4096 }).end();
    let cases: [(Option<OwnedFd>, Vec<u8>); 5] = [
        (Some(window()), part(4000, 97)),
        (Some(window()), again),
        (None, part(0, 1)),
        (Some(Window::new(1023).unwrap().1), part(0, 1)),
        (Some(File::open("/proc/self/exe").unwrap().into()), part(0, 1)),
    ];
    for (memory, rest) in cases {
        let (site, mut client) = (site(), Scripted::default());
        let outcome = site.exchange(Body::None, &mut client, |listeners| {
            let mut peer = Peer::asked(&listeners[0]);
            open_window(&mut peer, memory.as_ref());
            // The child may leave in the middle.
            let _ = std::io::Write::write_all(&mut peer.stream, &rest);
        });
        assert_eq!((shown(&outcome), client.got.last().unwrap().as_str(), site.idle()), ("Done".to_owned(), "cut", 0));
        assert_eq!(client.logged(), ["WSGI0362"]);
    }
    let (site, mut client) = (site(), Scripted::default());
    let outcome = site.exchange(Body::None, &mut client, |listeners| {
        Peer::asked(&listeners[0])
            .say(&Answer::head("200 OK", &[]).and(&FromWorker::Part { offset: 0, length: 1 }).end());
    });
    assert_eq!((shown(&outcome), client.got.last().unwrap().as_str()), ("Done".to_owned(), "cut"));
}

#[test]
fn a_window_is_had_though_its_answer_is_not_wanted() {
    let (site, mut client) = (site(), Scripted { error_override: true, ..Scripted::default() });
    let (_window, memory) = Window::new(1024).unwrap();
    let outcome = site.exchange(Body::None, &mut client, |listeners| {
        let peer = Peer::asked(&listeners[0]);
        let frames = Answer::head("500 Oh", &[]).and(&FromWorker::Window { size: 4096 });
        let frames = frames.and(&FromWorker::Part { offset: 0, length: 4096 }).end();
        let rights = [memory.as_raw_fd()];
        let control = [ControlMessage::ScmRights(&rights)];
        sendmsg::<()>(peer.stream.as_raw_fd(), &[IoSlice::new(&frames)], &control, MsgFlags::empty(), None).unwrap();
    });
    assert_eq!((shown(&outcome), site.idle()), ("Status(500)".to_owned(), 1));
}

#[test]
fn surplus_behind_the_end_closes_the_connection() {
    let (site, mut client) = (site(), Scripted::default());
    let answer = [hello(), hello()].concat();
    let outcome = site.exchange(Body::None, &mut client, |listeners| Peer::asked(&listeners[0]).say(&answer));
    assert_eq!((shown(&outcome), site.idle()), ("Done".to_owned(), 0));
}

#[test]
fn what_is_refused_or_unread_goes_elsewhere() {
    let (site, mut client) = (site(), Scripted::default());
    let outcome = site.exchange(Body::None, &mut client, |listeners| {
        // Refuses in words.
        let mut first = Peer::asked(&listeners[0]);
        first.say(&Answer::default().and(&FromWorker::Log { level: 6, line: b"x" }).and(&FromWorker::Refused).0);
        // Dies with the request unread.
        drop(Peer::accept(&listeners[0]));
        Peer::asked(&listeners[0]).say(&hello());
    });
    assert_eq!(shown(&outcome), "Done");
    assert_eq!(client.got, ["log x", "head 200 2", "end hello"]);
}

#[test]
fn a_body_that_came_with_the_head_goes_along_to_each_process_that_is_tried() {
    let (site, mut client) = (site(), Scripted::default());
    let whole = |peer: &mut Peer| {
        let is_whole = |frame: FromChild<'_>| match frame {
            FromChild::Request(request) => request.body == Body::Whole(b"a=b"),
            _ => false,
        };
        assert!(peer.hear(is_whole));
    };
    let outcome = site.exchange(Body::Whole(b"a=b"), &mut client, |listeners| {
        let mut first = Peer::accept(&listeners[0]);
        whole(&mut first);
        first.say(&Answer::default().and(&FromWorker::Refused).0);
        let mut second = Peer::accept(&listeners[0]);
        whole(&mut second);
        second.say(&hello());
    });
    assert_eq!(
        (shown(&outcome), client.got.as_slice()),
        ("Done".to_owned(), &["head 200 2", "end hello"].map(String::from)[..])
    );
}

#[test]
fn what_a_worker_has_read_and_not_begun_goes_elsewhere_and_never_what_it_has_begun() {
    for (marked, begun, expected) in
        [(true, 0, "Done"), (true, 1, "502 WSGI0146"), (true, 7, "502 WSGI0146"), (false, 0, "502 WSGI0146")]
    {
        let (site, mut client) = (site(), Scripted::default());
        let seat = site.seat();
        seat.open(Duration::ZERO);
        let outcome = site.exchange(Body::None, &mut client, |listeners| {
            let mut peer = Peer::accept(&listeners[0]);
            if marked {
                seat.connect(3, peer.connection);
            }
            peer.request();
            (0..begun).for_each(|_| seat.begin_on(3));
            // All of it was read, so this end looks like any other.
            drop(peer);
            if expected == "Done" {
                Peer::asked(&listeners[0]).say(&hello());
            }
        });
        assert_eq!(shown(&outcome), expected, "{marked} {begun}");
    }
}

#[test]
fn marks_count_the_requests_of_a_kept_connection() {
    let site = site();
    let seat = site.seat();
    for (begins, expected) in [(true, "502 WSGI0146"), (false, "Done")] {
        let mut clients = [Scripted::default(), Scripted::default()];
        let [first, second] = &mut clients;
        let mut kept = None;
        let outcome = site.exchange(Body::None, first, |listeners| {
            let mut peer = Peer::accept(&listeners[0]);
            seat.connect(0, peer.connection);
            peer.request();
            seat.begin_on(0);
            peer.say(&hello());
            kept = Some(peer);
        });
        assert_eq!(shown(&outcome), "Done");
        let outcome = site.exchange(Body::None, second, |listeners| {
            let mut peer = kept.take().unwrap();
            peer.request();
            if begins {
                seat.begin_on(0);
            }
            drop(peer);
            if !begins {
                Peer::asked(&listeners[0]).say(&hello());
            }
        });
        assert_eq!(shown(&outcome), expected);
        seat.disconnect(0);
    }
}

#[test]
fn a_kept_connection_that_died_is_replaced_in_silence() {
    let site = site();
    let mut clients = [Scripted::default(), Scripted::default()];
    for client in &mut clients {
        let outcome = site.exchange(Body::None, client, |listeners| {
            let mut peer = Peer::asked(&listeners[0]);
            peer.say(&hello());
        });
        assert_eq!((shown(&outcome), site.idle()), ("Done".to_owned(), 1));
    }
}

#[test]
fn refusals_end_with_503() {
    let options = DaemonOptions { connect_timeout: Some(Duration::from_millis(200)), ..DaemonOptions::default() };
    let (site, mut client) = (Site::new(options), Scripted::default());
    let began = Instant::now();
    let outcome = site.exchange(Body::None, &mut client, |listeners| {
        listeners[0].set_nonblocking(true).unwrap();
        while began.elapsed() < Duration::from_millis(600) {
            // Closed with the greeting unread.
            drop(listeners[0].accept());
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    assert!(["503 WSGI0116", "503 WSGI0124"].contains(&shown(&outcome).as_str()), "{outcome:?}");
    assert!((Duration::from_millis(200)..Duration::from_secs(1)).contains(&began.elapsed()));
}
