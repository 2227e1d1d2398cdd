//! Tells the story: who does what, why, what came back, and whether it held.

use crate::cli::out::Out;
use crate::cli::stop::Stop;

/// The story so far.
pub struct Story {
    out: Out,
    chapter: u32,
    held: u32,
    failed: Vec<String>,
}

impl Story {
    /// Begins.
    pub fn new() -> Self {
        Self {
            out: Out::new(false),
            chapter: 0,
            held: 0,
            failed: Vec::new(),
        }
    }

    /// Begins a chapter.
    pub fn chapter(&mut self, title: &str) {
        self.chapter += 1;
        let heading = format!("{}. {title}", self.chapter);
        self.out.line(&format!(
            "\n{heading}\n{}",
            "─".repeat(heading.chars().count())
        ));
    }

    /// Says something.
    pub fn say(&mut self, text: &str) {
        self.out.line(text);
    }

    /// Shows a table or a message, moved in.
    pub fn show(&mut self, text: &str) {
        for line in text.lines() {
            self.out.line(&format!("    {line}"));
        }
    }

    /// Checks what the story claims.
    pub fn check(&mut self, holds: bool, claim: &str) {
        if holds {
            self.held += 1;
            self.out.line(&format!("  ✓ {claim}"));
        } else {
            self.out.line(&format!("  ✗ {claim}"));
            self.failed.push(format!("{}: {claim}", self.chapter));
        }
    }

    /// A chapter broke off.
    pub fn broke(&mut self, stop: &Stop) {
        let text = stop.to_string();
        self.out.line("  ✗ this was not to happen:");
        self.show(&text);
        let first = text.lines().next().unwrap_or_default();
        self.failed.push(format!("{}: {first}", self.chapter));
    }

    /// How many claims held.
    pub fn held(&self) -> u32 {
        self.held
    }

    /// The claims that did not hold, with their chapters.
    pub fn failed(&self) -> &[String] {
        &self.failed
    }
}
