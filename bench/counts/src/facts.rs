//! On what counts depend beside our code: the compiler with its standard library, the C library whose `memcpy` and
//! allocator are called, what valgrind says of the processor, by which these and `memchr` choose their code, and
//! valgrind's own way of counting. Directory, environment and load have shown no effect; one kind of processor was tried.

use crate::callgrind::Here;
use std::{
    fmt,
    path::{Path, PathBuf},
    process::Command,
};

/// What has to be the same where counts are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The version by which this program was built.
    pub(crate) rustc: String,
    /// The architecture.
    pub(crate) arch: String,
    /// The C library and its version.
    pub(crate) libc: String,
    /// The best vector instructions that a program under valgrind finds.
    pub(crate) vectors: String,
    /// Its version.
    pub(crate) valgrind: String,
}

impl Facts {
    /// `vectors` is what a program under valgrind found.
    pub(crate) fn of(here: &Here, vectors: String) -> Result<Self, String> {
        let first_line = |program: &Path, argument: &str| {
            let output = Command::new(program).arg(argument).output();
            let output = output.map_err(|error| format!("{} does not run: {error}", program.display()))?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            Ok::<_, String>(text.lines().next().unwrap_or_default().trim().to_owned())
        };
        Ok(Self {
            rustc: env!("CORELANE_RUSTC").to_owned(),
            arch: env!("CORELANE_ARCH").to_owned(),
            libc: first_line(Path::new("getconf"), "GNU_LIBC_VERSION")?,
            vectors,
            valgrind: first_line(&here.valgrind, "--version")?,
        })
    }

    /// Where the baseline of this compiler is.
    pub(crate) fn baseline_path(&self) -> PathBuf {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("baseline");
        directory.join(format!("rustc-{}-{}.json", self.rustc, self.arch))
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rustc, arch, libc, vectors, valgrind } = self;
        write!(f, "rustc {rustc} on {arch} with {vectors}, {libc}, {valgrind}")
    }
}

/// What begins the line that [`print`](fn@print) prints.
pub(crate) const VECTORS: &str = "vectors: ";

/// Says, from under valgrind, what the processor seems to be able to do.
pub(crate) fn print() {
    println!("{VECTORS}{}", vectors());
}

#[cfg(target_arch = "x86_64")]
fn vectors() -> &'static str {
    if is_x86_feature_detected!("avx512f") {
        "avx512f"
    } else if is_x86_feature_detected!("avx2") {
        "avx2"
    } else if is_x86_feature_detected!("avx") {
        "avx"
    } else if is_x86_feature_detected!("sse4.2") {
        "sse4.2"
    } else {
        "sse2"
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn vectors() -> &'static str {
    "what every such processor has"
}
