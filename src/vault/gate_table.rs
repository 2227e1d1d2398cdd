//! The gate, every state of it: `tests/golden/gate.txt` says for each basis,
//! each thing that can have been said of it, and each standing of the customer,
//! what a read comes to. Run with `UPDATE_GOLDEN=1` to write it anew, then read
//! what changed.

use super::keyring::Keyring;
use super::open::permit;
use crate::access::{
    Access, Cause, Grant, Moment, Read, ReadAsk, ReadMode, ReadTarget, Restrained, Scope, Snapshot,
    Sources, Standing, State, Status,
};
use crate::catalog::Form;
use crate::clock::Day;
use crate::crypto::{Deployment, MasterKey};
use crate::error::Error;
use crate::id::{CustomerNumber, RecordName, ServiceName, TenantName, TenantNumber};
use crate::store::{CustomerKeys, CustomerRow, Fence, KeyRow};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// 2026-11-23.
const TODAY: Day = Day(20_780);
const YESTERDAY: Day = Day(20_779);
const CUSTOMER: CustomerNumber = CustomerNumber(7);
const TENANT: TenantNumber = TenantNumber(1);

/// Purposes, in the order of the table: name, number, keys, the line that says
/// what it is.
const PURPOSES: [(&str, u16, &str, &str); 6] = [
    (
        "consent",
        1,
        "basis = \"consent\"\nmechanism = \"opt_in\"",
        "consent, art. 6(1)(a): nothing before the customer said yes",
    ),
    (
        "contract",
        2,
        "basis = \"contract\"\nmechanism = \"notice_only\"",
        "a contract, art. 6(1)(b), that holds for every customer of the tenant",
    ),
    (
        "asserted",
        3,
        "basis = \"contract\"\nmechanism = \"notice_only\"\nassert = true",
        "a contract that must be asserted customer by customer",
    ),
    (
        "obligation",
        4,
        "basis = \"legal_obligation\"\nmechanism = \"notice_only\"",
        "a legal obligation, art. 6(1)(c)",
    ),
    (
        "interest",
        5,
        "basis = \"legitimate_interest\"\nmechanism = \"opt_out\"",
        "a legitimate interest, art. 6(1)(f): until the customer objects",
    ),
    (
        "exempt",
        6,
        "basis = \"legitimate_interest\"\nmechanism = \"notice_only\"\ndespite_restriction = true",
        "legal claims: an exception of art. 18(2), also while restricted or held",
    ),
];

const PERSON: &str = "number = 1\nversion = 1\ntitle = \"P\"\n\
    [fields.name]\nnumber = 1\nkind = \"string\"\nclassification = \"user.name\"\nmax_bytes = 10\n\
    [fields.born]\nnumber = 2\nkind = \"date\"\nclassification = \"user.demographic.date_of_birth\"\n\
    [fields.health]\nnumber = 3\nkind = \"string\"\nclassification = \"user.health_and_medical\"\nspecial = true\nmax_bytes = 10\n\
    [fields.other]\nnumber = 4\nkind = \"string\"\nclassification = \"user.content\"\nmax_bytes = 10\n";

fn snapshot() -> Arc<Snapshot> {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    file("catalog/catalog.toml", "version = 1\ntitle = \"T\"\n");
    file("catalog/types/person.toml", PERSON);
    for (name, number, keys, _) in PURPOSES {
        let rest = "callers = [\"nurse\"]\nspecial_basis = \"explicit_consent\"\n\
             [grants.person]\nname = \"raw\"\nborn = \"derived:year\"\nhealth = \"raw\"\n";
        let text = format!("number = {number}\ntitle = \"T\"\n{keys}\n{rest}");
        file(&format!("catalog/purposes/{name}.toml"), &text);
        let scope = rest.replace("[grants.", "[versions.2.tells.grants.");
        let notice = format!(
            "[versions.2]\npublished = 2026-01-01\nmaterial = true\n[versions.2.text]\nen = \"T\"\n\
             [versions.2.tells]\n{keys}\n{scope}"
        );
        file(&format!("catalog/notices/{name}.toml"), &notice);
    }
    let roles = "[roles]\nnurse = \"N\"\n[principals.\"a/nurse\"]\nroles = [\"nurse\"]\n";
    file("roles.toml", roles);
    let policy = "@id(\"all\") permit (principal, action, resource);";
    file("policy.cedar", policy);
    let access = Access::load(Sources {
        catalog: dir.path().join("catalog"),
        roles: dir.path().join("roles.toml"),
        policy: dir.path().join("policy.cedar"),
    });
    access.unwrap_or_else(|error| panic!("{error}")).now()
}

