//! What only the inside can test: with keys, salts and nonces of our choosing,
//! for which the library has no door.

mod context;
mod keys;
mod known_answers;
mod python;
mod vectors;
mod wiping;
mod wycheproof;
