//! Helpers of the unit tests.

/// Asserts that two profiles have equal length and differ by at most `tolerance` everywhere.
#[track_caller]
pub(crate) fn assert_close(
    found: impl IntoIterator<Item = f64>,
    expected: impl IntoIterator<Item = f64>,
    tolerance: f64,
) {
    let (found, expected): (Vec<_>, Vec<_>) =
        (found.into_iter().collect(), expected.into_iter().collect());
    assert_eq!(found.len(), expected.len(), "{found:?} and {expected:?}");
    let close = found
        .iter()
        .zip(&expected)
        .all(|(a, b)| (a - b).abs() <= tolerance);
    assert!(close, "{found:?} is not within {tolerance} of {expected:?}");
}