fn grant(rules: &Snapshot, purpose: &str, fields: &[&str]) -> Result<Arc<Grant<Read>>, Error> {
    let tenant = TenantName::parse("a").unwrap();
    let nurse = rules.principal(&tenant, &ServiceName::parse("nurse").unwrap());
    let fields: Vec<String> = fields.iter().map(|f| (*f).to_owned()).collect();
    let ask = ReadAsk {
        target: ReadTarget::One(RecordName::parse("name", "customers/c/records/r").unwrap()),
        record_type: "person",
        purpose,
        fields: &fields,
        mode: ReadMode::AllOrNothing,
        with_handle: false,
        today: TODAY,
    };
    rules.read(nurse.unwrap(), ask).map(Arc::new)
}

/// One state of everything that the gate asks.
#[derive(Clone, Copy)]
struct Case {
    status: Status,
    /// What was said has an end, and it has come.
    is_over: bool,
    /// It was said to the notice before the last material change.
    is_old_notice: bool,
    /// A restore came after it that cannot be proven complete.
    is_unproven: bool,
    restricted: bool,
    held: bool,
    erased: bool,
    explicit: bool,
}

/// A vault with one customer, as far as their keys and their row go.
struct Scene {
    keyring: Keyring,
    page: crate::store::PageRow,
    identity: Vec<u8>,
    field: Vec<u8>,
}

impl Scene {
    fn new() -> Self {
        let keyring = Keyring::new(Deployment([0; 16]));
        keyring.unseal(BTreeMap::from([(1, MasterKey::generate().unwrap())]));
        let page = keyring.new_customer_page(0).unwrap().row;
        let (identity, field, _) = keyring.new_customer(TENANT, CUSTOMER, &page).unwrap();
        Self {
            keyring,
            page,
            identity,
            field,
        }
    }

    /// What the key rows hold: after an erasure nothing but the fence.
    fn rows(&self, erased: bool) -> CustomerKeys {
        let there = |wrapped: &Vec<u8>, generation| KeyRow {
            generation,
            wrapped: wrapped.clone(),
        };
        CustomerKeys {
            compromised: 0,
            tenant: (!erased).then_some(TENANT),
            identity: (!erased).then(|| there(&self.identity, 0)),
            fields: if erased {
                vec![]
            } else {
                vec![there(&self.field, 1)]
            },
            page: Some(self.page.clone()),
            fence: erased.then_some(Fence {
                epoch: 1,
                day: TODAY,
                fingerprint: [0; 32],
            }),
        }
    }

