//! AWS KMS: one key of the service an epoch, named by its ARN. The service
//! seals the 32 bytes of the master key itself, with the context as encryption
//! context. Its key rotation is never used: it keeps every version. Destroying
//! a key is scheduled, 7 to 30 days ahead, and can be called off until then.
//!
//! The client is heavy, so that it is built in by the cargo feature `aws-kms`.

#[cfg(feature = "aws-kms")]
mod client;
#[cfg(feature = "aws-kms")]
mod provider;

use super::KeyProvider;
use crate::error::Result;
use std::path::PathBuf;
use std::sync::Arc;

/// What the configuration calls it.
pub const KIND: &str = "aws-kms";

/// Where the keys are, and what they are asked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The region, such as `eu-central-1`.
    pub region: String,
    /// `https://HOST:PORT` of another end than the region's public one.
    pub endpoint: Option<String>,
    /// The authorities that its certificate may come from, PEM; without one,
    /// those of this machine.
    pub ca: Option<PathBuf>,
    /// The file that holds the credentials, 0600, as `aws configure
    /// export-credentials` prints them. It is read anew for every call, so
    /// that an agent may renew it. No other source is looked for.
    pub credentials: PathBuf,
    /// Days between the order to destroy a key and its end: 7 to 30.
    pub pending_days: u16,
}

/// The provider of that place, which is asked when it is first needed.
#[cfg(feature = "aws-kms")]
pub fn at(place: Place) -> Result<Arc<dyn KeyProvider>> {
    Ok(Arc::new(provider::AwsKms::new(place)?))
}

/// Says how to build the program that has the provider.
#[cfg(not(feature = "aws-kms"))]
pub fn at(_: Place) -> Result<Arc<dyn KeyProvider>> {
    Err(crate::error::Error::Setup(
        "this program was built without AWS KMS, which the configuration names as a key \
         provider; build it with: cargo build --release --features aws-kms"
            .to_owned(),
    ))
}

#[cfg(all(test, not(feature = "aws-kms")))]
mod tests {
    use super::*;

    #[test]
    fn a_program_without_the_client_says_how_to_build_one_with_it() {
        let place = Place {
            region: "eu-central-1".to_owned(),
            endpoint: None,
            ca: None,
            credentials: PathBuf::from("aws.json"),
            pending_days: 7,
        };
        let refused = at(place).err().map(|why| why.to_string());
        let typed = "cargo build --release --features aws-kms";
        assert!(refused.is_some_and(|text| text.contains(typed)));
    }
}
