//! Key providers for the tests, and the tables that configure them.

#[cfg(feature = "aws-kms")]
use crate::kms_stand_in;
use crate::token;
use crate::transit_stand_in;
use std::path::Path;

pub use token::private as write;

/// Key files, as one of several.
pub const FILES: &str = "[[providers]]\nkind = \"file\"\ndirectory = \"keys\"\n";

fn certificate(dir: &Path) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
    write(&dir.join("server.pem"), &made.cert.pem());
    write(&dir.join("server.key"), &made.signing_key.serialize_pem());
}

/// A Transit stand-in, and the table that configures it.
pub fn engine(dir: &Path) -> (transit_stand_in::StandIn, String) {
    certificate(dir);
    write(&dir.join("token"), transit_stand_in::TOKEN);
    let engine = transit_stand_in::StandIn::start(&dir.join("server.pem"), &dir.join("server.key"));
    let table = format!(
        "kind = \"transit\"\naddress = \"{}\"\ntoken = \"{}\"\nca = \"{}\"\n",
        engine.address,
        dir.join("token").display(),
        dir.join("server.pem").display()
    );
    (engine, table)
}

/// An AWS KMS stand-in, and the table that configures it.
#[cfg(feature = "aws-kms")]
pub fn kms(dir: &Path) -> (kms_stand_in::StandIn, String) {
    certificate(dir);
    write(&dir.join("credentials.json"), kms_stand_in::CREDENTIALS);
    let service = kms_stand_in::StandIn::start(&dir.join("server.pem"), &dir.join("server.key"));
    let table = format!(
        "kind = \"aws-kms\"\nregion = \"{}\"\nendpoint = \"{}\"\ncredentials = \"{}\"\nca = \"{}\"\n",
        kms_stand_in::REGION,
        service.address,
        dir.join("credentials.json").display(),
        dir.join("server.pem").display()
    );
    (service, table)
}