    /// What a read of the case comes to, by the very steps of every read.
    fn outcome(&self, rules: &Snapshot, purpose: u16, fields: &[&str], case: Case) -> String {
        let name = PURPOSES[usize::from(purpose) - 1].0;
        let read = || {
            let grant = grant(rules, name, fields)?;
            let keys = self.keyring.customer(CUSTOMER, self.rows(case.erased))?;
            let mut state = State::active();
            for (is_so, what) in [
                (case.restricted, Restrained::Restricted(Cause::Asked)),
                (case.held, Restrained::Held(Scope::Customer)),
            ] {
                if is_so {
                    state.restrain(what)?;
                }
            }
            state.set(Standing {
                status: case.status,
                expires: case.is_over.then_some(YESTERDAY),
                notice: if case.is_old_notice { 1 } else { 2 },
                ..Standing::unknown(purpose, false)
            })?;
            if case.explicit {
                state.set(Standing {
                    status: Status::Given,
                    notice: 2,
                    ..Standing::unknown(purpose, true)
                })?;
            }
            let row = CustomerRow {
                tenant: TENANT,
                created: TODAY,
                records: 1,
                next_record: 2,
                state: state.encode(),
                state_mac: state.mac(&keys.identity.state, CUSTOMER).to_vec(),
                sealed_id: vec![],
            };
            let moment = Moment {
                today: TODAY,
                lineage: case.is_unproven.into(),
            };
            permit(&grant, &keys, &row, moment)
        };
        match read() {
            Ok(permit) => {
                let forms = permit.target().fields.iter().map(|f| f.form);
                let raw = forms.clone().all(|form| form == Form::Raw);
                if raw { "reads" } else { "derived" }.to_owned()
            }
            Err(error) => error.reason().to_owned(),
        }
    }
}

const BOTH: [bool; 2] = [false, true];

fn every_case() -> Vec<Case> {
    let mut all = Vec::new();
    for status in Status::ALL {
        for bits in 0..128_u32 {
            let bit = |at: u32| bits & (1 << at) != 0;
            all.push(Case {
                status,
                is_over: bit(6),
                is_old_notice: bit(5),
                is_unproven: bit(4),
                explicit: bit(3),
                erased: bit(2),
                held: bit(1),
                restricted: bit(0),
            });
        }
    }
    all
}

/// What must hold of every single state, whatever the table says.
fn check(purpose: &str, fields: &[&str], case: Case, outcome: &str) {
    let reads = outcome == "reads" || outcome == "derived";
    let is_exempt = purpose == "exempt";
    let needs_yes = purpose == "consent";
    let is_yes = matches!(case.status, Status::Given | Status::Renewed);
    let forbidden = [
        (case.erased, "erased"),
        (case.restricted && !is_exempt, "restricted"),
        (case.held && !is_exempt, "held"),
        (needs_yes && !is_yes, "no consent"),
        (needs_yes && case.is_over, "expired"),
        (needs_yes && case.is_old_notice, "another notice"),
        (needs_yes && case.is_unproven, "an unproven restore"),
        (purpose == "interest" && case.status.is_no(), "objected"),
        (
            purpose == "asserted" && case.status != Status::Asserted,
            "not asserted",
        ),
        (fields.contains(&"other"), "not in the purpose"),
        (
            fields.contains(&"health") && !case.explicit,
            "no explicit consent",
        ),
    ];
    for (holds, what) in forbidden {
        assert!(
            !(reads && holds),
            "{purpose} {fields:?} {:?}: {what}",
            case.status
        );
    }
    if fields == ["born"] {
        assert_ne!(outcome, "reads", "never more than the ceiling");
    }
}

