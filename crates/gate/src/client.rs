//! Who asked for a build, as the kernel knows it.
//!
//! The hook's parent is the process that Nix's daemon made for one client. The kernel remembers who connected the socket
//! between them. Nothing that the client says is asked: no argument, no environment. Whoever is not known is nobody in
//! particular, and gets the strict scope.

use std::{collections::BTreeSet, fs, path::Path};

use rustix::{
    net::sockopt::socket_peercred,
    process::{PidfdFlags, PidfdGetfdFlags, getppid, pidfd_getfd, pidfd_open},
};

/// The user at the other end of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Client {
    /// The user.
    pub uid: u32,
    /// The user's group when the socket was connected.
    pub gid: u32,
}

/// The client of the process that called us, if there is exactly one.
///
/// A daemon under systemd has sockets to the journal too, whose other end is root's; so of several it is the one user
/// that is not root. Two such users are no answer.
pub fn of_parent() -> Option<Client> {
    let parent = getppid()?;
    if parent.is_init() {
        return None;
    }
    let handle = pidfd_open(parent, PidfdFlags::empty()).ok()?;
    // The handle is the parent's only if the parent was still there when it was made.
    if getppid() != Some(parent) {
        return None;
    }
    let mut clients = BTreeSet::new();
    for entry in fs::read_dir(format!("/proc/{}/fd", parent.as_raw_nonzero())).ok()? {
        let entry = entry.ok()?;
        let is_socket = fs::read_link(entry.path()).is_ok_and(|target| target.to_string_lossy().starts_with("socket:"));
        let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let (true, Some(number)) = (is_socket, number) else {
            continue;
        };
        let socket = pidfd_getfd(&handle, number, PidfdGetfdFlags::empty()).ok()?;
        // A listening or foreign socket has no peer that is a user.
        if let Ok(peer) = socket_peercred(&socket) {
            let (uid, gid) = (peer.uid.as_raw(), peer.gid.as_raw());
            clients.insert(Client { uid, gid });
        }
    }
    only(&clients)
}

/// The one client among the peers.
fn only(peers: &BTreeSet<Client>) -> Option<Client> {
    let mut users = peers.iter().filter(|peer| peer.uid != 0 && peer.uid != u32::MAX);
    match (users.next(), users.next()) {
        (Some(user), None) => Some(*user),
        (None, _) => peers.iter().find(|peer| peer.uid == 0).copied(),
        (Some(_), Some(_)) => None,
    }
}

/// Whether the client is in a group, by the group that it connected with or by `etc/group`.
pub fn is_in_group(client: Client, group: &str, etc: &Path) -> bool {
    let read = |file: &str| fs::read_to_string(etc.join(file)).unwrap_or_default();
    let (groups, users) = (read("group"), read("passwd"));
    let Some(entry) = lines(&groups).find(|fields| fields[0] == group && fields.len() >= 4) else {
        return false;
    };
    let number = |text: &str| text.parse::<u32>().ok();
    if number(entry[2]) == Some(client.gid) {
        return true;
    }
    let names: Vec<&str> = lines(&users)
        .filter(|fields| fields.len() >= 4 && number(fields[2]) == Some(client.uid))
        .map(|fields| fields[0])
        .collect();
    entry[3].split(',').any(|member| names.contains(&member))
}

fn lines(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().map(|line| line.split(':').collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(uid: u32, gid: u32) -> Client {
        Client { uid, gid }
    }

    #[test]
    fn two_users_are_no_answer_and_root_is_only_root_when_alone() {
        let peers = |list: &[Client]| only(&list.iter().copied().collect());
        assert_eq!(peers(&[]), None);
        assert_eq!(peers(&[client(0, 0)]), Some(client(0, 0)));
        assert_eq!(peers(&[client(0, 0), client(1000, 100)]), Some(client(1000, 100)));
        assert_eq!(peers(&[client(1000, 100), client(1001, 100)]), None);
        assert_eq!(peers(&[client(u32::MAX, 0)]), None);
    }

    #[test]
    fn a_member_is_who_the_files_name_and_not_who_has_a_name_like_it() {
        let etc = tempfile::tempdir().unwrap();
        fs::write(
            etc.path().join("passwd"),
            "ann:x:1000:100::/:/bin/sh\nanna:x:1001:100::/:/bin/sh\n",
        )
        .unwrap();
        fs::write(
            etc.path().join("group"),
            "dev:x:200:bob,ann\ndevs:x:201:anna\nusers:x:100:\n",
        )
        .unwrap();
        let is = |uid, gid, group| is_in_group(client(uid, gid), group, etc.path());
        assert!(is(1000, 100, "dev") && is(7, 200, "dev") && is(1001, 100, "users"));
        assert!(!is(1001, 100, "dev") && !is(7, 201, "dev") && !is(1000, 100, "nothing"));
        assert!(!is_in_group(client(1000, 200), "dev", Path::new("/nowhere")));
    }
}
