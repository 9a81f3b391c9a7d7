//! From an instruction to the functions of which it is: optimised code is a few large functions, into which those of
//! the source were inlined. binutils' `addr2line` knows them; whoever can link a program has it.

use crate::profile::Profile;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    path::Path,
    process::{Command, Stdio},
    thread,
};

/// Instructions by function as written.
#[derive(Debug, Default)]
pub(super) struct Functions {
    /// Executed in the function itself, with what it had inlined of the standard library.
    pub(super) own: BTreeMap<String, i64>,
    /// And in all that it calls or had inlined. The standard library's own functions are not told.
    pub(super) inclusive: BTreeMap<String, i64>,
    /// Executed by functions of other objects, such as the C library's, by who called them.
    pub(super) foreign: BTreeMap<String, i64>,
    /// Executed in a file of the source.
    pub(super) files: BTreeMap<String, i64>,
}

/// A function and where in the source it is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Frame {
    function: String,
    file: String,
}

impl Functions {
    /// Tells apart what was inlined in `binary`; elsewhere a function is what valgrind takes for one.
    pub(super) fn of(profile: &Profile, binary: &Path) -> Result<Self, String> {
        let object = binary.to_string_lossy();
        let places = profile.own.keys().chain(profile.calls.keys().map(|(place, _)| place));
        let addresses: BTreeSet<u64> =
            places.filter(|place| place.object == object).map(|place| place.address).collect();
        let frames = inlined(binary, addresses)?;
        let mut functions = Self::default();
        let frames_at = |place: &crate::profile::Place| match frames.get(&place.address) {
            Some(frames) if place.object == object => frames.clone(),
            _ => {
                let file = place.object.rsplit('/').next().unwrap_or_default();
                vec![Frame { function: place.function.clone(), file: file.to_owned() }]
            }
        };
        for (place, cost) in &profile.own {
            let frames = frames_at(place);
            *functions.own.entry(speaker(&frames).name()).or_default() += cost;
            *functions.files.entry(frames[0].file.clone()).or_default() += cost;
            functions.include(&frames, *cost);
        }
        let own_object = profile.own.keys().filter(|place| place.object == object);
        let ours: BTreeSet<&str> = own_object.map(|place| &*place.function).collect();
        for ((place, callee), cost) in &profile.calls {
            let frames = frames_at(place);
            // What calls itself includes its calls already.
            if *callee != place.function {
                functions.include(&frames, *cost);
            }
            if place.object == object && !ours.contains(callee.as_str()) {
                let call = format!("{callee} for {}", speaker(&frames).name());
                *functions.foreign.entry(call).or_default() += cost;
            }
        }
        Ok(functions)
    }

    fn include(&mut self, frames: &[Frame], cost: i64) {
        let names = frames.iter().filter(|frame| !frame.is_of_std()).map(Frame::name);
        for name in names.collect::<BTreeSet<String>>() {
            *self.inclusive.entry(name).or_default() += cost;
        }
    }
}

/// The innermost function that is not the standard library's; if all are, the innermost.
fn speaker(frames: &[Frame]) -> &Frame {
    frames.iter().find(|frame| !frame.is_of_std()).unwrap_or(&frames[0])
}

impl Frame {
    fn is_of_std(&self) -> bool {
        ["core/", "alloc/", "std/"].iter().any(|krate| self.file.starts_with(krate))
    }

    fn name(&self) -> String {
        format!("{}  [{}]", self.function, self.file)
    }
}

/// For each address the functions of which it is, the innermost first.
fn inlined(binary: &Path, addresses: BTreeSet<u64>) -> Result<BTreeMap<u64, Vec<Frame>>, String> {
    let mut command = Command::new("addr2line");
    command.args(["--addresses", "--functions", "--inlines", "--demangle", "--exe"]).arg(binary);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| format!("addr2line does not run: {error} (it is in binutils)"))?;
    let mut stdin = child.stdin.take().expect("it is piped");
    let text: String = addresses.iter().map(|address| format!("{address:#x}\n")).collect();
    // Beside reading what it says, because both pipes have an end.
    let writer = thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().map_err(|error| format!("addr2line is lost: {error}"))?;
    let written = writer.join().expect("it only writes");
    if !output.status.success() || written.is_err() {
        return Err(format!("addr2line ended with {}", output.status));
    }
    Ok(parse(&String::from_utf8_lossy(&output.stdout)))
}

