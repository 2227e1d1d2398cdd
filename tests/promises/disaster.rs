//! docs/DISASTER.md, word by word: every block that it tells people to type is
//! typed, and what it says happens in between happens.

use crate::caller::connect;
use crate::place::Place;
use crate::process::Process;
use crate::restore::{all_dead, all_there, create, erase};
use std::fs;
use std::path::Path;
use std::process::Command;

const ALL: usize = 8;
const ERASED: usize = 3;

/// What the page says: a block to type, or a stage direction.
enum Line {
    Type(String),
    Happens(String),
}

fn page() -> Vec<Line> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/DISASTER.md");
    let text = fs::read_to_string(path).expect("docs/DISASTER.md");
    let (mut lines, mut found, mut is_next) = (text.lines(), Vec::new(), false);
    while let Some(line) = lines.next() {
        if line == "```sh" && is_next {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            found.push(Line::Type(block.join("\n")));
            is_next = false;
        } else if let Some(mark) = line.strip_prefix("<!-- ") {
            match mark.strip_suffix(" -->").expect("one line") {
                "drill" => is_next = true,
                happens => found.push(Line::Happens(happens.to_owned())),
            }
        }
    }
    found
}

/// Types a block in `dir`, as a shell with this `oubliette` does.
fn type_in(dir: &Path, block: &str) {
    let program = Path::new(env!("CARGO_BIN_EXE_oubliette"));
    let own = program.parent().expect("a directory").display().to_string();
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("bash")
        .args(["-e", "-c", block])
        .env("PATH", format!("{own}:{path}"))
        .current_dir(dir)
        .output()
        .expect("bash runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{block}\n{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_on_disasters_can_be_followed_word_by_word() {
    let place = Place::quick();
    let path = place.path();
    let dir = path.parent().expect("a directory");
    fs::create_dir(dir.join("elsewhere")).expect("made");
    let mut server = Some(Process::start(&place));
    let w = connect(&place, server.as_ref().expect("runs"), "acme/w00").await;
    create(&w, 0..ALL).await;
    drop(server.take());
    let mut typed = 0;
    for line in page() {
        match line {
            Line::Type(block) => {
                type_in(dir, &block);
                typed += 1;
            }
            Line::Happens(what) => match what.as_str() {
                "start" => server = Some(Process::start(&place)),
                "stop" => server.take().expect("runs").stop(),
                "life goes on" => {
                    let w = connect(&place, server.as_ref().expect("runs"), "acme/w00").await;
                    erase(&w, 0..ERASED).await;
                }
                "the erased are dead" => {
                    let w = connect(&place, server.as_ref().expect("runs"), "acme/w00").await;
                    all_dead(&w, 0..ERASED).await;
                    all_there(&w, ERASED..ALL).await;
                }
                lose => {
                    let file = lose.strip_prefix("lose ").expect("a direction");
                    for ending in ["", "-wal", "-shm"] {
                        let _ = fs::remove_file(place.data().join(format!("{file}{ending}")));
                    }
                    assert!(!place.data().join(file).exists());
                }
            },
        }
    }
    assert_eq!(typed, 6, "every block was typed");
}
