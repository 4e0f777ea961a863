//! One walk over a tree: what the rules mark in it.
//!
//! A mark has a key that says what is marked, and under which name: `hello` with `doCheck = false` is another mark than
//! `curl` with it. A change is found where the new tree has more marks of a key than the old one.

use std::sync::LazyLock;

use crate::{
    File, RULES,
    rule::{AtBindings, AtNames, AtShell, Rule},
    syntax::tree::{BindingId, Bound, Kind, Name, NodeId, Part, Span},
    words::{ByName, Words},
};

/// A binding of one attribute path to a value.
pub(crate) struct BindingSeen<'f, 'a> {
    pub(crate) file: &'f File<'a>,
    pub(crate) id: BindingId,
    /// The last name of the path, also where it is computed of what is written out.
    pub(crate) name: &'f str,
    pub(crate) value: NodeId,
}

/// The application of a function that has a name.
pub(crate) struct CallSeen<'f, 'a> {
    pub(crate) file: &'f File<'a>,
    pub(crate) node: NodeId,
    /// The last name of the function.
    pub(crate) function: &'a str,
    pub(crate) argument: NodeId,
}

/// A variable, a selection, or a search path.
pub(crate) struct NameSeen<'f, 'a> {
    pub(crate) file: &'f File<'a>,
    pub(crate) node: NodeId,
    /// The last name.
    pub(crate) name: &'a str,
}

/// A piece of text of a string.
pub(crate) struct ShellSeen<'f, 'a> {
    pub(crate) file: &'f File<'a>,
    pub(crate) node: NodeId,
    pub(crate) span: Span,
    /// As written.
    pub(crate) text: &'a str,
}

impl<'a> ShellSeen<'_, 'a> {
    /// The lines of the text, with where they begin.
    #[expect(clippy::cast_possible_truncation, reason = "longer texts are refused")]
    pub(crate) fn lines(&self) -> impl Iterator<Item = (u32, &'a str)> + use<'_, 'a> {
        let mut at = self.span.start;
        self.text.split_inclusive('\n').map(move |line| {
            let start = at;
            at += line.len() as u32;
            (start + (line.len() - line.trim_start().len()) as u32, line.trim())
        })
    }
}

/// What the rules marked.
pub(crate) struct Marks<'a> {
    pub(crate) all: Vec<Mark<'a>>,
}

/// Something that a rule is about.
pub(crate) struct Mark<'a> {
    pub(crate) rule: &'static Rule,
    pub(crate) at: u32,
    pub(crate) key: String,
    pub(crate) what: &'a str,
    pub(crate) counts: Counts,
}

/// How a mark is held against those of the old tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Counts {
    /// Each one that is more than before is found.
    Each,
    /// Found where there was none before.
    Once,
    /// It protects: found where there is one less than before.
    Protects,
}

impl<'a> Marks<'a> {
    /// Marks `node` under the name it is bound to. `detail` is what tells two marks under one name apart.
    pub(crate) fn add(&mut self, rule: &'static Rule, file: &File<'a>, node: NodeId, detail: &str) {
        let key = format!("{}\n{detail}", file.path_of(node));
        self.push(rule, file, file.tree.span(node).start, key, Counts::Each);
    }

    /// Marks a binding, under its own name.
    pub(crate) fn add_binding(&mut self, rule: &'static Rule, seen: &BindingSeen<'_, 'a>, detail: &str) {
        let at = seen.file.tree.binding(seen.id).span.start;
        let key = format!("{}\n{detail}", seen.file.path_of(seen.value));
        self.push(rule, seen.file, at, key, Counts::Each);
    }

    /// Marks a place of the file under whatever name: what only moves within the file is not found.
    pub(crate) fn add_file(&mut self, rule: &'static Rule, file: &File<'a>, at: u32, detail: &str) {
        self.push(rule, file, at, detail.split_whitespace().collect(), Counts::Each);
    }

    /// Likewise, where one in the file says it for all.
    pub(crate) fn add_once(&mut self, rule: &'static Rule, file: &File<'a>, at: u32, detail: &str) {
        self.push(rule, file, at, detail.to_owned(), Counts::Once);
    }

    /// Marks a binding that protects: it is found when it is lost or changed.
    pub(crate) fn protect(&mut self, rule: &'static Rule, file: &File<'a>, node: NodeId, detail: &str) {
        self.protect_at(rule, file, node, file.tree.span(node).start, detail);
    }

    pub(crate) fn protect_at(&mut self, rule: &'static Rule, file: &File<'a>, node: NodeId, at: u32, detail: &str) {
        let key = format!(
            "{}\n{}",
            file.path_of(node),
            detail.split_whitespace().collect::<Vec<_>>().join(" ")
        );
        self.push(rule, file, at, key, Counts::Protects);
    }

    fn push(&mut self, rule: &'static Rule, file: &File<'a>, at: u32, key: String, counts: Counts) {
        self.all.push(Mark {
            rule,
            at,
            key,
            what: line_at(file, at),
            counts,
        });
    }
}