/// A line with the address, then two for each function: its name, and its file with the line.
fn parse(text: &str) -> BTreeMap<u64, Vec<Frame>> {
    let mut found: BTreeMap<u64, Vec<Frame>> = BTreeMap::new();
    let mut address = 0;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(Ok(parsed)) = line.strip_prefix("0x").map(|digits| u64::from_str_radix(digits, 16)) {
            address = parsed;
            continue;
        }
        let place = lines.next().unwrap_or_default();
        let path = place.rsplit_once(':').map_or(place, |(path, _)| path);
        found.entry(address).or_default().push(Frame { function: line.to_owned(), file: short(path) });
    }
    found
}

/// A path from the crate on: `core/src/ptr/mod.rs`, `memchr-2.8.3/src/lib.rs`, `engine/src/relay.rs`.
fn short(path: &str) -> String {
    let after = |mark: &str| path.find(mark).map(|at| &path[at + mark.len()..]);
    if let Some(library) = after("/library/") {
        return library.to_owned();
    }
    if let Some((_, krate)) = after("/registry/src/").and_then(|rest| rest.split_once('/')) {
        return krate.to_owned();
    }
    path.strip_prefix(env!("CARGO_MANIFEST_DIR").trim_end_matches("bench/counts")).unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Place;

    #[test]
    fn frames_are_read_from_the_innermost_to_the_outermost() {
        let text = "0x0000000000000010\nread\n/a/library/core/src/ptr/mod.rs:17\nengine::relay::send\n\
                    engine/src/relay.rs:5\n0x0000000000000020\nmain\n??:0\n";
        let found = parse(text);
        let names = |address| found[&address].iter().map(Frame::name).collect::<Vec<_>>();
        assert_eq!(
            names(0x10),
            ["read  [core/src/ptr/mod.rs]", "engine::relay::send  [engine/src/relay.rs]"]
        );
        assert_eq!(names(0x20), ["main  [??]"]);
    }

    #[test]
    fn what_is_inlined_of_std_counts_for_whom_it_is_inlined_in() {
        let frame = |file: &str| Frame { function: "f".to_owned(), file: file.to_owned() };
        let frames = [frame("core/src/ptr/mod.rs"), frame("engine/src/relay.rs"), frame("std/src/thread.rs")];
        assert_eq!(speaker(&frames).file, "engine/src/relay.rs");
        assert_eq!(speaker(&frames[..1]).file, "core/src/ptr/mod.rs");
    }

    #[test]
    fn paths_begin_with_their_crate() {
        let registry = "/x/registry/src/index.crates.io-1949/memchr-2.8.3/src/lib.rs";
        assert_eq!(short(registry), "memchr-2.8.3/src/lib.rs");
        assert_eq!(short("/rustc/5980/library/alloc/src/vec/mod.rs"), "alloc/src/vec/mod.rs");
        assert_eq!(short("engine/src/relay.rs"), "engine/src/relay.rs");
    }

    #[test]
    fn a_call_counts_for_those_who_make_it() {
        let place = |function: &str| Place {
            object: "/lib/libc.so.6".to_owned(),
            function: function.to_owned(),
            address: 1,
        };
        let mut profile = Profile::default();
        profile.own.extend([(place("f"), 2), (place("memcpy"), 5)]);
        profile.calls.extend([((place("f"), "memcpy".to_owned()), 5), ((place("f"), "f".to_owned()), 7)]);
        let functions =
            Functions::of(&profile, Path::new("/proc/self/exe")).expect("there is nothing to ask");
        assert_eq!(functions.own["f  [libc.so.6]"], 2);
        assert_eq!(functions.inclusive["f  [libc.so.6]"], 7);
        assert_eq!(functions.files["libc.so.6"], 7);
        assert!(functions.foreign.is_empty(), "nothing here is called from the program");
    }
}
