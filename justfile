# Shortcuts. Nothing needs `just`: each recipe is the command it runs.

# Lists the recipes.
default:
    @just --list

# Starts the example server.
run *args:
    cargo run -p example-server -- {{ args }}

# Runs every check, or `cargo test` with the arguments given.
test *args:
    scripts/test {{ args }}

# Measures how soon three nodes know of a thousand bans, demotions and logouts each, what ten thousand unknown callers cost,
# and the memory of a million known ones; and kills a process with two subscribers two hundred times on each engine.
soak:
    scripts/test -p authfort --lib --test it --release -- --ignored --nocapture --test-threads 1

# Writes pictures of the admin page into docs/images.
screenshots:
    scripts/test -p example-server --test it -- --ignored screenshots

# Formats the code.
fmt:
    cargo fmt --all

# Runs clippy as the test run does.
lint:
    cargo clippy --workspace --all-targets --all-features --locked -- -D warnings

# Builds the documentation, as published.
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --all-features --no-deps --locked

# Builds the packages that would be published, and compiles them from there.
package:
    cargo package -p authfort -p authfort-axum --locked

# Measures with a million users on both engines: `just bench`, `just bench lists search`. See docs/performance.md.
bench *args:
    cargo build --release --locked -p authfort-bench -p example-server
    target/release/authfort-bench run {{ args }}

# The same with 20,000 users and short slices, within a minute.
bench-short *args:
    cargo build --release --locked -p authfort-bench -p example-server
    target/release/authfort-bench run --users 20000 --seconds 0.2 {{ args }}

# Measures what the guard costs inside the process: its check of a token, and a request through the router.
bench-guard-steps *args:
    cargo bench --locked -p authfort-bench --bench guard -- {{ args }}
