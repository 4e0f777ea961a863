//! Requests, as they are kept: to be evaluated again whenever the approvals are made anew.

use std::{fs, io, io::Write as _, path::PathBuf};

use super::request::{Request, RequestError};
use crate::place::{Place, PlaceError};

/// So many requests are kept.
pub const MOST: usize = 200;

/// So many of them are of one user who is not root.
pub const MOST_OF_ONE: usize = 20;

/// Why requests are not known or not kept.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// A file is not ours, or cannot be read or written.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// A file that we did not write.
    #[error("{} is not understood", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A request that we would not have kept.
    #[error("{} is no request that is kept", path.display())]
    Unfit {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: RequestError,
    },
    /// There are too many.
    #[error("expected at most {MOST} requests, and {MOST_OF_ONE} of one user; there are as many")]
    Full,
}

/// All of them, sorted by their names.
pub fn all(place: &Place) -> Result<Vec<Request>, KeptError> {
    let directory = place.requests();
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(PlaceError::at("read", directory)(error).into()),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(PlaceError::at("read", &directory))?.path();
        // A half-written file of a power cut has another name.
        if path.extension().is_some_and(|extension| extension == "json") {
            paths.push(path);
        }
    }
    paths.sort();
    paths.into_iter().map(|path| read(place, path)).collect()
}

fn read(place: &Place, path: PathBuf) -> Result<Request, KeptError> {
    let bytes = place.read_ours(&path)?;
    let request: Request = serde_json::from_slice(&bytes).map_err(|source| KeptError::Malformed {
        path: path.clone(),
        source,
    })?;
    match request.question.check() {
        Ok(()) => Ok(request),
        Err(source) => Err(KeptError::Unfit { path, source }),
    }
}

/// These requests with one more. What is asked for again takes the place of what was asked; sources that were named stay.
pub fn with(mut kept: Vec<Request>, mut request: Request) -> Result<Vec<Request>, KeptError> {
    if let Some(at) = kept
        .iter()
        .position(|before| before.question.wanted == request.question.wanted)
    {
        let before = kept.remove(at);
        if before.client.uid == 0 && request.client.uid != 0 {
            // Whoever asks for what root has asked for changes nothing of it.
            request = before;
        } else {
            request.question.sources.extend(before.question.sources);
        }
    }
    let uid = request.client.uid;
    let of_one = kept.iter().filter(|before| before.client.uid == uid).count();
    if kept.len() >= MOST || (uid != 0 && of_one >= MOST_OF_ONE) {
        return Err(KeptError::Full);
    }
    kept.push(request);
    Ok(kept)
}

/// Keeps one.
pub fn keep(place: &Place, request: &Request) -> Result<(), PlaceError> {
    let directory = place.requests();
    fs::create_dir_all(&directory).map_err(PlaceError::at("make the directory", &directory))?;
    let mut text = serde_json::to_vec_pretty(request).expect("a request is JSON");
    text.push(b'\n');
    place.replace(&file(place, request), 0o644, |out| out.write_all(&text))
}

/// Forgets one.
pub fn forget(place: &Place, request: &Request) -> Result<(), PlaceError> {
    let path = file(place, request);
    fs::remove_file(&path).map_err(PlaceError::at("remove", path))
}

fn file(place: &Place, request: &Request) -> PathBuf {
    place.requests().join(format!("{}.json", request.question.wanted.id()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        approver::request::{Question, Wanted},
        client::Client,
    };

    fn request(uid: u32, attribute: &str, sources: &[&str]) -> Request {
        let attributes = vec![attribute.parse().unwrap()];
        let sources: BTreeSet<_> = sources.iter().map(|source| source.parse().unwrap()).collect();
        Request {
            question: Question::new(Wanted::Packages { attributes }, sources),
            client: Client { uid, gid: uid },
            time: 1,
        }
    }

    #[test]
    fn what_is_asked_again_is_one_request_and_nobody_changes_what_root_asked() {
        let source = "rw7inc1angha9y1sq6wsxk65crllgqr6-x.tar";
        let kept = with(Vec::new(), request(0, "hello", &[source])).unwrap();
        let kept = with(kept, request(0, "hello", &[])).unwrap();
        assert_eq!((kept.len(), kept[0].question.sources.len()), (1, 1));
        let kept = with(kept, request(1000, "hello", &[])).unwrap();
        assert_eq!((kept.len(), kept[0].client.uid), (1, 0));
        let kept = with(kept, request(1000, "jq", &[])).unwrap();
        let kept = with(kept, request(0, "jq", &[])).unwrap();
        assert_eq!((kept.len(), kept[1].client.uid), (2, 0));
    }

    #[test]
    fn one_user_cannot_fill_it() {
        let mut kept = Vec::new();
        for number in 0..MOST_OF_ONE {
            kept = with(kept, request(1000, &format!("a{number}"), &[])).unwrap();
        }
        assert!(matches!(
            with(kept.clone(), request(1000, "b", &[])),
            Err(KeptError::Full)
        ));
        with(kept.clone(), request(1000, "a3", &[])).unwrap();
        with(kept, request(0, "b", &[])).unwrap();
    }

    #[test]
    fn what_is_kept_is_read_again_and_a_foreign_file_is_not_believed() {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::new(directory.path());
        place.create().unwrap();
        assert_eq!(all(&place).unwrap(), []);
        let asked = request(0, "hello", &[]);
        keep(&place, &asked).unwrap();
        assert_eq!(all(&place).unwrap(), std::slice::from_ref(&asked));
        fs::write(place.requests().join("x.json"), "{}").unwrap();
        assert!(matches!(all(&place), Err(KeptError::Malformed { .. })));
        fs::remove_file(place.requests().join("x.json")).unwrap();
        forget(&place, &asked).unwrap();
        assert_eq!(all(&place).unwrap(), []);
    }
}