fn table() -> String {
    let (rules, scene) = (snapshot(), Scene::new());
    let mut out = String::from(
        "What a read comes to: for each basis, what was said of it (down) and how the\n\
         customer stands (across). \"over\": what was said had an end that has come. A\n\
         reason in capitals is the denial. Every state of hold, restriction, erasure,\n\
         status, expiry, notice, restore and explicit consent was asked for each of\n\
         four reads; the lines below are all that they came to.\n",
    );
    let mut cases = 0;
    for (name, number, _, what) in PURPOSES {
        writeln!(out, "\n{name}: {what}").unwrap();
        for fields in [["name"], ["born"], ["health"], ["other"]] {
            let title = match fields {
                ["name"] => "a field it needs, raw",
                ["born"] => "a field of which its ceiling is the year",
                ["health"] => "a field of a special category, art. 9",
                _ => "a field that it does not need",
            };
            // What differs, folded: (columns) -> what was said.
            let mut folded: Vec<(Vec<String>, Vec<String>)> = Vec::new();
            let all = every_case();
            let rows = all.chunk_by(|a, b| a.status == b.status);
            for chunk in rows {
                for (key, label) in row_keys(chunk) {
                    let row: Vec<&Case> = chunk.iter().filter(|c| row_key(c) == key).collect();
                    let columns: Vec<String> = row
                        .iter()
                        .map(|case| {
                            let outcome = scene.outcome(&rules, number, &fields, **case);
                            check(name, &fields, **case, &outcome);
                            cases += 1;
                            outcome
                        })
                        .collect();
                    match folded.iter_mut().find(|(c, _)| *c == columns) {
                        Some((_, labels)) => labels.push(label),
                        None => folded.push((columns, vec![label])),
                    }
                }
            }
            writeln!(out, "  {title}").unwrap();
            for (columns, labels) in folded {
                write_row(&mut out, &columns, &labels);
            }
        }
    }
    writeln!(out, "\n{cases} states were asked.").unwrap();
    out
}

type RowKey = (bool, bool, bool, bool);

fn row_key(case: &Case) -> RowKey {
    (
        case.is_over,
        case.is_old_notice,
        case.is_unproven,
        case.explicit,
    )
}

/// The rows of a status, with what they are called.
fn row_keys(chunk: &[Case]) -> Vec<(RowKey, String)> {
    let status = chunk[0].status.name();
    let mut keys = Vec::new();
    for is_over in BOTH {
        for old in BOTH {
            for unproven in BOTH {
                for explicit in BOTH {
                    let words = [
                        (is_over, "over"),
                        (old, "to an older notice"),
                        (unproven, "before an unproven restore"),
                        (explicit, "with explicit consent"),
                    ];
                    let said = words.iter().filter(|(on, _)| *on).map(|(_, word)| *word);
                    let label: Vec<&str> = std::iter::once(status).chain(said).collect();
                    keys.push(((is_over, old, unproven, explicit), label.join(" ")));
                }
            }
        }
    }
    keys
}

/// Columns: active, restricted, held, both; then the same, erased.
fn write_row(out: &mut String, columns: &[String], labels: &[String]) {
    let [active, restricted, held, both, erased @ ..] = columns else {
        panic!("columns");
    };
    assert!(erased.iter().all(|c| *c == erased[0]));
    if columns.iter().all(|c| c == active) {
        writeln!(out, "    always {active}").unwrap();
    } else {
        writeln!(
            out,
            "    active {active} | restricted {restricted} | held {held} | both {both} | erased {}",
            erased[0]
        )
        .unwrap();
    }
    for line in shortened(labels).chunks(4) {
        writeln!(out, "        {}", line.join(", ")).unwrap();
    }
}

/// A status of which every row is here is named once.
fn shortened(labels: &[String]) -> Vec<String> {
    let mut short = Vec::new();
    for status in Status::ALL {
        let of = |label: &&String| label.split(' ').next() == Some(status.name());
        let own: Vec<&String> = labels.iter().filter(of).collect();
        if own.len() == 16 {
            short.push(format!("{} (however)", status.name()));
        } else {
            short.extend(own.into_iter().cloned());
        }
    }
    short
}

#[test]
fn the_gate_is_the_golden_one_and_opens_nothing_outside_its_exceptions() {
    let made = table();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gate.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&golden, &made).unwrap();
    }
    let kept = fs::read_to_string(&golden).unwrap_or_default();
    let differs = made.lines().zip(kept.lines()).find(|(a, b)| a != b);
    assert!(
        made == kept,
        "the gate has changed: {differs:?}\nUPDATE_GOLDEN=1 cargo test --release --lib gate \
         writes {}; then read the difference",
        golden.display()
    );
}
