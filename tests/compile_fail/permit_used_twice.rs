//! error: E0382
use oubliette::access::{Permit, Read};

fn open(_permit: Permit<Read>) {}

pub fn twice(permit: Permit<Read>) {
    open(permit);
    open(permit);
}
