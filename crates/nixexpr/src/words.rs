//! What is asked for by names and words, so arranged that what nobody asks for costs next to nothing.

use std::collections::{BTreeMap, HashMap};

use aho_corasick::{AhoCorasick, AhoCorasickKind};

/// Those who ask for a name, by the name.
pub(crate) struct ByName<T> {
    /// By their first bytes, how long names are: bit `n` for `n` bytes. Nearly every name is told by this to be nobody's.
    lengths: [u64; 256],
    wanted: HashMap<&'static str, Vec<T>>,
}

impl<T: Copy> ByName<T> {
    pub(crate) fn of(all: impl Iterator<Item = (&'static [&'static str], T)>) -> Self {
        let mut by_name = Self {
            lengths: [0; 256],
            wanted: HashMap::new(),
        };
        for (names, who) in all {
            for name in names {
                by_name.lengths[first(name)] |= length(name);
                by_name.wanted.entry(name).or_default().push(who);
            }
        }
        by_name
    }

    pub(crate) fn get(&self, name: &str) -> &[T] {
        if self.lengths[first(name)] & length(name) == 0 {
            return &[];
        }
        self.wanted.get(name).map_or(&[], Vec::as_slice)
    }
}

fn first(name: &str) -> usize {
    name.as_bytes().first().copied().map_or(0, usize::from)
}

fn length(name: &str) -> u64 {
    1 << name.len().min(63)
}

/// Lists of words, all of which are looked for at once.
pub(crate) struct Words {
    search: AhoCorasick,
    /// In which lists each word is: bit `n` for the list `n`.
    lists: Vec<u64>,
    all: u64,
}

impl Words {
    pub(crate) fn of(lists: impl Iterator<Item = &'static [&'static str]>) -> Self {
        let mut words: BTreeMap<&str, u64> = BTreeMap::new();
        for (index, list) in lists.enumerate() {
            for word in list {
                *words.entry(word).or_default() |= 1 << index;
            }
        }
        let search = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::DFA))
            .build(words.keys())
            .expect("a few short words");
        Self {
            search,
            all: words.values().fold(0, |all, lists| all | lists),
            lists: words.into_values().collect(),
        }
    }

    /// The lists of which a word is in the text.
    pub(crate) fn found_in(&self, text: &str) -> u64 {
        // Most texts have none, and that is told in half the time.
        if !self.search.is_match(text) {
            return 0;
        }
        let mut found = 0;
        for word in self.search.find_overlapping_iter(text) {
            found |= self.lists[word.pattern().as_usize()];
            if found == self.all {
                break;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_told_from_one_of_the_same_length() {
        let long = "a-name-that-is-longer-than-the-sixty-three-bytes-that-can-be-told-apart";
        let names: &'static [&'static str] = &[
            "url",
            "urls",
            "a-name-that-is-longer-than-the-sixty-three-bytes-that-can-be-told-apart",
        ];
        let by_name = ByName::of([(names, 1), (&["url"][..], 2)].into_iter());
        assert_eq!(by_name.get("url"), [1, 2]);
        assert_eq!(by_name.get("urls"), [1]);
        assert_eq!(by_name.get(long), [1]);
        for other in ["", "u", "urn", "urlss", "name", &long[1..], &format!("{long}!")] {
            assert!(by_name.get(other).is_empty(), "{other:?}");
        }
    }

    #[test]
    fn a_word_within_another_is_found_too() {
        let words = Words::of([&["PATH", "curl "][..], &["LD_LIBRARY_PATH"], &["rl -k"]].into_iter());
        assert_eq!(words.found_in("export LD_LIBRARY_PATH=/x"), 0b011);
        assert_eq!(words.found_in("curl -k"), 0b101);
        assert_eq!(words.found_in("P A T H"), 0);
        assert_eq!(words.found_in(""), 0);
    }
}
