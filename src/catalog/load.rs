//! Loads a catalog from its directory, all of it or nothing.

use super::{Catalog, Controller, Notice, Purpose, RecordType, Section, read_text};
use crate::error::{Error, Result};
use crate::id::{CatalogName, FieldNumber};
use crate::limits;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

impl Catalog {
    /// Loads and checks the catalog in a directory. The error is an
    /// [`Error::Setup`] that names the file, the line and the key.
    pub fn load(dir: &Path) -> Result<Self> {
        for (name, path) in entries(dir)? {
            let parts = ["catalog.toml", "types", "purposes", "notices"];
            if !parts.contains(&name.as_str()) {
                let what = "does not belong here: a catalog is catalog.toml, types/, purposes/ \
                            and notices/";
                return Err(refused(&path, what));
            }
        }
        let mut hash = Sha256::new();
        let root = dir.join("catalog.toml");
        let text = read_hashed(&root, "catalog.toml", &mut hash)?;
        let shown = root.display().to_string();
        let mut section = Section::parse(&shown, &text)?;
        let version = section.need("version")?.number(1, u32::MAX.into())?;
        let title = section.need("title")?.text(limits::TITLE_BYTES)?.to_owned();
        let controllers = Controller::read_all(section.take("controllers"))?;
        section.finish()?;

        let mut types = BTreeMap::new();
        read_each(&dir.join("types"), &mut hash, |name, section| {
            types.insert(name.clone(), Arc::new(RecordType::read(name, section)?));
            Ok(())
        })?;
        let mut notices = BTreeMap::new();
        let told = dir.join("notices");
        if told.exists() {
            read_each(&told, &mut hash, |name, section| {
                notices.insert(name, Notice::read(section, &types)?);
                Ok(())
            })?;
        }
        let mut purposes = BTreeMap::new();
        read_each(&dir.join("purposes"), &mut hash, |name, section| {
            let notice = notices.remove(&name);
            let purpose = Purpose::read(name.clone(), section, &types, notice)?;
            purposes.insert(name, Arc::new(purpose));
            Ok(())
        })?;
        if let Some(of_none) = notices.keys().next() {
            let what = format!("{of_none}.toml is the notice of no purpose of this catalog");
            return Err(refused(&told, &what));
        }
        let types_by_number = numbered(dir, "types", types.values(), |t| (t.number, &t.name))?;
        let of_purpose = purposes.values();
        let purposes_by_number = numbered(dir, "purposes", of_purpose, |p: &Purpose| {
            (p.number, &p.name)
        })?;
        Ok(Self {
            version: u32::try_from(version).unwrap_or(u32::MAX),
            title,
            controllers,
            hash: hash.finalize().into(),
            collectors: collectors(purposes.values()),
            types,
            types_by_number,
            purposes,
            purposes_by_number,
        })
    }

    /// Whether this catalog may take the place of `old`: the version rises
    /// with every change, and numbers and kinds keep their meaning, since
    /// stored data is read by them.
    pub fn may_follow(&self, old: &Catalog) -> Result<()> {
        let setup = |what: String| Err(Error::Setup(what));
        if self.hash != old.hash && self.version <= old.version {
            return setup(format!(
                "catalog.toml: version: the catalog changed, so it must be more than {}",
                old.version
            ));
        }
        for before in old.record_types() {
            let Some(now) = self.record_type_by_number(before.number) else {
                continue;
            };
            if now.name != before.name {
                return setup(format!(
                    "types/{}.toml: number: {} was the number of another record type; take a new one",
                    now.name, now.number
                ));
            }
            for field in now.fields() {
                let same = |old: &super::Field| old.name == field.name && old.kind == field.kind;
                if before
                    .field_by_number(field.number)
                    .is_some_and(|old| !same(old))
                {
                    return setup(format!(
                        "types/{}.toml: fields.{}: number {} belonged to a field of another \
                         name or kind; take a new number",
                        now.name, field.name, field.number.0
                    ));
                }
            }
        }
        for before in old.purposes() {
            let taken =
                |now: &&Arc<Purpose>| now.number == before.number && now.name != before.name;
            if let Some(now) = self.purposes().find(taken) {
                return setup(format!(
                    "purposes/{}.toml: number: {} was the number of another purpose; take a new one",
                    now.name, now.number
                ));
            }
            let (Some(now), Some(told)) = (self.purpose(before.name.as_str()), &before.notice)
            else {
                continue;
            };
            if !now.notice.as_ref().is_some_and(|notice| notice.keeps(told)) {
                return setup(format!(
                    "notices/{}.toml: a published version was changed or is gone; put it back \
                     as it was and write what changed as a new version",
                    now.name
                ));
            }
        }
        Ok(())
    }
}

