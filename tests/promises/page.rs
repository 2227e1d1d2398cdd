//! The page on which a customer checks their certificate, in Debian's headless
//! Chromium: what it says of one that holds, and of ten thousand that do not.

use crate::caller::connect;
use crate::certificate::{bits, public_key, settled};
use crate::fails_closed::not_run;
use crate::place::{Place, Server, is_long};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

const CHROMIUM: &str = "chromium";
const FLAGS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--dump-dom",
    // Until all that the page began has ended.
    "--virtual-time-budget=600000",
    "--host-resolver-rules=MAP * ~NOTFOUND",
];

/// What a driver adds to the page: fills it in as a person would, then tries
/// every flipped bit.
const DRIVER: &str = r#"<script>
(async () => {
  const { file, key, bits } = JSON.parse(document.getElementById("case").textContent);
  document.getElementById("text").value = file;
  document.getElementById("key").value = key;
  await look();
  let refused = 0;
  for (const bit of bits) {
    const bytes = utf8.encode(file);
    bytes[bit >> 3] ^= 1 << (bit & 7);
    refused += (await verify(bytes, key)).holds ? 0 : 1;
  }
  const told = document.createElement("output");
  told.textContent = refused + " of " + bits.length + " refused";
  document.body.append(told);
})();
</script>"#;

/// The page after it has looked at a certificate.
fn looked_at(place: &Place, file: &str, key: &str, bits: &[usize]) -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/verify.html");
    let page = fs::read_to_string(page).expect("the page");
    let case = serde_json::json!({"file": file, "key": key, "bits": bits}).to_string();
    let case = case.replace('<', "\\u003c");
    let case = format!("<script type=\"application/json\" id=\"case\">{case}</script>");
    let driven = page.replace("</body>", &format!("{case}{DRIVER}</body>"));
    let path = place.path().with_extension("html");
    fs::write(&path, driven).expect("written");
    dom_of(&path)
}

/// A page as Chromium has it after all that it began has ended.
pub fn dom_of(path: &Path) -> String {
    let profile = tempfile::tempdir().expect("a directory");
    let shown = Command::new("timeout")
        .args(["300", CHROMIUM])
        .args(FLAGS)
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("file://{}", path.display()))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .expect("it runs");
    assert!(shown.status.success(), "{}", shown.status);
    String::from_utf8(shown.stdout).expect("text")
}

pub fn has_chromium() -> bool {
    let version = Command::new(CHROMIUM).arg("--version").output();
    version.is_ok_and(|output| output.status.success())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_tells_a_certificate_that_holds_from_one_that_was_changed() {
    if !has_chromium() {
        let why = "Debian's chromium is not installed: apt-get install chromium";
        return not_run("verify.html in Chromium", why);
    }
    let flips = if is_long() { 10_000 } else { 300 };
    let place = Place::quick();
    let server = Server::start(&place);
    let w = connect(&place, &server, "acme/w00").await;
    w.create("somebody-1").await.expect("created");
    let file = settled(&place, &w, "somebody-1").await.document;
    let key = public_key(&place).to_string();
    let flips = bits(file.len(), flips);
    let shown = looked_at(&place, &file, &key, &flips);
    for said in [
        "data-holds=\"yes\"",
        "The certificate holds.",
        "<dd>somebody-1</dd>",
        "The keys were destroyed, and then the unreadable rest was deleted too.",
        "the proof in this certificate holds",
        &format!("<output>{0} of {0} refused</output>", flips.len()),
    ] {
        assert!(shown.contains(said), "{said} is missing in:\n{shown}");
    }
    println!("Chromium: {0} of {0} flipped bits refused", flips.len());

    // Another key, and another customer.
    let other = key.replace("oubliette.internal", "oubliette.external");
    let other_customer = file.replace("somebody-1", "somebody-2");
    for (file, key, why) in [
        (&file, &other, "that is no public key"),
        (
            &other_customer,
            &key,
            "it is not about the customer that the file names",
        ),
    ] {
        let shown = looked_at(&place, file, key, &[]);
        assert!(shown.contains("data-holds=\"no\""), "{why}");
        assert!(shown.contains("The certificate does not hold."), "{why}");
        assert!(shown.contains(why), "{why} is missing in:\n{shown}");
    }
}

#[test]
fn the_page_loads_nothing_from_anywhere() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/verify.html");
    let page = fs::read_to_string(page).expect("the page");
    assert!(page.contains("default-src 'none'"));
    for call in [
        "src=",
        "href=",
        "http:",
        "https:",
        "fetch(",
        "XMLHttpRequest",
        "import(",
    ] {
        assert!(!page.contains(call), "{call}");
    }
}
