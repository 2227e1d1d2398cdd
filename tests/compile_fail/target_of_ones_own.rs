//! error: E0277
struct Everything;

impl oubliette::access::CustomerData for Everything {}
