//! A whole tree with its contents, in the one order that NAR and tarball share.

use std::iter::Peekable;

use gix::ObjectId;

use crate::{
    FileMode, Repository, TreeError, TreeFile, TreePath,
    path::{PathError, check_name},
    repository::ObjectError,
    walk::Met,
};

/// A file or symlink that is added to the top of a tree, as a channel adds `.version-suffix`, `.git-revision` and
/// `nixpkgs -> .`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extra {
    name: TreePath,
    content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    File(Vec<u8>),
    Symlink(String),
}

/// What [`Repository::visit_tree`] meets, parents before what is in them, siblings sorted by the bytes of their
/// names (not by whole paths, and not as git sorts).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node<'a> {
    /// A directory begins. The root, which has no path, is not announced.
    EnterDirectory {
        /// Its path from the root.
        path: &'a TreePath,
    },
    /// The directory entered last ends.
    LeaveDirectory,
    /// A regular file.
    File {
        /// Its path from the root.
        path: &'a TreePath,
        /// Whether it has the executable bit.
        executable: bool,
        /// Its bytes.
        contents: &'a [u8],
    },
    /// A symbolic link.
    Symlink {
        /// Its path from the root.
        path: &'a TreePath,
        /// Its target: any bytes, since git promises nothing.
        target: &'a [u8],
    },
}

/// Why a tree could not be visited to its end.
#[derive(Debug, thiserror::Error)]
pub enum VisitError<E: std::error::Error + 'static> {
    /// The tree is refused.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// An extra has the name of something that is already there.
    #[error("expected no entry named {name} at the top of the tree, where it is to be added; found one")]
    Collision {
        /// The extra's name.
        name: TreePath,
    },
    /// The visitor refused a node.
    #[error(transparent)]
    Visitor(E),
}

impl<E: std::error::Error + 'static> From<ObjectError> for VisitError<E> {
    fn from(error: ObjectError) -> Self {
        Self::Tree(error.into())
    }
}

impl Extra {
    /// A regular file at the top of the tree. Its name must be one component.
    pub fn file(name: &str, contents: impl Into<Vec<u8>>) -> Result<Self, PathError> {
        Ok(Self {
            name: top_name(name)?,
            content: Content::File(contents.into()),
        })
    }

    /// A symbolic link at the top of the tree. Its name must be one component.
    pub fn symlink(name: &str, target: impl Into<String>) -> Result<Self, PathError> {
        Ok(Self {
            name: top_name(name)?,
            content: Content::Symlink(target.into()),
        })
    }

    /// The name at the top of the tree.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Whether it is a symbolic link.
    pub const fn is_symlink(&self) -> bool {
        matches!(self.content, Content::Symlink(_))
    }

    /// The bytes of the file, or the target of the link.
    pub fn contents(&self) -> &[u8] {
        match &self.content {
            Content::File(bytes) => bytes,
            Content::Symlink(target) => target.as_bytes(),
        }
    }
}

fn top_name(name: &str) -> Result<TreePath, PathError> {
    check_name(name.as_bytes()).map(|name| TreePath::join("", name))
}

#[derive(Clone, Copy)]
enum BlobMode {
    File { executable: bool },
    Symlink,
}

