//! The commits that one reaches and others do not: what of a history is to be judged.
//!
//! The search goes from the newest commit to older ones, by the dates that committers wrote. A wrong date costs time,
//! and may leave a commit among those to be judged that the excluded ones reach; it never takes one out. So whoever
//! refuses such a commit asks [`super::History::descends_from`] first.

use std::collections::{BTreeSet, BinaryHeap, HashMap};

use gix::ObjectId;

use super::{CommitHeader, History, HistoryError, header};

/// Commits to be judged, and where they end.
#[derive(Debug)]
pub struct Reach {
    nodes: Vec<Node>,
    index: HashMap<ObjectId, usize>,
    /// Commits that were not to be looked at, met as parents.
    edge: BTreeSet<ObjectId>,
    /// Whether a commit without parents was met.
    begins: Vec<ObjectId>,
}

/// A commit to be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The commit.
    pub id: ObjectId,
    /// Its parents, also those that are not to be judged.
    pub parents: Vec<ObjectId>,
    /// When its committer says that it was made, in seconds of Unix time.
    pub committed: i64,
}

struct Met {
    parents: Vec<ObjectId>,
    committed: i64,
    excluded: bool,
}

impl History {
    /// The commits that `to` reaches and `excluded` do not. `each` is given the bytes of every commit on the way that
    /// may be one of them, once.
    pub fn reach(
        &self,
        to: ObjectId,
        excluded: &[ObjectId],
        mut each: impl FnMut(ObjectId, &[u8]),
    ) -> Result<Reach, HistoryError> {
        let mut met: HashMap<ObjectId, Met> = HashMap::new();
        let mut queue = BinaryHeap::new();
        let mut buffer = Vec::new();
        let mut order = Vec::new();
        // How many entries of the queue may still lead to a commit that is to be judged.
        let mut open = 0_usize;
        let mut seeds: Vec<_> = excluded.iter().map(|id| (*id, true)).collect();
        seeds.push((to, false));
        let mut meet = |id: ObjectId,
                        excludes: bool,
                        met: &mut HashMap<ObjectId, Met>,
                        queue: &mut BinaryHeap<(i64, ObjectId, bool)>|
         -> Result<usize, HistoryError> {
            match met.get_mut(&id) {
                Some(known) if known.excluded || !excludes => Ok(0),
                Some(known) => {
                    known.excluded = true;
                    queue.push((i64::MAX, id, true));
                    Ok(0)
                }
                None => {
                    self.commit_bytes(id, &mut buffer)?;
                    let CommitHeader { parents, committed, .. } = header(id, &buffer)?;
                    if !excludes {
                        each(id, &buffer);
                        order.push(id);
                    }
                    met.insert(
                        id,
                        Met {
                            parents,
                            committed,
                            excluded: excludes,
                        },
                    );
                    queue.push((committed, id, excludes));
                    Ok(usize::from(!excludes))
                }
            }
        };
        for (id, excludes) in seeds {
            open += meet(id, excludes, &mut met, &mut queue)?;
        }
        let again = |queue: &BinaryHeap<(i64, ObjectId, bool)>| queue.peek().is_some_and(|next| next.0 == i64::MAX);
        while open > 0 || again(&queue) {
            let Some((_, id, was_excluded)) = queue.pop() else {
                break;
            };
            open -= usize::from(!was_excluded);
            let Some(known) = met.get(&id) else { continue };
            let excludes = known.excluded;
            for parent in known.parents.clone() {
                open += meet(parent, excludes, &mut met, &mut queue)?;
            }
        }
        Ok(Reach::of(order, &met))
    }
}

impl Reach {
    fn of(order: Vec<ObjectId>, met: &HashMap<ObjectId, Met>) -> Self {
        let (mut nodes, mut index) = (Vec::new(), HashMap::new());
        let (mut edge, mut begins) = (BTreeSet::new(), Vec::new());
        let judged = |id: &ObjectId| met.get(id).is_some_and(|known| !known.excluded);
        for id in order.into_iter().filter(judged) {
            let Some(known) = met.get(&id) else { continue };
            edge.extend(known.parents.iter().filter(|parent| !judged(parent)));
            if known.parents.is_empty() {
                begins.push(id);
            }
            index.insert(id, nodes.len());
            nodes.push(Node {
                id,
                parents: known.parents.clone(),
                committed: known.committed,
            });
        }
        Self {
            nodes,
            index,
            edge,
            begins,
        }
    }

    /// The commits, each once; newer ones first as far as their dates are right.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Whether the commit is to be judged.
    pub fn has(&self, commit: &ObjectId) -> bool {
        self.index.contains_key(commit)
    }

    /// Commits that were not to be judged and are parents of ones that are.
    pub const fn edge(&self) -> &BTreeSet<ObjectId> {
        &self.edge
    }

    /// Commits to be judged that have no parent: where another history begins.
    pub fn begins(&self) -> &[ObjectId] {
        &self.begins
    }

    /// These of the commits to be judged, and those that reach one of them.
    pub fn after(&self, commits: &BTreeSet<ObjectId>) -> BTreeSet<ObjectId> {
        let mut children: HashMap<usize, Vec<usize>> = HashMap::new();
        for (child, node) in self.nodes.iter().enumerate() {
            for parent in node.parents.iter().filter_map(|parent| self.index.get(parent)) {
                children.entry(*parent).or_default().push(child);
            }
        }
        let mut found = BTreeSet::new();
        let mut stack: Vec<_> = commits.iter().filter_map(|id| self.index.get(id).copied()).collect();
        while let Some(node) = stack.pop() {
            if found.insert(self.nodes[node].id) {
                stack.extend(children.get(&node).into_iter().flatten());
            }
        }
        found
    }

    /// The commits to be judged that do not descend from `edge`, a commit of [`Self::edge`].
    pub fn beside(&self, edge: ObjectId) -> Vec<&Node> {
        let children = self.nodes.iter().filter(|node| node.parents.contains(&edge));
        let above = self.after(&children.map(|node| node.id).collect());
        self.nodes.iter().filter(|node| !above.contains(&node.id)).collect()
    }

    /// For each of [`Self::nodes`] the index of the first of `boundaries` that reaches it, or their number if none
    /// does. Exact, whatever the dates are.
    pub fn positions(&self, boundaries: &[ObjectId]) -> Vec<usize> {
        let mut positions = vec![boundaries.len(); self.nodes.len()];
        for (position, boundary) in boundaries.iter().enumerate() {
            let mut stack: Vec<_> = self.index.get(boundary).copied().into_iter().collect();
            while let Some(node) = stack.pop() {
                if positions[node] == boundaries.len() {
                    positions[node] = position;
                    let parents = &self.nodes[node].parents;
                    stack.extend(parents.iter().filter_map(|parent| self.index.get(parent).copied()));
                }
            }
        }
        positions
    }
}
