//! Figures over rounds: the median with the lowest and the highest round.

/// A median with the lowest and the highest round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Spread {
    /// `None` without figures, or if one of them is not a finite number.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        if figures.is_empty() || figures.iter().any(|figure| !figure.is_finite()) {
            return None;
        }
        figures.sort_by(f64::total_cmp);
        let middle = figures.len() / 2;
        let median = if figures.len() % 2 == 1 {
            figures[middle]
        } else {
            f64::midpoint(figures[middle - 1], figures[middle])
        };
        Some(Self { median, low: figures[0], high: *figures.last()? })
    }

    /// The median, and in brackets the lowest and the highest round.
    pub(crate) fn show(&self, digits: usize) -> String {
        format!("{:.digits$} [{:.digits$}, {:.digits$}]", self.median, self.low, self.high)
    }

    /// How well this spread agrees with another of the same figure.
    pub(crate) fn agreement(&self, other: &Self) -> Agreement {
        let within = |spread: &Self, median: f64| (spread.low..=spread.high).contains(&median);
        match (within(self, other.median), within(other, self.median)) {
            (true, true) => Agreement::Both,
            (false, false) if self.high < other.low || other.high < self.low => Agreement::Apart,
            (false, false) => Agreement::Ranges,
            _ => Agreement::One,
        }
    }
}

/// The spread of figures as text; "none" if there is no spread.
pub(crate) fn show(figures: impl IntoIterator<Item = f64>, digits: usize) -> String {
    Spread::of(figures).map_or_else(|| "none".to_owned(), |spread| spread.show(digits))
}

/// The ratios of one thing's figures to another's, round by round.
pub(crate) fn ratios(these: &[f64], others: &[f64]) -> Vec<f64> {
    these.iter().zip(others).map(|(this, other)| this / other).collect()
}

/// How well two spreads of the same figure agree. All but [`Agreement::Apart`] have values in
/// common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Agreement {
    /// Each median lies within the other's spread.
    Both,
    /// Only one of the two medians lies within the other's spread.
    One,
    /// Neither median lies within the other's spread, but the spreads overlap.
    Ranges,
    /// The spreads do not overlap.
    Apart,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_ratios_go_round_by_round() {
        assert_eq!(Spread::of([1.0, 3.0, 2.0]), Some(Spread { median: 2.0, low: 1.0, high: 3.0 }));
        assert_eq!((Spread::of([]), Spread::of([1.0, f64::NAN])), (None, None));
        assert_eq!(show(ratios(&[1.0, 3.0, 2.0], &[2.0, 3.0, 8.0]), 1), "0.5 [0.2, 1.0]");
    }

    #[test]
    fn two_spreads_agree_by_their_medians_or_at_least_overlap_or_are_apart() {
        let one = Spread { median: 1.0, low: 0.9, high: 1.2 };
        for (median, low, high, agreement) in [
            (1.1, 0.95, 1.3, Agreement::Both),
            (1.15, 1.1, 1.3, Agreement::One),
            (1.3, 0.95, 1.4, Agreement::One),
            (1.3, 1.15, 1.4, Agreement::Ranges),
            (1.3, 1.25, 1.4, Agreement::Apart),
            (0.7, 0.6, 0.8, Agreement::Apart),
        ] {
            let other = Spread { median, low, high };
            assert_eq!(
                (one.agreement(&other), other.agreement(&one)),
                (agreement, agreement),
                "{other:?}"
            );
        }
    }
}
