//! The NAR digest of a git tree, without a checkout.

use gix::ObjectId;
use nixstore::{
    NarDigest,
    nar::{NarError as WriteError, Writer},
};

use crate::{
    Repository,
    visit::{Extra, Node, VisitError},
};

/// Why a tree has no NAR digest.
pub type NarError = VisitError<WriteError>;

impl Repository {
    /// The digest of the NAR that Nix makes of a checkout of the tree with the extras added: `tree-nar` of a release
    /// without extras, `channel-nar` with them. See [`Repository::visit_tree`].
    pub fn tree_nar(&self, tree: ObjectId, extras: &[Extra]) -> Result<NarDigest, NarError> {
        let mut nar = Writer::hashing().map_err(VisitError::Visitor)?;
        self.visit_tree(tree, extras, |node| match node {
            Node::EnterDirectory { path } => nar.enter_directory(path.name().as_bytes()),
            Node::LeaveDirectory => nar.leave_directory(),
            Node::File {
                path,
                executable,
                contents,
            } => nar.file(path.name().as_bytes(), executable, contents),
            Node::Symlink { path, target } => nar.symlink(path.name().as_bytes(), target),
        })?;
        nar.digest().map_err(VisitError::Visitor)
    }
}
