//! Writes the OpenAPI documents of the routers into a directory: `cargo run --example openapi -- DIRECTORY`.

use std::path::PathBuf;

use authfort_axum::{admin_openapi, auth_openapi, jwks_openapi};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: openapi DIRECTORY")?);
    for (name, document) in [("admin", admin_openapi()), ("auth", auth_openapi()), ("jwks", jwks_openapi())] {
        std::fs::write(directory.join(name).with_extension("json"), format!("{document:#}"))?;
    }
    Ok(())
}
