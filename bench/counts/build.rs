//! Finds the compiler by which the program is built: instruction counts are its work as much as ours.

use std::{env, process::Command};

#[expect(clippy::disallowed_methods, reason = "this is how cargo speaks to a build script")]
fn main() {
    let rustc = env::var_os("RUSTC").expect("cargo names the compiler");
    let output = Command::new(rustc).arg("--version").output().expect("the compiler runs");
    let says = String::from_utf8_lossy(&output.stdout);
    // `rustc 1.95.0 (59807616e 2026-04-14)`
    let version = says.split_whitespace().nth(1).expect("the version is the second word");
    println!("cargo::rustc-env=CORELANE_RUSTC={version}");
    let arch = env::var("CARGO_CFG_TARGET_ARCH").expect("cargo names the architecture");
    println!("cargo::rustc-env=CORELANE_ARCH={arch}");
    println!("cargo::rerun-if-changed=build.rs");
}
