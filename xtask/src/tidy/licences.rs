//! Every dependency may be distributed together with an LGPL-2.1-or-later program.

use super::Problem;
use super::deny::Deny;
use crate::metadata::Metadata;

/// Each package's licence expression can be satisfied from `ci/deny.toml`.
pub(super) fn allowed(metadata: &Metadata, deny: &Deny) -> Vec<Problem> {
    let judge = |package: &crate::metadata::Package| {
        let allows = |id: &str| {
            deny.licences.contains(id) || deny.exceptions.get(&package.name).is_some_and(|also| also.contains(id))
        };
        let message = match package.license.as_deref() {
            None => "declares no licence expression".to_owned(),
            Some(text) => match Expression::parse(text) {
                Some(expression) if expression.is_satisfied(&allows) => return None,
                Some(_) => format!("has the licence `{text}`, which [licenses] of ci/deny.toml does not allow"),
                None => format!("has a licence expression that cannot be read: `{text}`"),
            },
        };
        Some(Problem::new(
            "licence",
            format!("{} {}", package.name, package.version),
            message,
        ))
    };
    metadata.packages().filter_map(judge).collect()
}

/// An SPDX licence expression (SPDX 2.3, annex D).
#[derive(Debug, PartialEq, Eq)]
enum Expression {
    /// An identifier, with its `WITH` exception if it has one.
    Licence(String),
    All(Vec<Expression>),
    Any(Vec<Expression>),
}

impl Expression {
    /// Also reads the `A/B` that crates.io accepted before SPDX, which means `A OR B`.
    fn parse(text: &str) -> Option<Self> {
        let spaced = text.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
        let words: Vec<&str> = spaced.split_whitespace().collect();
        let (expression, rest) = Self::any(&words)?;
        rest.is_empty().then_some(expression)
    }

    fn any<'a, 'b>(words: &'b [&'a str]) -> Option<(Self, &'b [&'a str])> {
        let (first, mut rest) = Self::all(words)?;
        let mut found = vec![first];
        while let ["OR", after @ ..] = rest {
            let (next, after) = Self::all(after)?;
            found.push(next);
            rest = after;
        }
        Some((Self::Any(found), rest))
    }

    fn all<'a, 'b>(words: &'b [&'a str]) -> Option<(Self, &'b [&'a str])> {
        let (first, mut rest) = Self::one(words)?;
        let mut found = vec![first];
        while let ["AND", after @ ..] = rest {
            let (next, after) = Self::one(after)?;
            found.push(next);
            rest = after;
        }
        Some((Self::All(found), rest))
    }

    fn one<'a, 'b>(words: &'b [&'a str]) -> Option<(Self, &'b [&'a str])> {
        match words {
            ["(", rest @ ..] => match Self::any(rest)? {
                (inner, [")", rest @ ..]) => Some((inner, rest)),
                _ => None,
            },
            [")" | "AND" | "OR" | "WITH", ..] | [] => None,
            [licence, "WITH", exception, rest @ ..] => {
                Some((Self::Licence(format!("{licence} WITH {exception}")), rest))
            }
            [licence, rest @ ..] => Some((Self::Licence((*licence).to_owned()), rest)),
        }
    }

    fn is_satisfied(&self, allows: &dyn Fn(&str) -> bool) -> bool {
        match self {
            Self::Licence(id) => allows(id),
            Self::All(parts) => parts.iter().all(|part| part.is_satisfied(allows)),
            Self::Any(parts) => parts.iter().any(|part| part.is_satisfied(allows)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_fine(text: &str) -> bool {
        let allows = |id: &str| ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].contains(&id);
        Expression::parse(text).expect("an expression").is_satisfied(&allows)
    }

    #[test]
    fn one_alternative_is_enough_and_every_conjunct_is_needed() {
        assert!(is_fine("GPL-3.0-only OR MIT"));
        assert!(is_fine("GPL-3.0-only/MIT"));
        assert!(!is_fine("GPL-3.0-only AND MIT"));
        assert!(is_fine("(GPL-3.0-only OR MIT) AND ISC"));
        assert!(!is_fine("(ISC OR MIT) AND GPL-3.0-only"));
    }

    #[test]
    fn and_binds_tighter_than_or() {
        assert!(is_fine("MIT OR ISC AND GPL-3.0-only"));
        assert!(!is_fine("GPL-3.0-only OR ISC AND GPL-2.0-only"));
    }

    #[test]
    fn an_exception_belongs_to_its_licence() {
        assert!(is_fine("Apache-2.0 WITH LLVM-exception"));
        assert!(!is_fine("Apache-2.0"));
        assert!(!is_fine("MIT WITH LLVM-exception"));
    }

    #[test]
    fn a_broken_expression_is_not_guessed() {
        for text in ["", "MIT OR", "(MIT", "MIT)", "MIT ISC", "AND MIT", "MIT WITH"] {
            assert_eq!(Expression::parse(text), None, "{text:?}");
        }
    }
}
