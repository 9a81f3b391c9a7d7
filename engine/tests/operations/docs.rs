//! What the pages promise is there.

use std::{fs, path::Path};

/// The members of `ProxyHttp` of pingora-proxy 0.9.1, in their order.
const PROXY_HTTP: [&str; 43] = [
    "CTX",
    "new_ctx",
    "upstream_peer",
    "init_downstream_modules",
    "init_upstream_modules",
    "request_filter",
    "early_request_filter",
    "allow_spawning_subrequest",
    "request_body_filter",
    "request_cache_filter",
    "cache_key_callback",
    "cache_miss",
    "cache_hit_filter",
    "proxy_upstream_filter",
    "response_cache_filter",
    "cache_vary_filter",
    "cache_not_modified_filter",
    "range_header_filter",
    "upstream_request_filter",
    "adjust_upstream_modules",
    "upstream_response_filter",
    "response_filter",
    "custom_forwarding",
    "downstream_custom_message_proxy_filter",
    "upstream_custom_message_proxy_filter",
    "upstream_response_body_filter",
    "upstream_response_trailer_filter",
    "response_body_filter",
    "response_trailer_filter",
    "logging",
    "persist_connection_context",
    "on_connection_reuse",
    "suppress_error_log",
    "suppress_proxy_warn_log",
    "error_while_proxy",
    "fail_to_connect",
    "fail_to_proxy",
    "should_serve_stale",
    "connected_to_upstream",
    "request_summary",
    "is_purge",
    "purge_action",
    "purge_response_filter",
];

#[test]
fn every_callback_of_pingoras_proxy_has_a_row() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/pingora.md");
    let page = fs::read_to_string(page).expect("the page");
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    for name in PROXY_HTTP {
        let row = rows.iter().filter(|row| row.starts_with(&format!("| `{name}` | "))).count();
        assert_eq!(row, 1, "{name}");
    }
}
