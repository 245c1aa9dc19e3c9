//! The names that a service has for its writes and its timers. The runtime carries numbers; here
//! alone a name becomes a number, and the number a name again.

use sutra_runtime::TimerId;

/// The first of the service's own timers: this layer has those below.
const FIRST_TIMER: usize = 2;

/// A closed set of names.
pub trait Name: Copy + PartialEq + 'static {
    /// All of them. The place of each is the number by which the runtime knows it.
    const ALL: &'static [Self];
}

/// The name of nothing: for a service that writes to no file, or sets no timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Never {}

impl Name for Never {
    const ALL: &'static [Self] = &[];
}

/// What a service's cores send each other. With it go the names of what they wait for, so that all
/// who see a [`crate::Context`] agree on them.
pub trait ServiceMessage: Send + 'static {
    /// What a write or a sync is for.
    type Token: Name;
    /// What a timer is for.
    type Timer: Name;
}

fn number<N: Name>(name: N) -> usize {
    N::ALL.iter().position(|known| *known == name).expect("ALL holds every name")
}

pub(crate) fn token_number<N: Name>(token: N) -> u64 {
    number(token) as u64
}

pub(crate) fn token<N: Name>(number: u64) -> N {
    let name = usize::try_from(number).ok().and_then(|number| N::ALL.get(number));
    *name.expect("the runtime gives back the token that the service gave it")
}

pub(crate) fn timer_id<N: Name>(timer: N) -> TimerId {
    const {
        assert!(
            FIRST_TIMER + N::ALL.len() <= TimerId::COUNT,
            "a core has too few timers for these"
        );
    };
    TimerId((FIRST_TIMER + number(timer)) as u8)
}

pub(crate) fn timer<N: Name>(id: TimerId) -> N {
    let name = usize::from(id.0).checked_sub(FIRST_TIMER).and_then(|number| N::ALL.get(number));
    *name.expect("the runtime wakes for a timer that the service has set")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Meal {
        Breakfast,
        Lunch,
        Dinner,
    }

    impl Name for Meal {
        const ALL: &'static [Self] = &[Meal::Lunch, Meal::Breakfast, Meal::Dinner];
    }

    #[test]
    fn every_name_comes_back_from_its_number() {
        for meal in [Meal::Breakfast, Meal::Lunch, Meal::Dinner] {
            assert_eq!(token::<Meal>(token_number(meal)), meal);
            assert_eq!(timer::<Meal>(timer_id(meal)), meal);
        }
    }
}
