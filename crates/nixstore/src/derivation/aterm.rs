//! The one spelling of a derivation: `Derive([outputs],[derivations],[sources],system,builder,[arguments],[environment])`.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::HEXLOWER;

use super::{Algorithm, Bytes, Derivation, DerivationError, Method, Output, paths::DerivationHash};
use crate::{StoreDir, StorePath};

/// What stands for the derivations that are needed.
#[derive(Clone, Copy)]
pub(super) enum Inputs<'a> {
    /// Their paths: what is in the file.
    Paths,
    /// What they are, whatever their paths: what the output paths are made from.
    Hashes(&'a BTreeMap<DerivationHash, BTreeSet<String>>),
}

/// Whether the output paths are written, in the outputs and in the environment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Outputs {
    Shown,
    /// While they are not known yet.
    Masked,
}

// --- reading ---------------------------------------------------------------------------------------------------

pub(super) fn parse(bytes: &[u8]) -> Result<Derivation, DerivationError> {
    let mut reader = Reader { bytes, at: 0 };
    let store = StoreDir::default();
    reader.take("Derive(", "a derivation (Derive)")?;
    let outputs = reader.outputs(&store)?;
    reader.comma()?;
    let input_derivations = reader.derivations(&store)?;
    reader.comma()?;
    let mut input_sources = BTreeSet::new();
    for path in reader.list(Reader::text)? {
        let path = StorePath::parse_in(&store, &path)?;
        insert_sorted(&mut input_sources, path, "sources")?;
    }
    reader.comma()?;
    let system = reader.string()?;
    reader.comma()?;
    let builder = reader.string()?;
    reader.comma()?;
    let arguments = reader.list(Reader::string)?;
    reader.comma()?;
    let environment = reader.environment()?;
    reader.take(")", "the end of the derivation")?;
    if reader.at != bytes.len() {
        return Err(reader.expected("nothing after the derivation"));
    }
    let derivation = Derivation {
        outputs,
        input_derivations,
        input_sources,
        system,
        builder,
        arguments,
        environment,
    };
    // The rules above leave no second spelling; should one be forgotten, it is refused here.
    if derivation.to_aterm() != bytes {
        return Err(DerivationError::Syntax {
            expected: "the one spelling of each thing",
            at: 0,
        });
    }
    Ok(derivation)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    const fn expected(&self, expected: &'static str) -> DerivationError {
        DerivationError::Syntax { expected, at: self.at }
    }

    fn take(&mut self, text: &str, expected: &'static str) -> Result<(), DerivationError> {
        if !self.bytes[self.at..].starts_with(text.as_bytes()) {
            return Err(self.expected(expected));
        }
        self.at += text.len();
        Ok(())
    }

    fn comma(&mut self) -> Result<(), DerivationError> {
        self.take(",", "a comma")
    }

    fn list<T>(&mut self, item: impl Fn(&mut Self) -> Result<T, DerivationError>) -> Result<Vec<T>, DerivationError> {
        self.take("[", "a list")?;
        let mut items = Vec::new();
        while !self.bytes[self.at..].starts_with(b"]") {
            if !items.is_empty() {
                self.comma()?;
            }
            items.push(item(self)?);
        }
        self.at += 1;
        Ok(items)
    }

    fn string(&mut self) -> Result<Bytes, DerivationError> {
        self.take("\"", "a string")?;
        let mut text = Vec::new();
        loop {
            let rest = &self.bytes[self.at..];
            // Runs without escapes are copied at once: environments hold megabytes.
            let run = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'));
            let run = run.ok_or_else(|| self.expected("the end of the string"))?;
            text.extend_from_slice(&rest[..run]);
            self.at += run + 1;
            if rest[run] == b'"' {
                return Ok(text);
            }
            text.push(match rest.get(run + 1) {
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(plain @ (b'"' | b'\\')) => *plain,
                _ => return Err(self.expected("one of n, r, t, \" and \\ after a backslash")),
            });
            self.at += 1;
        }
    }

    fn text(&mut self) -> Result<String, DerivationError> {
        let at = self.at;
        String::from_utf8(self.string()?).map_err(|_| DerivationError::Syntax {
            expected: "a name or a path in UTF-8",
            at,
        })
    }

    fn outputs(&mut self, store: &StoreDir) -> Result<BTreeMap<String, Output>, DerivationError> {
        let listed = self.list(|reader| {
            reader.take("(", "an output")?;
            let name = reader.text()?;
            reader.comma()?;
            let path = reader.text()?;
            reader.comma()?;
            let algorithm = reader.text()?;
            reader.comma()?;
            let hash = reader.text()?;
            reader.take(")", "the end of the output")?;
            let output = output(store, &name, &path, &algorithm, &hash)?;
            Ok((name, output))
        })?;
        let mut outputs = BTreeMap::new();
        for (name, output) in listed {
            insert_sorted_pair(&mut outputs, name, output, "outputs")?;
        }
        let fixed = outputs.values().filter(|output| matches!(output, Output::Fixed { .. }));
        let sound = match fixed.count() {
            0 => !outputs.is_empty(),
            1 => outputs.len() == 1 && outputs.contains_key("out"),
            _ => false,
        };
        if sound {
            return Ok(outputs);
        }
        let names: Vec<_> = outputs.keys().map(String::as_str).collect();
        let found = if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        };
        Err(DerivationError::Outputs { found })
    }

    fn derivations(&mut self, store: &StoreDir) -> Result<BTreeMap<StorePath, BTreeSet<String>>, DerivationError> {
        let listed = self.list(|reader| {
            reader.take("(", "a needed derivation")?;
            let path = StorePath::parse_in(store, &reader.text()?)?;
            reader.comma()?;
            let mut names = BTreeSet::new();
            for name in reader.list(Reader::text)? {
                insert_sorted(&mut names, name, "names of needed outputs")?;
            }
            reader.take(")", "the end of the needed derivation")?;
            Ok((path, names))
        })?;
        let mut derivations = BTreeMap::new();
        for (path, names) in listed {
            insert_sorted_pair(&mut derivations, path, names, "needed derivations")?;
        }
        Ok(derivations)
    }

    fn environment(&mut self) -> Result<BTreeMap<Bytes, Bytes>, DerivationError> {
        let listed = self.list(|reader| {
            reader.take("(", "a variable")?;
            let name = reader.string()?;
            reader.comma()?;
            let value = reader.string()?;
            reader.take(")", "the end of the variable")?;
            Ok((name, value))
        })?;
        let mut environment = BTreeMap::new();
        for (name, value) in listed {
            if environment.last_key_value().is_some_and(|(last, _)| *last >= name) {
                return Err(DerivationError::Order {
                    list: "variables",
                    found: String::from_utf8_lossy(&name).into_owned(),
                });
            }
            environment.insert(name, value);
        }
        Ok(environment)
    }
}

