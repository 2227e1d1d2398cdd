//! Secrets that people type: never shown, never an argument, where every user
//! of the machine would see them.

use super::out::note;
use super::stop::{Done, Stop};
use crate::limits;
use crate::secret::SecretText;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Read, stdin};
use std::path::Path;
use zeroize::Zeroizing;

/// How often a secret is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// It is known.
    Once,
    /// It is new, so that a slip would lock its owner out.
    Twice,
}

/// Asks for a secret on the terminal.
pub fn ask(prompt: &str, asked: Asked) -> Done<SecretText> {
    if !stdin().is_terminal() {
        return Err(Stop::Usage(
            "there is no terminal to ask on; give the secret in a file".to_owned(),
        ));
    }
    let first = hidden(prompt)?;
    if asked == Asked::Twice && hidden("The same again: ")?.expose() != first.expose() {
        return Err(Stop::Failed("the two differ; nothing was done".to_owned()));
    }
    Ok(first)
}

/// Reads a line that the terminal does not show.
fn hidden(prompt: &str) -> Done<SecretText> {
    let failed = |_| Stop::Failed("the terminal cannot be told to hide what is typed".to_owned());
    let before = tcgetattr(stdin()).map_err(failed)?;
    let mut quiet = before.clone();
    quiet.local_modes.remove(LocalModes::ECHO);
    note(prompt);
    tcsetattr(stdin(), OptionalActions::Flush, &quiet).map_err(failed)?;
    let read = one_line(&mut stdin().lock());
    let restored = tcsetattr(stdin(), OptionalActions::Flush, &before).map_err(failed);
    restored.and(read)
}

fn one_line(from: &mut impl BufRead) -> Done<SecretText> {
    let failed = |_| Stop::Failed("the line cannot be read as text".to_owned());
    let most = u64::try_from(limits::UNLOCK_BYTES).unwrap_or(u64::MAX);
    let mut line = Zeroizing::new(String::with_capacity(limits::UNLOCK_BYTES));
    from.take(most).read_line(&mut line).map_err(failed)?;
    Ok(SecretText::new(
        line.trim_end_matches(['\n', '\r']).to_owned(),
    ))
}

/// The lines of a file, or with `-` of stdin; empty ones are left out.
pub fn lines_of(file: &Path) -> Done<Vec<SecretText>> {
    let mut from: Box<dyn BufRead> = if file == Path::new("-") {
        Box::new(BufReader::new(stdin()))
    } else {
        let opened = File::open(file).map_err(|why| Stop::file(file, "opened", &why))?;
        Box::new(BufReader::new(opened))
    };
    let mut lines = Vec::new();
    loop {
        let at_end = from.fill_buf().is_ok_and(<[u8]>::is_empty);
        if at_end || lines.len() > usize::from(limits::UNLOCK_SHARES) {
            return Ok(lines);
        }
        let line = one_line(&mut from)?;
        if !line.expose().is_empty() {
            lines.push(line);
        }
    }
}
