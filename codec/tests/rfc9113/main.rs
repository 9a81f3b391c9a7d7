//! RFC 9113, a file for each section: a test for each MUST and MUST NOT that concerns an endpoint, with what it says.
//!
//! A test runs with all that is fed whole, byte by byte, and cut in two at every place, in each role that it concerns.
#![allow(clippy::unwrap_used, reason = "a test may")]

#[path = "../h2/mod.rs"]
mod h2;

mod s3_starting;
mod s4_frames;
mod s5_1_states;
mod s5_4_errors;
mod s6_10_continuation;
mod s6_1_data;
mod s6_2_headers;
mod s6_3_priority;
mod s6_4_rst_stream;
mod s6_5_settings;
mod s6_6_push_promise;
mod s6_7_ping;
mod s6_8_goaway;
mod s6_9_window_update;
mod s7_error_codes;
mod s8_1_messages;
mod s8_2_fields;
mod s8_3_control_data;
mod s8_5_connect;
mod s8_7_reliability;
