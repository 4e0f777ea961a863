//! What the gate costs: a lookup in a million approvals, the hook as a process, and a build with and without it.
//!
//!   cargo xtask bench gate

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use gate::{
    Approvals, Fact, Place, Settings,
    approvals::{Draft, Origin},
};
use nixstore::Sha256Digest;
use testkit::bench::{self, Row};

const MILLION: u32 = 1_000_000;
const BUILDS: usize = 20;

fn main() {
    let mut rows = Vec::new();
    let home = tempfile::tempdir().expect("a directory");
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
    let place = Place::new(home.path().join("gate"));
    place.create().expect("a directory");
    Settings::default().write(&place).expect("settings");

    eprintln!("writing a million approvals");
    let mut draft = Draft::default();
    for number in 0..MILLION {
        draft.approve(Fact::Tarball(tarball(number)));
    }
    let origin = Origin {
        chain: tarball(0),
        release: 1,
        time: 1,
    };
    let ((), seconds) = bench::time(|| draft.write(&place, origin).expect("approvals"));
    rows.push(Row::cost("write a million approvals", "s", seconds));
    let approvals = Approvals::open(&place).expect("approvals");
    let lookups = 10_000;
    let seconds = bench::best_of(3, || {
        for number in 0..lookups {
            let there = approvals.has(Fact::Tarball(tarball(number * 97))).expect("a lookup");
            assert_eq!(there, number * 97 < MILLION);
        }
    });
    rows.push(Row::cost(
        "lookup in a million approvals",
        "µs",
        seconds * 1e6 / f64::from(lookups),
    ));

    match hook() {
        Some(hook) => {
            fs::copy(&hook, place.hook()).expect("the hook");
            processes(&place, &mut rows);
            for version in ["nix28", "nix226"] {
                builds(&place, version, home.path(), &mut rows);
            }
        }
        None => eprintln!("missing: touchstone-hook (cargo build --release -p gate)"),
    }
    bench::print(&rows);
}

fn tarball(number: u32) -> Sha256Digest {
    Sha256Digest::of(number.to_le_bytes())
}

/// The hook, built beside this program.
fn hook() -> Option<PathBuf> {
    let program = env::current_exe().ok()?;
    let hook = program.parent()?.parent()?.join("touchstone-hook");
    hook.is_file().then_some(hook)
}

/// The hook as a process that refuses, beside a program that does nothing.
fn processes(place: &Place, rows: &mut Vec<Row>) {
    let run = |program: &Path| {
        let mut command = Command::new(program);
        command
            .arg("/nix/store/xw5w6c0dwrllq3d21c1ndaibbk5jwcpa-nixpkgs.drv")
            .stderr(Stdio::null());
        command.status().expect("a process");
    };
    let ours = bench::best_of(50, || run(&place.hook()));
    let nothing = bench::best_of(50, || run(Path::new("/bin/true")));
    rows.push(Row::cost("hook as a process", "ms", ours * 1e3).against("/bin/true", nothing * 1e3));
}

/// The same builds with the hook, with a hook that does nothing, and with none.
fn builds(place: &Place, version: &str, home: &Path, rows: &mut Vec<Row>) {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/nix");
    let wrapper = tools.join(version);
    if !wrapper.is_file() {
        eprintln!("missing: {} (cargo xtask setup)", wrapper.display());
        return;
    }
    let nix = |line: &[&str], hook: &str| {
        let mut command = Command::new(&wrapper);
        command
            .env("TOUCHSTONE_NIX_HOME", home.join("nix"))
            .env("NIX_CONFIG", format!("pre-build-hook = {hook}\nmax-jobs = 1\n"))
            .args(line)
            .stdin(Stdio::null());
        let output = command.output().expect("nix starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let expression = |kind: &str| {
        format!(
            "builtins.genList (n: derivation {{ name = \"{kind}-${{toString n}}\"; system = \"x86_64-linux\"; builder = \"/bin/sh\"; \
             args = [ \"-c\" \"echo > $out\" ]; }}) {BUILDS}"
        )
    };
    let round = |number: usize, hook: &str, name: &str| {
        let kind = format!("{name}-{number}");
        let derivations = nix(&["nix-instantiate", "-E", &expression(&kind)], "");
        let derivations: Vec<&str> = derivations.lines().collect();
        let mut draft = Draft::default();
        for path in &derivations {
            let base = path.rsplit('/').next().expect("a name");
            let file = home.join("nix").join(version).join("nix/store").join(base);
            let bytes = fs::read(file).expect("a derivation");
            let name = base[33..].strip_suffix(".drv").expect("a derivation");
            draft.approve(Fact::Derivation(name, Sha256Digest::of(bytes)));
        }
        let origin = Origin {
            chain: tarball(0),
            release: 1,
            time: 1,
        };
        draft.write(place, origin).expect("approvals");
        let mut line = vec!["nix-store", "--realise"];
        line.extend(&derivations);
        bench::time(|| nix(&line, hook)).1 * 1e3 / f64::from(u32::try_from(BUILDS).expect("few"))
    };
    let hook = place.hook().display().to_string();
    let (mut ours, mut without) = (f64::INFINITY, f64::INFINITY);
    for number in 0..3 {
        without = without.min(round(number, "", "none"));
        ours = ours.min(round(number, &hook, "ours"));
    }
    rows.push(
        Row::cost(format!("a trivial build with the hook, {version}"), "ms", ours)
            .against("the same build without a hook", without),
    );
}
