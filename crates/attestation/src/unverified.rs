//! Data from outside, marked as such.

/// A value that was read and is well formed, and that nobody has vouched for.
///
/// The mark is for the reader of the code: what a function takes as `Unverified` it may show, fetch by,
/// or hand to crate `policy`, and must not act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unverified<T>(T);

impl<T> Unverified<T> {
    /// Marks `value` as not vouched for.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, for showing it or for checking it.
    pub const fn claimed(&self) -> &T {
        &self.0
    }

    /// The value without its mark. Only what checks it next should call this.
    pub fn into_claimed(self) -> T {
        self.0
    }
}
