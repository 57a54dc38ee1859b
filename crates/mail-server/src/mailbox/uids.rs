//! Ranges of uids in their canonical form.

use super::model::Uids;

/// Ascending, without overlaps, neighbours joined.
pub(super) fn canonical(uids: &Uids) -> Uids {
    let mut ranges: Uids = uids.iter().filter(|range| !range.is_empty()).cloned().collect();
    ranges.sort_by_key(|range| *range.start());
    let mut out: Uids = Vec::new();
    for range in ranges {
        match out.last_mut() {
            Some(last) if *range.start() <= last.end().saturating_add(1) => {
                *last = *last.start()..=*last.end().max(range.end());
            }
            _ => out.push(range),
        }
    }
    out
}

/// Ranges of single uids.
pub(super) fn from_list(uids: impl IntoIterator<Item = u32>) -> Uids {
    canonical(&uids.into_iter().map(|uid| uid..=uid).collect())
}

/// The uids in `1..next` that are not in `present`, which is ascending.
pub(super) fn absent(present: impl IntoIterator<Item = u32>, next: u32) -> Uids {
    let mut out = Vec::new();
    let mut from = 1;
    for uid in present {
        if uid > from {
            out.push(from..=uid - 1);
        }
        from = uid.saturating_add(1);
    }
    if from < next {
        out.push(from..=next - 1);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_join() {
        assert_eq!(canonical(&vec![5..=7, 1..=2, 3..=3, 6..=9]), vec![1..=3, 5..=9]);
        assert_eq!(from_list([3, 1, 2, 9]), vec![1..=3, 9..=9]);
        assert_eq!(canonical(&vec![u32::MAX..=u32::MAX, 1..=u32::MAX]), vec![1..=u32::MAX]);
    }

    #[test]
    fn what_is_absent() {
        assert_eq!(absent([2, 3, 6], 8), vec![1..=1, 4..=5, 7..=7]);
        assert_eq!(absent([1], 2), Vec::new());
        assert_eq!(absent([], 1), Vec::new());
    }
}
