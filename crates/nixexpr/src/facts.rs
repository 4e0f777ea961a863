//! Facts of a file: the packages in it and what they fetch.

use std::borrow::Cow;

use crate::{
    File,
    hash::{Algorithm, Digest},
    names::{self, Fetcher},
    origin::{self, Nature, Origin},
    resolve::Attribute,
    syntax::tree::{Kind, NodeId, Span},
};

/// What is known of something. Unknown is a value, never a guess.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact<T> {
    /// The text determines it.
    Known(T),
    /// It is there, and the text does not determine it.
    Unknown,
    /// It is not there.
    Absent,
}

impl<T> Fact<T> {
    /// The value, if it is known.
    pub const fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown | Self::Absent => None,
        }
    }

    /// Whether it is known.
    pub const fn is_known(&self) -> bool {
        matches!(self, Self::Known(_))
    }

    fn of(option: Option<T>) -> Self {
        option.map_or(Self::Unknown, Self::Known)
    }
}

/// What a file says.
#[derive(Debug, Default)]
pub struct FileFacts<'a> {
    /// Expressions that make a package, in the order of the text.
    pub packages: Vec<Package<'a>>,
    /// Calls of fetchers, likewise.
    pub sources: Vec<Source<'a>>,
}

/// An expression that makes a package.
#[derive(Debug)]
pub struct Package<'a> {
    /// The names under which it is bound in the file, `a.b`; empty where it is the file's value.
    pub attribute: String,
    /// The function that makes it.
    pub builder: &'a str,
    /// Where it begins, in bytes.
    pub at: u32,
    /// Its name without version.
    pub pname: Fact<Cow<'a, str>>,
    /// Its version.
    pub version: Fact<Cow<'a, str>>,
    /// Its sources, as indices of [`FileFacts::sources`]; none for a source that lies in the tree.
    pub sources: Fact<Vec<usize>>,
    pub(crate) span: Span,
    pub(crate) set: NodeId,
}

/// A call of a fetcher.
#[derive(Debug)]
pub struct Source<'a> {
    /// The names under which it is bound, `a.src`.
    pub path: String,
    /// The fetcher's name.
    pub fetcher: &'a str,
    /// Where it begins, in bytes.
    pub at: u32,
    /// Where it is fetched from; of several URLs, the first.
    pub origin: Fact<Origin>,
    /// All URLs, if it is fetched by URL.
    pub urls: Fact<Vec<Cow<'a, str>>>,
    /// Revision, tag, or in a registry the version.
    pub revision: Fact<Cow<'a, str>>,
    /// The hash that it must have.
    pub hash: Fact<Digest>,
    /// Whether a forge makes it from a repository, or somebody uploaded it.
    pub nature: Fact<Nature>,
    /// The set of arguments.
    pub(crate) set: Option<NodeId>,
}

impl Source<'_> {
    /// Whether what it fetches is patched into something else.
    pub(crate) fn is_patch(&self) -> bool {
        let named = |url: &Cow<'_, str>| {
            [
                ".patch",
                ".diff",
                ".patch.gz",
                ".patch.bz2",
                ".patch.xz",
                ".diff.gz",
                ".diff.bz2",
            ]
            .iter()
            .any(|end| url.ends_with(end))
        };
        self.fetcher.starts_with("fetchpatch")
            || self.last_name().contains("atch")
            || self.urls.known().and_then(|urls| urls.first()).is_some_and(named)
    }

    /// The name it is bound to itself.
    pub(crate) fn last_name(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or("")
    }
}

impl Package<'_> {
    /// How people call it: its name, else its attribute.
    pub(crate) fn title(&self) -> &str {
        match &self.pname {
            Fact::Known(name) => name,
            _ => &self.attribute,
        }
    }
}

/// The facts of a file.
pub fn facts<'a>(file: &File<'a>) -> FileFacts<'a> {
    let mut gather = Gather {
        file,
        facts: FileFacts::default(),
        by_node: Vec::new(),
    };
    let applications = file.tree.ids().filter_map(|id| match file.tree.kind(id) {
        Kind::Apply { function, argument } => Some((id, function, argument)),
        _ => None,
    });
    let mut packages = Vec::new();
    for (id, function, argument) in applications {
        let Some(callee) = file.callee(function) else {
            continue;
        };
        if let Some(fetcher) = names::fetcher(callee.last) {
            gather.source(id, callee.last, fetcher, argument);
        } else if let Some(set) = gather.package_set(callee.last, argument) {
            packages.push((id, callee.last, set));
        }
    }
    for (id, builder, set) in packages {
        gather.package(id, builder, set);
    }
    gather.facts.packages.sort_by_key(|package| package.at);
    gather.facts
}