fn output(store: &StoreDir, name: &str, path: &str, algorithm: &str, hash: &str) -> Result<Output, DerivationError> {
    if path.is_empty() {
        let kind = match (algorithm, hash) {
            ("", _) => "deferred",
            (_, "impure") => "impure",
            _ => "content-addressed",
        };
        return Err(DerivationError::Floating {
            name: name.to_owned(),
            kind: kind.to_owned(),
        });
    }
    let path = StorePath::parse_in(store, path)?;
    if algorithm.is_empty() && hash.is_empty() {
        return Ok(Output::InputAddressed(path));
    }
    let refuse = || DerivationError::Hash {
        algorithm: algorithm.to_owned(),
        hash: hash.to_owned(),
    };
    let (method, plain) = match algorithm.strip_prefix("r:") {
        Some(plain) => (Method::Recursive, plain),
        None => (Method::Flat, algorithm),
    };
    let known = Algorithm::from_name(plain).ok_or_else(refuse)?;
    let hash = HEXLOWER
        .decode(hash.as_bytes())
        .ok()
        .filter(|bytes| bytes.len() == known.length())
        .ok_or_else(refuse)?;
    Ok(Output::Fixed {
        path,
        method,
        algorithm: known,
        hash,
    })
}

fn insert_sorted<T: Ord + ToString>(set: &mut BTreeSet<T>, item: T, list: &'static str) -> Result<(), DerivationError> {
    if set.last().is_some_and(|last| *last >= item) {
        let found = item.to_string();
        return Err(DerivationError::Order { list, found });
    }
    set.insert(item);
    Ok(())
}