fn refused(path: &Path, what: &str) -> Error {
    Error::Setup(format!("{}: {what}", path.display()))
}

/// A directory's entries by name; names that begin with a dot are passed over.
fn entries(dir: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let unreadable = |e: std::io::Error| refused(dir, &format!("cannot be listed: {}", e.kind()));
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name();
        let name = name
            .to_str()
            .ok_or_else(|| refused(dir, "holds a name that is not UTF-8"))?;
        if !name.starts_with('.') {
            found.insert(name.to_owned(), entry.path());
        }
        if found.len() > limits::CATALOG_ENTRIES {
            return Err(refused(
                dir,
                &format!("holds more than {} files", limits::CATALOG_ENTRIES),
            ));
        }
    }
    Ok(found)
}

fn read_hashed(path: &Path, name: &str, hash: &mut Sha256) -> Result<String> {
    let text = read_text(path)?;
    for part in [name, &text] {
        let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
        hash.update(length.to_be_bytes());
        hash.update(part.as_bytes());
    }
    Ok(text)
}

/// Reads every `<name>.toml` of a directory, in the order of their names.
fn read_each(
    dir: &Path,
    hash: &mut Sha256,
    mut read: impl FnMut(CatalogName, Section<'_>) -> Result<()>,
) -> Result<()> {
    let found = entries(dir)?;
    if found.is_empty() {
        return Err(refused(dir, "holds no .toml file; declare at least one"));
    }
    for (file_name, path) in found {
        let name = file_name.strip_suffix(".toml").and_then(CatalogName::parse);
        let name = name.ok_or_else(|| {
            refused(
                &path,
                "must be named <name>.toml, the name a-z, then a-z 0-9 _",
            )
        })?;
        let text = read_hashed(&path, &file_name, hash)?;
        let shown = path.display().to_string();
        read(name, Section::parse(&shown, &text)?)?;
    }
    Ok(())
}

/// Things by number; a number used twice is refused.
fn numbered<'a, T: 'a>(
    dir: &Path,
    folder: &str,
    things: impl Iterator<Item = &'a Arc<T>>,
    of: impl Fn(&T) -> (u16, &CatalogName),
) -> Result<HashMap<u16, Arc<T>>> {
    let mut by_number: HashMap<u16, Arc<T>> = HashMap::new();
    for thing in things {
        let (number, name) = of(thing);
        if let Some(other) = by_number.insert(number, thing.clone()) {
            let path = dir.join(folder).join(format!("{name}.toml"));
            let what = format!("number: {number} is also the number of {}", of(&other).1);
            return Err(refused(&path, &what));
        }
    }
    Ok(by_number)
}

/// The live purposes that collect each field.
fn collectors<'a>(
    purposes: impl Iterator<Item = &'a Arc<Purpose>>,
) -> HashMap<(u16, FieldNumber), Vec<Arc<Purpose>>> {
    let mut collectors: HashMap<_, Vec<Arc<Purpose>>> = HashMap::new();
    for purpose in purposes.filter(|p| p.is_live() && p.scope.collects) {
        for record_type in purpose.scope.record_types() {
            for (field, _) in purpose.scope.granted(record_type) {
                let of_field = collectors.entry((record_type, field)).or_default();
                of_field.push(purpose.clone());
            }
        }
    }
    collectors
}