struct Gather<'f, 'a> {
    file: &'f File<'a>,
    facts: FileFacts<'a>,
    /// Which source each node makes, sorted.
    by_node: Vec<(NodeId, usize)>,
}

impl<'a> Gather<'_, 'a> {
    /// The set that describes a package, if `function` makes one of its argument.
    fn package_set(&self, function: &str, argument: NodeId) -> Option<NodeId> {
        let file = self.file;
        let direct = matches!(
            file.tree.kind(argument),
            Kind::Set { .. }
                | Kind::Lambda { .. }
                | Kind::Binary { .. }
                | Kind::Let { .. }
                | Kind::With { .. }
                | Kind::Ident
                | Kind::Assert { .. }
        );
        if names::is_builder(function) {
            return if direct { file.argument_set(argument) } else { None };
        }
        // Whatever else takes a source and a name.
        if !matches!(file.tree.kind(argument), Kind::Set { .. }) {
            return None;
        }
        let has = |wanted: &[&str]| {
            file.tree.bindings_of(argument).iter().any(|id| {
                let crate::syntax::tree::Bound::Value { path, .. } = file.tree.binding(*id).bound else {
                    return false;
                };
                matches!(file.tree.names(path), [only] if file.name(*only).is_some_and(|name| wanted.contains(&name)))
            })
        };
        let kept = matches!(
            function,
            "callPackage"
                | "override"
                | "overrideDerivation"
                | "overrideAttrs"
                | "import"
                | "applyPatches"
                | "runCommand"
        );
        (!kept && has(&["src", "srcs"]) && has(&["name", "pname", "version"])).then_some(argument)
    }

    fn text(&self, set: NodeId, name: &str) -> Fact<Cow<'a, str>> {
        match self.file.attribute(set, name) {
            Attribute::Is(node) => Fact::of(self.file.text_of(node)),
            Attribute::Absent => Fact::Absent,
            Attribute::Unknown => Fact::Unknown,
        }
    }

    fn first_text(&self, set: NodeId, names: &[&str]) -> Fact<Cow<'a, str>> {
        let mut found = names.iter().map(|name| self.text(set, name));
        found.find(|fact| *fact != Fact::Absent).unwrap_or(Fact::Absent)
    }

    fn source(&mut self, node: NodeId, fetcher: &'a str, kind: Fetcher, argument: NodeId) {
        let file = self.file;
        let set = file.argument_set(argument);
        let head = file.root_name(match file.tree.kind(node) {
            Kind::Apply { function, .. } => function,
            _ => node,
        });
        // A fetcher that the file itself defines is whatever it is.
        // (Those of a collection are what everybody else calls so.)
        let given = crate::paths::is_collection(file.path())
            || head.is_some_and(|head| {
                !matches!(
                    file.lookup(head, node),
                    crate::resolve::Binder::Value(_) | crate::resolve::Binder::Pieces
                )
            });
        let mut source = Source {
            path: file.path_of(node),
            fetcher,
            at: file.tree.span(node).start,
            origin: Fact::Unknown,
            urls: Fact::Absent,
            revision: Fact::Absent,
            hash: Fact::Unknown,
            nature: Fact::Unknown,
            set,
        };
        match set {
            Some(set) => self.fill(&mut source, kind, set),
            None => {
                source.urls = Fact::of(file.text_of(argument).map(|url| vec![url]));
                source.hash = if source.urls.is_known() {
                    Fact::Absent
                } else {
                    Fact::Unknown
                };
                source.origin = first_origin(&source.urls);
            }
        }
        if !given {
            source.origin = Fact::Unknown;
        }
        self.by_node.push((node, self.facts.sources.len()));
        self.facts.sources.push(source);
    }

    fn fill(&self, source: &mut Source<'a>, kind: Fetcher, set: NodeId) {
        source.hash = hash(self.file, set);
        match kind {
            Fetcher::Url => {
                source.urls = self.urls(set);
                source.origin = first_origin(&source.urls);
                if let Some(urls) = source.urls.known()
                    && let Some(first) = urls.first()
                {
                    source.nature = Fact::Known(origin::nature(first));
                }
            }
            Fetcher::Git | Fetcher::Versioned => {
                source.urls = self.urls(set);
                source.origin = first_origin(&source.urls);
                source.revision = self.first_text(set, &["rev", "tag", "ref", "date"]);
                source.nature = Fact::Known(Nature::Snapshot);
            }
            Fetcher::Forge { host, host_attribute } => {
                source.revision = self.first_text(set, &["rev", "tag", "ref"]);
                source.nature = Fact::Known(Nature::Snapshot);
                let site = match self.text(set, host_attribute) {
                    Fact::Absent if host.is_empty() => Fact::Unknown,
                    Fact::Absent => Fact::Known(Cow::Borrowed(host)),
                    other => other,
                };
                let owner = match self.first_text(set, &["owner", "group"]) {
                    Fact::Absent => Fact::Known(Cow::Borrowed("")),
                    other => other,
                };
                let repo = self.first_text(set, &["repo", "name"]);
                source.origin = match (site.known(), owner.known(), repo.known()) {
                    (Some(site), Some(owner), Some(repo)) => Fact::Known(Origin::of_forge(site, owner, repo)),
                    _ => Fact::Unknown,
                };
            }
            Fetcher::Registry(registry) => {
                let name = self.first_text(set, &["pname", "crateName", "pkg", "gemName", "name"]);
                source.revision = self.text(set, "version");
                source.nature = Fact::Known(Nature::Upload);
                source.origin = match name {
                    Fact::Known(name) => Fact::Known(Origin::registry(registry, &name)),
                    _ => Fact::Unknown,
                };
            }
            Fetcher::Vendor => source.origin = Fact::Unknown,
        }
    }

    fn urls(&self, set: NodeId) -> Fact<Vec<Cow<'a, str>>> {
        match self.file.attribute(set, "url") {
            Attribute::Is(node) => return Fact::of(self.file.text_of(node).map(|url| vec![url])),
            Attribute::Unknown => return Fact::Unknown,
            Attribute::Absent => {}
        }
        let list = match self.file.attribute(set, "urls") {
            Attribute::Is(node) => node,
            Attribute::Unknown => return Fact::Unknown,
            Attribute::Absent => return Fact::Absent,
        };
        let urls = self.file.force(list).and_then(|list| match self.file.tree.kind(list) {
            Kind::List(items) => self
                .file
                .tree
                .items(items)
                .iter()
                .map(|item| self.file.text_of(*item))
                .collect(),
            _ => None,
        });
        Fact::of(urls)
    }

    fn package(&mut self, node: NodeId, builder: &'a str, set: NodeId) {
        let file = self.file;
        let span = file.tree.span(node);
        let name = self.text(set, "name");
        let mut pname = self.text(set, "pname");
        let mut version = self.text(set, "version");
        let from_name = |name: &Fact<Cow<'a, str>>| name.known().map(|name| split_name(name));
        // The name of a package with a name attribute but no version is both.
        if pname == Fact::Absent {
            pname = match (&name, from_name(&name)) {
                (_, Some((base, _))) => Fact::Known(base),
                (Fact::Absent, _) => Fact::Absent,
                _ => Fact::Unknown,
            };
        }
        if version == Fact::Absent {
            version = match (&name, from_name(&name)) {
                (_, Some((_, Some(found)))) => Fact::Known(found),
                (Fact::Unknown, _) => Fact::Unknown,
                _ => Fact::Absent,
            };
        }
        let mut sources = self.sources_of(set);
        if sources == Fact::Absent
            && let (Fact::Known(name), Fact::Known(found)) = (&pname, &version)
            && builder == "mkDerivation"
            && !self.is_of_stdenv(node)
            && let Fact::Known(hash) = hash(file, set)
        {
            // Hackage's packages name no source: their builder makes it of name and version.
            self.facts.sources.push(Source {
                path: format!("{}.sha256", file.path_of(node))
                    .trim_start_matches('.')
                    .to_owned(),
                fetcher: "hackage",
                at: span.start,
                origin: Fact::Known(Origin::registry("hackage", name)),
                urls: Fact::Absent,
                revision: Fact::Known(found.clone()),
                hash: Fact::Known(hash),
                nature: Fact::Known(Nature::Upload),
                set: Some(set),
            });
            sources = Fact::Known(vec![self.facts.sources.len() - 1]);
        }
        self.facts.packages.push(Package {
            attribute: file.path_of(node),
            builder,
            at: span.start,
            pname,
            version,
            sources,
            span,
            set,
        });
    }

    /// `stdenv.mkDerivation`, which makes no source of a name and a hash.
    fn is_of_stdenv(&self, application: NodeId) -> bool {
        match self.file.tree.kind(application) {
            Kind::Apply { function, .. } => self.file.slice(self.file.tree.span(function)).contains("stdenv"),
            _ => false,
        }
    }

    fn sources_of(&self, set: NodeId) -> Fact<Vec<usize>> {
        let node = match (self.file.attribute(set, "src"), self.file.attribute(set, "srcs")) {
            (Attribute::Is(node), _) | (Attribute::Absent, Attribute::Is(node)) => node,
            (Attribute::Absent, Attribute::Absent) => return Fact::Absent,
            _ => return Fact::Unknown,
        };
        let Some(forced) = self.file.force(node) else {
            return Fact::Unknown;
        };
        let one = |node: NodeId| -> Option<Vec<usize>> {
            let node = self.file.force(node)?;
            match self.file.tree.kind(node) {
                Kind::Apply { .. } => {
                    let found = self.by_node.binary_search_by_key(&node, |(node, _)| *node).ok()?;
                    Some(vec![self.by_node[found].1])
                }
                Kind::Path(parts) if self.file.tree.parts(parts).len() == 1 => Some(Vec::new()),
                _ => None,
            }
        };
        match self.file.tree.kind(forced) {
            Kind::List(items) => {
                let mut all = Vec::new();
                let mut items = self.file.tree.items(items).iter();
                // The first is unpacked; what comes after may be anything.
                let Some(first) = items.next().and_then(|item| one(*item)) else {
                    return Fact::Unknown;
                };
                all.extend(first);
                for item in items {
                    all.extend(one(*item).unwrap_or_default());
                }
                Fact::Known(all)
            }
            _ => Fact::of(one(forced)),
        }
    }
}