/// The line of the text that `at` is in, without white space around it.
pub(crate) fn line_at<'a>(file: &File<'a>, at: u32) -> &'a str {
    let text = file.text();
    let (before, after) = text.as_bytes().split_at(at as usize);
    let start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
    let end = memchr::memchr(b'\n', after).map_or(text.len(), |newline| before.len() + newline);
    let line = text[start..end].trim();
    let cut = line.char_indices().nth(160).map_or(line.len(), |(at, _)| at);
    &line[..cut]
}

pub(crate) type BindingHook = for<'f, 'a> fn(&BindingSeen<'f, 'a>, &mut Marks<'a>);
pub(crate) type CallHook = for<'f, 'a> fn(&CallSeen<'f, 'a>, &mut Marks<'a>);
pub(crate) type NameHook = for<'f, 'a> fn(&NameSeen<'f, 'a>, &mut Marks<'a>);
pub(crate) type ShellHook = for<'f, 'a> fn(&ShellSeen<'f, 'a>, &mut Marks<'a>);

/// Who asks for what, of all rules.
struct Hooks {
    bindings: Vec<AtBindings>,
    /// Those of `bindings` that ask for a name.
    binding_names: ByName<usize>,
    calls: Vec<CallHook>,
    names: ByName<NameHook>,
    search_paths: Vec<NameHook>,
    shell: Vec<AtShell>,
    shell_words: Words,
}

static HOOKS: LazyLock<Hooks> = LazyLock::new(|| {
    let bindings: Vec<AtBindings> = RULES.iter().filter_map(|rule| rule.look.binding).collect();
    let names: Vec<AtNames> = RULES.iter().filter_map(|rule| rule.look.name).collect();
    let shell: Vec<AtShell> = RULES.iter().filter_map(|rule| rule.look.shell).collect();
    Hooks {
        binding_names: ByName::of(bindings.iter().enumerate().map(|(index, at)| (at.names, index))),
        bindings,
        calls: RULES.iter().filter_map(|rule| rule.look.call).collect(),
        names: ByName::of(names.iter().map(|at| (at.names, at.hook))),
        search_paths: names.iter().filter(|at| at.search_paths).map(|at| at.hook).collect(),
        shell_words: Words::of(shell.iter().map(|at| at.words)),
        shell,
    }
});

/// All that the rules mark in a file, in the order of the text.
pub(crate) fn marks<'a>(file: &File<'a>) -> Vec<Mark<'a>> {
    let mut marks = Marks { all: Vec::new() };
    bindings(file, &mut marks);
    for node in file.tree.ids() {
        match file.tree.kind(node) {
            Kind::Ident | Kind::Select { .. } => {
                if let Some(callee) = file.callee(node) {
                    named(file, node, callee.last, &mut marks);
                }
            }
            Kind::SearchPath => named(file, node, file.slice(file.tree.span(node)), &mut marks),
            Kind::Apply { function, argument } => {
                if let Some(callee) = file.callee(function) {
                    let seen = CallSeen {
                        file,
                        node,
                        function: callee.last,
                        argument,
                    };
                    HOOKS.calls.iter().for_each(|hook| hook(&seen, &mut marks));
                }
            }
            Kind::String { parts, .. } => {
                for part in file.tree.parts(parts) {
                    if let Part::Text(span) = *part {
                        shell(file, node, span, &mut marks);
                    }
                }
            }
            _ => {}
        }
    }
    marks.all.sort_by_key(|mark| mark.at);
    marks.all
}

fn named<'a>(file: &File<'a>, node: NodeId, name: &'a str, marks: &mut Marks<'a>) {
    let seen = NameSeen { file, node, name };
    HOOKS.names.get(name).iter().for_each(|hook| hook(&seen, marks));
    if name.starts_with('<') {
        HOOKS.search_paths.iter().for_each(|hook| hook(&seen, marks));
    }
}

fn shell<'a>(file: &File<'a>, node: NodeId, span: Span, marks: &mut Marks<'a>) {
    let text = file.slice(span);
    let seen = ShellSeen { file, node, span, text };
    let wanted = HOOKS.shell_words.found_in(text);
    for (index, at) in HOOKS.shell.iter().enumerate() {
        if wanted & (1 << index) != 0 || text.len() >= at.long {
            (at.hook)(&seen, marks);
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "there are fewer bindings than the text has bytes"
)]
fn bindings<'a>(file: &File<'a>, marks: &mut Marks<'a>) {
    let hooks = &HOOKS.bindings;
    let is_for_all = |at: &AtBindings| at.all_of.is_some_and(|holds| holds(file));
    let for_all: Vec<usize> = (0..hooks.len()).filter(|index| is_for_all(&hooks[*index])).collect();
    for (index, binding) in file.tree.bindings.iter().enumerate() {
        let Bound::Value { path, value } = binding.bound else {
            continue;
        };
        let computed;
        let name = match file.tree.names(path).last() {
            Some(Name::Dynamic(code)) => {
                computed = file.text_of(*code);
                computed.as_deref()
            }
            Some(name) => file.name(*name),
            None => None,
        };
        let Some(name) = name else {
            continue;
        };
        let seen = BindingSeen {
            file,
            id: BindingId(index as u32),
            name,
            value,
        };
        let named = HOOKS.binding_names.get(name);
        for hook in named.iter().filter(|hook| !for_all.contains(hook)).chain(&for_all) {
            (hooks[*hook].hook)(&seen, marks);
        }
    }
}
