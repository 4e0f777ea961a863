//! Keeping secrets in memory from ending on a disk.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// No core dumps, and no other process of this user looks into our memory. Where the system refuses it, a warning: a PIN
/// is typed all the same, and its owner should know.
pub(crate) fn keep_in_memory() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let refused = [
        setrlimit(Resource::Core, none),
        set_dumpable_behavior(DumpableBehavior::NotDumpable),
    ];
    for error in refused.into_iter().filter_map(Result::err) {
        crate::output::warn(&format!("core dumps could not be switched off: {error}"));
    }
}
