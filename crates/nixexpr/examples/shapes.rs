//! What share of a tree is understood: `cargo run --release -p nixexpr --example shapes -- DIRECTORY [unknown]`.
//!
//! Prints how many files were read, how many packages have a source, and of how many of these name, version and source
//! are known; with `unknown`, also which are not.

use std::{fs, path::Path, time::Instant};

use nixexpr::{Fact, analyse, parse};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let root = arguments.next().expect("a directory");
    let listed = arguments.next();
    let mut files = Vec::new();
    gather(Path::new(&root), &mut files);
    let (mut read, mut unread, mut packages, mut sourced, mut known, mut marks) = (0, 0, 0, 0, 0, 0_usize);
    let start = Instant::now();
    for (path, bytes) in &files {
        let file = match parse(path, bytes) {
            Ok(file) => file,
            Err(error) => {
                println!("unparsed {path}: {error}");
                unread += 1;
                continue;
            }
        };
        read += 1;
        let analysed = analyse(&file);
        marks += analysed.marked();
        if file.exhausted() {
            println!("exhausted {path}");
        }
        for package in &analysed.facts().packages {
            packages += 1;
            if package.sources == Fact::Absent {
                continue;
            }
            sourced += 1;
            let origin = package.sources.known().is_some_and(|sources| {
                sources
                    .first()
                    .is_none_or(|source| analysed.facts().sources[*source].origin.is_known())
            });
            if origin && package.pname.is_known() && package.version.is_known() {
                known += 1;
            } else if listed.as_deref() == Some("unknown") {
                println!(
                    "unknown {path}:{} {} name {} version {} source {origin}",
                    file.line(package.at),
                    package.builder,
                    package.pname.is_known(),
                    package.version.is_known()
                );
            }
        }
    }
    let time = start.elapsed();
    println!(
        "{read} read, {unread} unread in {time:?} ({:.0} files/s); {packages} packages, {sourced} with a source, {known} known ({:.1} %), {marks} marks",
        f64::from(read) / time.as_secs_f64(),
        f64::from(known) * 100.0 / f64::from(sourced.max(1)),
    );
}

fn gather(directory: &Path, files: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        let kind = entry.file_type().expect("a type");
        if kind.is_dir() {
            gather(&path, files);
        } else if kind.is_file() && path.extension().is_some_and(|extension| extension == "nix") {
            files.push((path.display().to_string(), fs::read(&path).expect("a file")));
        }
    }
}
