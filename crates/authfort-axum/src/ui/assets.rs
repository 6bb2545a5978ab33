//! Styles and scripts, inside the program.
//!
//! An asset's address has its hash, so a browser may keep it for good, and a new version has a new address.

use std::borrow::Cow;
use std::io::Write;
use std::sync::{Arc, LazyLock};

use aws_lc_rs::digest::{SHA256, digest};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::Rejection;

#[derive(Debug)]
pub(super) struct Asset {
    name: &'static str,
    kind: &'static str,
    text: Cow<'static, str>,
    /// The name with its hash.
    address: String,
    etag: HeaderValue,
    compressed: Vec<u8>,
}

impl Asset {
    /// Returns the styles of an application.
    pub(super) fn theme(css: String) -> Self {
        Self::new("theme.css", CSS, css)
    }

    fn new(name: &'static str, kind: &'static str, text: impl Into<Cow<'static, str>>) -> Self {
        let text = text.into();
        let hash = digest(&SHA256, text.as_bytes());
        let hash = hash.as_ref().iter().take(8).fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        // Writing to memory does not fail; what would be missing is sent as it is.
        let compressed = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()).unwrap_or_default();
        let etag = HeaderValue::from_str(&format!("\"{hash}\"")).unwrap_or(HeaderValue::from_static("\"\""));
        Self { name, kind, text, address: format!("{stem}-{hash}.{ending}"), etag, compressed }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }
}

const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

static ASSETS: LazyLock<[Asset; 4]> = LazyLock::new(|| {
    [
        Asset::new("admin.css", CSS, include_str!("../../assets/ui/admin.css")),
        Asset::new("admin.js", SCRIPT, include_str!("../../assets/ui/admin.js")),
        Asset::new("htmx.js", SCRIPT, include_str!("../../assets/ui/htmx.min.js")),
        Asset::new("icon.svg", "image/svg+xml", include_str!("../../assets/ui/icon.svg")),
    ]
});

/// Returns the asset of this name, without a hash.
pub(super) fn find(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name)
}

/// Serves the asset at this address: one of the pages', or the application's own styles.
pub(super) fn serve(address: &str, theme: Option<&Arc<Asset>>, headers: &HeaderMap) -> Response {
    let Some(asset) = ASSETS.iter().chain(theme.map(AsRef::as_ref)).find(|asset| asset.address == address) else {
        return Rejection::not_found().into_response();
    };
    let mut response = if headers.get(header::IF_NONE_MATCH) == Some(&asset.etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else if accepts_gzip(headers) && !asset.compressed.is_empty() {
        ([(header::CONTENT_ENCODING, "gzip")], asset.compressed.clone()).into_response()
    } else {
        asset.text.clone().into_response()
    };
    let said = response.headers_mut();
    said.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    said.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    said.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    said.insert(header::ETAG, asset.etag.clone());
    response
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip")) && !parts.any(|weight| weight == "q=0")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_load_is_small() {
        let all: usize = ASSETS.iter().map(|asset| asset.compressed.len()).sum();
        assert!((1..40_000).contains(&all), "{all}");
    }

    #[test]
    fn gzip_is_sent_to_who_accepts_it() {
        let accepts =
            |text: &str| accepts_gzip(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, text.parse().unwrap())]));
        assert!(accepts("gzip, deflate, br") && accepts("br;q=1.0, GZIP;q=0.8"));
        assert!(!accepts("br") && !accepts("gzip;q=0") && !accepts("") && !accepts_gzip(&HeaderMap::new()));
    }
}