/// The hash in a set of arguments.
pub(crate) fn hash(file: &File<'_>, set: NodeId) -> Fact<Digest> {
    for name in ["hash", "sha256", "sha512", "sha1", "md5", "outputHash"] {
        let algorithm = match name {
            "hash" => None,
            "outputHash" => match file.attribute(set, "outputHashAlgo") {
                Attribute::Is(node) => file.text_of(node).and_then(|name| Algorithm::named(&name)),
                _ => None,
            },
            named => Algorithm::named(named),
        };
        match file.attribute(set, name) {
            Attribute::Is(node) => {
                return Fact::of(file.text_of(node).and_then(|text| Digest::parse(algorithm, &text)));
            }
            Attribute::Unknown => return Fact::Unknown,
            Attribute::Absent => {}
        }
    }
    Fact::Absent
}

fn first_origin(urls: &Fact<Vec<Cow<'_, str>>>) -> Fact<Origin> {
    match urls.known().and_then(|urls| urls.first()) {
        Some(url) => Fact::of(Origin::of_url(url)),
        None => Fact::Unknown,
    }
}

/// `builtins.parseDrvName`: the version begins after the first dash that no letter follows.
pub(crate) fn split_name<'a>(name: &Cow<'a, str>) -> (Cow<'a, str>, Option<Cow<'a, str>>) {
    let dash = name
        .match_indices('-')
        .map(|(at, _)| at)
        .find(|at| name[at + 1..].starts_with(|next: char| !next.is_ascii_alphabetic()));
    let Some(at) = dash else {
        return (name.clone(), None);
    };
    match name {
        Cow::Borrowed(name) => (Cow::Borrowed(&name[..at]), Some(Cow::Borrowed(&name[at + 1..]))),
        Cow::Owned(name) => (
            Cow::Owned(name[..at].to_owned()),
            Some(Cow::Owned(name[at + 1..].to_owned())),
        ),
    }
}
