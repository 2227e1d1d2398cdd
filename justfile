# Short names for what one types often. `just` lists them; none is needed to
# build or test (tests/run is the whole of it).

buf := "tests/node/node_modules/.bin/buf"

# List the recipes
default:
    @just --list

# The story on a realistic CRM, checked step by step
quickstart *arguments:
    cargo run --release -- quickstart {{ arguments }}

# Every test; --long adds hours of campaigns
test *arguments:
    tests/run {{ arguments }}

# The Rust tests whose names contain NAME, with the interpreters of tests/run
test-one name:
    OUBLIETTE_TEST_PYTHON="$PWD/target/python/bin/python" OUBLIETTE_TEST_NODE="$(command -v node)" \
        cargo test --release --locked --all-features {{ name }}

# Format Rust and proto
fmt:
    cargo fmt
    {{ buf }} format --write

# Clippy as in CI: one profile, so that nothing is built twice
lint:
    cargo clippy --release --locked --all-features --all-targets -- -D warnings
    {{ buf }} lint

# Is the interface compatible with the last release?
breaking:
    {{ buf }} breaking --against proto/baseline.binpb

# At a release: move the baseline to what is released (see proto/README.md)
baseline:
    {{ buf }} build --exclude-source-info -o proto/baseline.binpb

# The library's documentation
doc:
    cargo doc --release --locked --no-deps --open

# Licences, banned crates, sources
deny:
    cargo deny --offline --locked check licenses bans sources

# What a newcomer does, in an empty directory
fresh-clone:
    tests/fresh_clone

# Read and write speed beside a bare echo
bench *arguments:
    cargo run --release -- bench {{ arguments }}