/// What is visited next, but for a blob's contents.
enum Step<'a> {
    Enter(&'a TreePath),
    Leave,
    Blob { path: &'a TreePath, mode: BlobMode },
    Extra(&'a Extra),
}

impl Repository {
    /// Visits the tree as if the extras were in it. Contents are read on all cores and come in order, in bounded
    /// memory; the paths of the whole tree are held.
    ///
    /// A submodule is an empty directory, as `git archive` and Nix without `submodules` have it. The bytes are git's:
    /// attributes (`export-ignore`, `export-subst`, line ends) have no effect.
    pub fn visit_tree<E: std::error::Error + 'static>(
        &self,
        tree: ObjectId,
        extras: &[Extra],
        mut visit: impl FnMut(Node<'_>) -> Result<(), E>,
    ) -> Result<(), VisitError<E>> {
        let met = self.walk(tree, "", 0)?;
        let mut extras: Vec<_> = extras.iter().collect();
        extras.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        refuse_collisions(&met, &extras)?;
        let is_blob = |file: &&TreeFile| file.mode != FileMode::Submodule;
        let files = met.iter().filter_map(Met::file).filter(is_blob);
        let blobs: Vec<_> = files.map(|file| file.id).collect();
        let mut steps = Steps {
            met: met.iter().peekable(),
            extras: extras.into_iter().peekable(),
            depth: 0,
            in_submodule: false,
        };
        self.for_each_blob(&blobs, |contents| visit_up_to_blob(&mut steps, contents, &mut visit))?;
        visit_rest(&mut steps, &mut visit)
    }
}

/// Before anything is visited: no extra has the name of another, or of what is at the top of the tree.
fn refuse_collisions<E: std::error::Error + 'static>(met: &[Met], extras: &[&Extra]) -> Result<(), VisitError<E>> {
    let collision = |extra: &Extra| VisitError::Collision {
        name: extra.name.clone(),
    };
    if let Some(pair) = extras.windows(2).find(|pair| pair[0].name == pair[1].name) {
        return Err(collision(pair[0]));
    }
    let mut depth = 0;
    for met in met {
        let top = if depth == 0 { met.path() } else { None };
        if let Some(extra) = top.and_then(|path| extras.iter().find(|extra| extra.name == *path)) {
            return Err(collision(extra));
        }
        match met {
            Met::Enter(_) => depth += 1,
            Met::Leave => depth -= 1,
            Met::File(_) => {}
        }
    }
    Ok(())
}

/// What was met, and the extras in their places among it.
struct Steps<'a> {
    met: Peekable<std::slice::Iter<'a, Met>>,
    extras: Peekable<std::vec::IntoIter<&'a Extra>>,
    depth: usize,
    in_submodule: bool,
}

impl<'a> Iterator for Steps<'a> {
    type Item = Step<'a>;

    fn next(&mut self) -> Option<Step<'a>> {
        if std::mem::take(&mut self.in_submodule) {
            return Some(Step::Leave);
        }
        let top = self.depth == 0;
        let next = self.met.peek().copied();
        let comes_first = |extra: &&Extra| match next {
            Some(met) => top && met.path().is_some_and(|path| extra.name() < path.as_str()),
            None => true,
        };
        if let Some(extra) = self.extras.next_if(comes_first) {
            return Some(Step::Extra(extra));
        }
        Some(match self.met.next()? {
            Met::Enter(path) => {
                self.depth += 1;
                Step::Enter(path)
            }
            Met::Leave => {
                self.depth -= 1;
                Step::Leave
            }
            Met::File(TreeFile { path, mode, .. }) => {
                let mode = match mode {
                    FileMode::Submodule => {
                        self.in_submodule = true;
                        return Some(Step::Enter(path));
                    }
                    FileMode::Regular => BlobMode::File { executable: false },
                    FileMode::Executable => BlobMode::File { executable: true },
                    FileMode::Symlink => BlobMode::Symlink,
                };
                Step::Blob { path, mode }
            }
        })
    }
}

/// Visits what comes before the next blob, and that blob.
fn visit_up_to_blob<E: std::error::Error + 'static>(
    steps: &mut Steps<'_>,
    contents: &[u8],
    visit: &mut impl FnMut(Node<'_>) -> Result<(), E>,
) -> Result<(), VisitError<E>> {
    for step in steps {
        if let Step::Blob { path, mode } = step {
            let node = match mode {
                BlobMode::File { executable } => Node::File {
                    path,
                    executable,
                    contents,
                },
                BlobMode::Symlink => Node::Symlink { path, target: contents },
            };
            return visit(node).map_err(VisitError::Visitor);
        }
        visit_without_blob(&step, visit)?;
    }
    Ok(())
}

/// Visits what comes after the last blob.
fn visit_rest<E: std::error::Error + 'static>(
    steps: &mut Steps<'_>,
    visit: &mut impl FnMut(Node<'_>) -> Result<(), E>,
) -> Result<(), VisitError<E>> {
    steps.try_for_each(|step| visit_without_blob(&step, visit))
}

fn visit_without_blob<E: std::error::Error + 'static>(
    step: &Step<'_>,
    visit: &mut impl FnMut(Node<'_>) -> Result<(), E>,
) -> Result<(), VisitError<E>> {
    let node = match *step {
        Step::Enter(path) => Node::EnterDirectory { path },
        Step::Leave => Node::LeaveDirectory,
        Step::Extra(Extra {
            name,
            content: Content::File(contents),
        }) => Node::File {
            path: name,
            executable: false,
            contents,
        },
        Step::Extra(Extra {
            name,
            content: Content::Symlink(target),
        }) => Node::Symlink {
            path: name,
            target: target.as_bytes(),
        },
        Step::Blob { .. } => return Ok(()),
    };
    visit(node).map_err(VisitError::Visitor)
}
