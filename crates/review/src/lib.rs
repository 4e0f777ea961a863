//! Units, classes, the queue, coverage.