fn insert_sorted_pair<K: Ord + ToString, V>(
    map: &mut BTreeMap<K, V>,
    key: K,
    value: V,
    list: &'static str,
) -> Result<(), DerivationError> {
    if map.last_key_value().is_some_and(|(last, _)| *last >= key) {
        let found = key.to_string();
        return Err(DerivationError::Order { list, found });
    }
    map.insert(key, value);
    Ok(())
}

// --- writing ---------------------------------------------------------------------------------------------------

pub(super) fn write(derivation: &Derivation, inputs: Inputs<'_>, outputs: Outputs) -> Bytes {
    let store = StoreDir::default();
    let mut out = b"Derive(".to_vec();
    list(&mut out, &derivation.outputs, |out, (name, output)| {
        let (algorithm, hash) = match output {
            Output::InputAddressed(_) => (String::new(), String::new()),
            Output::Fixed {
                method,
                algorithm,
                hash,
                ..
            } => (
                format!("{}{}", method.prefix(), algorithm.as_str()),
                HEXLOWER.encode(hash),
            ),
        };
        let path = match outputs {
            Outputs::Shown => format!("{store}/{}", output.path()),
            Outputs::Masked => String::new(),
        };
        tuple(
            out,
            &[name.as_bytes(), path.as_bytes(), algorithm.as_bytes(), hash.as_bytes()],
        );
    });
    out.push(b',');
    let needed = |out: &mut Bytes, name: &str, names: &BTreeSet<String>| {
        out.push(b'(');
        string(out, name.as_bytes());
        out.push(b',');
        list(out, names, |out, name| string(out, name.as_bytes()));
        out.push(b')');
    };
    match inputs {
        Inputs::Paths => list(&mut out, &derivation.input_derivations, |out, (path, names)| {
            needed(out, &format!("{store}/{path}"), names);
        }),
        Inputs::Hashes(hashes) => list(&mut out, hashes, |out, (hash, names)| {
            needed(out, &hash.to_string(), names);
        }),
    }
    out.push(b',');
    list(&mut out, &derivation.input_sources, |out, path| {
        string(out, format!("{store}/{path}").as_bytes());
    });
    out.push(b',');
    string(&mut out, &derivation.system);
    out.push(b',');
    string(&mut out, &derivation.builder);
    out.push(b',');
    list(&mut out, &derivation.arguments, |out, argument| string(out, argument));
    out.push(b',');
    list(&mut out, &derivation.environment, |out, (name, value)| {
        let is_output = || {
            derivation
                .outputs
                .keys()
                .any(|output| output.as_bytes() == name.as_slice())
        };
        let masked = outputs == Outputs::Masked && is_output();
        tuple(out, &[name, if masked { b"" } else { value }]);
    });
    out.push(b')');
    out
}

fn list<T>(out: &mut Bytes, items: impl IntoIterator<Item = T>, write: impl Fn(&mut Bytes, T)) {
    out.push(b'[');
    for (position, item) in items.into_iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

fn tuple(out: &mut Bytes, strings: &[&[u8]]) {
    out.push(b'(');
    for (position, text) in strings.iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        string(out, text);
    }
    out.push(b')');
}

fn string(out: &mut Bytes, text: &[u8]) {
    out.push(b'"');
    for &byte in text {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            plain => out.push(plain),
        }
    }
    out.push(b'"');
}
