//! What an auditor is sent for a period: the numbers are those of what was
//! done, and the page shows them to a browser that can load nothing.

use crate::caller::{connect, named, record};
use crate::fails_closed::not_run;
use crate::page::{dom_of, has_chromium};
use crate::place::{Place, until};
use crate::process::Process;
use crate::provable::says;
use serde_json::Value as Json;
use std::fs;

fn sums(series: &Json) -> Vec<(String, u64)> {
    let series = series.as_object().expect("an object").iter();
    let sum = |bins: &Json| -> u64 {
        let bins = bins.as_array().expect("bins").iter();
        bins.map(|bin| bin.as_u64().expect("a number")).sum()
    };
    series
        .map(|(name, bins)| (name.clone(), sum(bins)))
        .collect()
}

fn named_sum(name: &str, many: u64) -> Vec<(String, u64)> {
    vec![(name.to_owned(), many)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_report_of_a_period_counts_what_was_done_and_a_browser_shows_it() {
    let place = Place::new();
    let server = Process::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    let other = connect(&place, &server, "acme/w01").await;
    let idle = connect(&place, &server, "acme/idle").await;
    for id in ["a", "b", "c", "d"] {
        w.create(id).await.expect("created");
        w.put(&record(id, "r"), named("A")).await.expect("written");
    }
    for id in ["a", "a", "b", "c", "d"] {
        w.get(&record(id, "r")).await.expect("read");
    }
    other.get(&record("d", "r")).await.expect("read");
    assert!(idle.get(&record("a", "r")).await.is_err());
    w.erase("d").await.expect("erased");
    w.close_to_the_end().await;

    // Beside the running vault.
    place.has_checkpoint().await;
    let (dir, out) = (place.path(), place.path().join("report.html"));
    let (dir, out) = (dir.to_str().unwrap(), out.to_str().unwrap());
    let ask = [
        "audit", "report", "--dir", dir, "--from", "1h", "--out", out,
    ];
    let ask = [&ask[..], &["--json", "--count-customers"]].concat();
    let mut report = Json::Null;
    until("all is sealed", async || {
        report = serde_json::from_str(&says(0, &ask)).expect("JSON");
        report["unsealed"] == 0 && report["verdicts"]["purged"] == 1
    })
    .await;
    assert_eq!(sums(&report["reads_by_purpose"]), named_sum("care", 6));
    let services = [("acme/w00".to_owned(), 5), ("acme/w01".to_owned(), 1)];
    assert_eq!(sums(&report["reads_by_service"]), services);
    let denied = report["denials"].as_object().expect("an object").len();
    assert_eq!(denied, 1, "{}", report["denials"]);
    assert_eq!(report["denied_services"]["acme/idle"], 1);
    assert_eq!(sums(&report["erasures"]), named_sum("erased", 1));
    let turns = report["turns"].as_array().expect("turns").iter();
    let turns: Vec<_> = turns.map(|turn| turn["what"].as_str().unwrap()).collect();
    assert_eq!(turns, ["epoch_opened", "epoch_closed"]);
    let seen = &report["customers"];
    assert_eq!(seen["acme/w00"]["distinct"], 3, "{seen}");
    assert_eq!(seen["acme/w00"]["forgotten_reads"], 1, "{seen}");
    assert_eq!(seen["acme/w01"]["distinct"], 0, "{seen}");
    assert_eq!(seen["acme/w01"]["forgotten_reads"], 1, "{seen}");

    // Another period, and none.
    let before = [
        "audit", "report", "--dir", dir, "--from", "2h", "--to", "1h", "--json",
    ];
    let empty: Json = serde_json::from_str(&says(0, &before)).expect("JSON");
    assert_eq!(empty["entries"], 0);
    let never = [
        "audit", "report", "--dir", dir, "--from", "1h", "--to", "2h", "--json",
    ];
    assert!(says(1, &never).contains("must end after it begins"));

    let page = fs::read_to_string(out).expect("a page");
    assert!(page.contains("default-src 'none'"));
    for outside in ["src=", "href=", "<script", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    if !has_chromium() {
        let why = "Debian's chromium is not installed: apt-get install chromium";
        return not_run("the audit report in Chromium", why);
    }
    let shown = dom_of(out.as_ref());
    for part in [
        "<h1>Audit report</h1>",
        "<svg role=\"img\" aria-label=\"Reads by service\"",
        "<b>6</b>records read",
        "<td>acme/w00</td><td class=\"n\">3</td><td class=\"n\">1</td>",
        "epoch closed",
    ] {
        assert!(shown.contains(part), "{part} is missing in:\n{shown}");
    }
}
