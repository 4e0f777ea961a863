//! Who makes a commit in the ledger, and when: an argument, never the machine's own idea.

use attestation::Time;

/// The author of commits in the ledger. It is a courtesy to readers of the log and proves nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    name: String,
    email: String,
    time: Time,
}

/// Why a text cannot stand in a commit's author line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an author's {member} without '<', '>' and control characters, found {found:?}")]
pub struct AuthorError {
    /// `name` or `email`.
    member: &'static str,
    /// The text that was read.
    found: String,
}

impl Author {
    /// An author who commits at `time` (shown as UTC). The name must not be empty.
    pub fn new(name: &str, email: &str, time: Time) -> Result<Self, AuthorError> {
        let check = |member, text: &str, may_be_empty: bool| {
            let clean = !text.contains(['<', '>']) && !text.chars().any(char::is_control) && text.trim() == text;
            if clean && (may_be_empty || !text.is_empty()) {
                Ok(text.to_owned())
            } else {
                Err(AuthorError {
                    member,
                    found: text.to_owned(),
                })
            }
        };
        Ok(Self {
            name: check("name", name, false)?,
            email: check("email", email, true)?,
            time,
        })
    }

    pub(crate) fn signature(&self) -> gix::actor::Signature {
        gix::actor::Signature {
            name: self.name.as_str().into(),
            email: self.email.as_str().into(),
            time: gix::date::Time {
                seconds: self.time.unix(),
                offset: 0,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_name_that_would_end_the_author_line() {
        let time = Time::from_unix(0);
        for (name, email) in [
            ("", "a@b"),
            ("a\nparent 1", "a@b"),
            ("a <b>", "a@b"),
            ("a", "b>"),
            (" a", "b"),
        ] {
            assert!(
                Author::new(name, email, time).is_err(),
                "{name:?} {email:?} was accepted"
            );
        }
        assert!(Author::new("Alice Émile", "", time).is_ok());
    }
}
