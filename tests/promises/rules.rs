//! The rules that the tests play by: one record type with a field of every
//! kind, purposes of every sort, and principals of every standing.

use std::fmt::Write;
use std::fs;
use std::path::Path;

/// Workers `acme/w00` to `acme/w15`, who may do everything.
pub const WORKERS: usize = 16;

const CARD: &str = r#"number = 1
version = 1
title = "What is known of somebody"
[fields.name]
number = 1
kind = "string"
classification = "user.name"
max_bytes = 200
[fields.email]
number = 2
kind = "string"
classification = "user.contact.email"
max_bytes = 320
[fields.born]
number = 3
kind = "date"
classification = "user.demographic.date_of_birth"
[fields.visits]
number = 4
kind = "int64"
classification = "user.behavior"
[fields.score]
number = 5
kind = "double"
classification = "user.behavior"
[fields.vip]
number = 6
kind = "bool"
classification = "user.behavior"
[fields.seen]
number = 7
kind = "timestamp"
classification = "user.behavior"
[fields.extra]
number = 8
kind = "json"
classification = "user.device"
max_bytes = 65536
[fields.photo]
number = 9
kind = "bytes"
classification = "user.content"
max_bytes = 1048576
[fields.unneeded]
number = 10
kind = "string"
classification = "user.content"
max_bytes = 100
"#;

const MEMO: &str = r#"number = 2
version = 1
title = "A memo"
[fields.text]
number = 1
kind = "string"
classification = "user.content"
max_bytes = 65536
[fields.health]
number = 2
kind = "string"
classification = "user.health_and_medical"
special = true
max_bytes = 1000
"#;

/// What the purpose `care` may see of a card: everything that is stored.
pub const CARE: &str = r#"number = 1
title = "Caring"
basis = "contract"
mechanism = "notice_only"
callers = ["worker", "reader"]
[grants.card]
name = "raw"
email = "raw"
born = "raw"
visits = "raw"
score = "raw"
vip = "raw"
seen = "raw"
extra = "raw"
photo = "raw"
[grants.memo]
text = "raw"
"#;

const OFFERS: &str = r#"number = 2
title = "Offering"
basis = "consent"
mechanism = "opt_in"
callers = ["worker"]
gpc = true
tcf = [2, 4]
[grants.card]
email = "raw"
"#;

/// What customers are told of offers. The second version is a draft.
pub const OFFERS_NOTICE: &str = r#"[versions.1]
published = 2026-01-01
[versions.1.text]
en = "We e-mail you offers."
de = "Wir mailen dir Angebote."
[versions.1.tells]
basis = "consent"
mechanism = "opt_in"
callers = ["worker"]
[versions.1.tells.grants.card]
email = "raw"
[versions.2]
material = true
[versions.2.text]
en = "We e-mail you offers, and say your name."
[versions.2.tells]
basis = "consent"
mechanism = "opt_in"
callers = ["worker"]
[versions.2.tells.grants.card]
email = "raw"
name = "raw"
"#;

const HELP: &str = r#"number = 6
title = "Helping, with what somebody says of their health"
handles = true
basis = "contract"
mechanism = "notice_only"
special_basis = "explicit_consent"
assert = true
callers = ["worker"]
[grants.card]
name = "masked:initials"
[grants.memo]
text = "raw"
health = "raw"
"#;

const HELP_NOTICE: &str = r#"[versions.1]
published = 2026-01-01
[versions.1.text]
en = "We help you."
[versions.1.tells]
basis = "contract"
mechanism = "notice_only"
special_basis = "explicit_consent"
assert = true
callers = ["worker"]
[versions.1.tells.grants.card]
name = "masked:initials"
[versions.1.tells.grants.memo]
text = "raw"
health = "raw"
"#;

const BRIEF: &str = r#"number = 3
title = "A little"
basis = "legitimate_interest"
mechanism = "opt_out"
handles = true
callers = ["worker"]
tcf = [7]
[grants.card]
born = "derived:age_band"
email = "masked:email"
"#;

const FLYERS: &str = r#"number = 7
title = "Sending flyers"
fides = "marketing.communications"
basis = "legitimate_interest"
mechanism = "opt_out"
callers = ["worker"]
gpc = true
[grants.card]
name = "raw"
"#;

const ENDED: &str = r#"number = 4
title = "Over"
basis = "contract"
mechanism = "notice_only"
callers = ["worker"]
expires = 2020-01-01
[grants.card]
name = "raw"
"#;

const OTHERS: &str = r#"number = 5
title = "Not for workers"
basis = "contract"
mechanism = "notice_only"
callers = ["watcher"]
[grants.card]
name = "raw"
"#;

const ROLES: &str = r#"[roles]
worker = "Does everything"
reader = "Reads"
watcher = "Looks on"
idle = "Has no policy"

[principals."acme/reader"]
roles = ["reader"]
[principals."acme/watcher"]
roles = ["watcher"]
[principals."acme/idle"]
roles = ["idle"]
[principals."acme/slow"]
roles = ["worker"]
calls_per_second = 5
[principals."acme/narrow"]
roles = ["worker"]
customers_per_hour = 3
[principals."globex/w00"]
roles = ["worker"]
calls_per_second = 1000000
customers_per_hour = 100000000
"#;

/// The policies.
pub const POLICY: &str = r#"@id("workers-work")
permit (principal in Role::"worker", action, resource);

@id("readers-read")
permit (
  principal in Role::"reader",
  action in [
    Action::"get_record",
    Action::"batch_get_records",
    Action::"stream_records",
    Action::"list_records"
  ],
  resource
);

@id("readers-see-customers")
permit (principal in Role::"reader", action == Action::"get_customer", resource);

@id("watchers-watch")
permit (
  principal in Role::"watcher",
  action in [Action::"get_customer", Action::"know_erased", Action::"get_key_status"],
  resource
);
"#;

fn file(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, text).expect("a file");
}

/// Writes the rules to a directory, for `init` to take them from.
pub fn write(to: &Path) {
    let catalog = to.join("catalog");
    file(
        &catalog.join("catalog.toml"),
        "version = 1\ntitle = \"Tests\"\n",
    );
    file(&catalog.join("types/card.toml"), CARD);
    file(&catalog.join("types/memo.toml"), MEMO);
    for (name, text) in [
        ("care", CARE),
        ("offers", OFFERS),
        ("brief", BRIEF),
        ("flyers", FLYERS),
        ("ended", ENDED),
        ("others", OTHERS),
        ("help", HELP),
    ] {
        file(&catalog.join(format!("purposes/{name}.toml")), text);
    }
    file(&catalog.join("notices/offers.toml"), OFFERS_NOTICE);
    file(&catalog.join("notices/help.toml"), HELP_NOTICE);
    let mut roles = ROLES.to_owned();
    for worker in 0..WORKERS {
        write!(
            roles,
            "[principals.\"acme/w{worker:02}\"]\nroles = [\"worker\"]\n\
             calls_per_second = 1000000\ncustomers_per_hour = 100000000\n"
        )
        .expect("text");
    }
    file(&to.join("roles.toml"), &roles);
    file(&to.join("policy.cedar"), POLICY);
}
