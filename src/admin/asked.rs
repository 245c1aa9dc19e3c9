//! What a request to the read API asks: the parameters in its path and behind it, checked.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::refusal::{Code, Refusal};

/// The parameters of a request, by name. Each was given at most once, and is one that its path
/// knows.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    parameters: Vec<(String, String)>,
}

impl Asked {
    /// Takes the parameters of a path and of a query string. An empty one counts as not given.
    pub(crate) fn new<'a>(
        path: impl IntoIterator<Item = (&'a str, &'a str)>,
        query: &str,
        known: &[&str],
    ) -> Result<Self, Refusal> {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let mut parameters: Vec<_> = path.into_iter().map(owned).collect();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if !known.contains(&&*name) {
                return Err(unknown(&name, known));
            }
            if parameters.iter().any(|(given, _)| *given == name) {
                let twice = format!("{name} is given twice; give it once");
                return Err(Refusal::new(Code::BadRequest, twice));
            }
            parameters.push((name.into_owned(), value.into_owned()));
        }
        parameters.retain(|(_, value)| !value.is_empty());
        Ok(Self { parameters })
    }

    /// A parameter as it stands.
    pub fn text(&self, name: &str) -> Option<&str> {
        let given = self.parameters.iter().find(|(given, _)| given == name);
        given.map(|(_, value)| value.as_str())
    }

    /// A parameter that has to be there.
    ///
    /// # Errors
    /// It is not.
    pub fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.text(name).ok_or_else(|| {
            Refusal::new(Code::BadRequest, format!("{name} is missing; add {name}=…"))
        })
    }

    /// A parameter, read.
    ///
    /// # Errors
    /// It reads as none.
    pub fn read<T: FromStr<Err: Display>>(&self, name: &str) -> Result<Option<T>, Refusal> {
        self.text(name).map(|text| read(name, text)).transpose()
    }

    /// A number within bounds.
    ///
    /// # Errors
    /// It is none, or out of bounds.
    pub fn number<T>(&self, name: &str, default: T, bounds: RangeInclusive<T>) -> Result<T, Refusal>
    where
        T: FromStr<Err: Display> + PartialOrd + Display,
    {
        let number = self.read(name)?.unwrap_or(default);
        if bounds.contains(&number) {
            return Ok(number);
        }
        let (low, high) = bounds.into_inner();
        let message = format!("{name} is {number}; it goes from {low} to {high}");
        Err(Refusal::new(Code::BadRequest, message))
    }

    /// A list, its parts separated by commas; empty where it is not given.
    ///
    /// # Errors
    /// A part reads as none.
    pub fn list<T: FromStr<Err: Display>>(&self, name: &str) -> Result<Vec<T>, Refusal> {
        let parts = self.text(name).into_iter().flat_map(|text| text.split(','));
        parts.map(|part| read(name, part.trim())).collect()
    }

    /// Whether something is switched on: 1 or true, 0 or false.
    ///
    /// # Errors
    /// It is none of these.
    pub fn flag(&self, name: &str) -> Result<bool, Refusal> {
        match self.text(name) {
            None | Some("0" | "false") => Ok(false),
            Some("1" | "true") => Ok(true),
            Some(other) => {
                let message = format!("{name} is {other:?}; write 1 or 0");
                Err(Refusal::new(Code::BadRequest, message))
            }
        }
    }
}

fn read<T: FromStr<Err: Display>>(name: &str, text: &str) -> Result<T, Refusal> {
    let refused = |error| Refusal::new(Code::BadRequest, format!("{name}: {text:?}: {error}"));
    text.parse().map_err(refused)
}

fn unknown(name: &str, known: &[&str]) -> Refusal {
    let known = match known {
        [] => "this path takes none".to_owned(),
        known => format!("this path takes {}", known.join(", ")),
    };
    Refusal::new(Code::BadRequest, format!("there is no parameter {name:?}; {known}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const KNOWN: [&str; 4] = ["limit", "type", "exact", "name"];

    fn asked(query: &str) -> Result<Asked, String> {
        Asked::new([("concept", "a b")], query, &KNOWN).map_err(|refusal| refusal.message)
    }

    #[test]
    fn parameters_are_read_by_name_and_kind() {
        let asked = asked("limit=20&type=1,2&exact=1&name=d%C3%B6g+x").unwrap();
        assert_eq!(asked.text("concept"), Some("a b"));
        assert_eq!(asked.text("name"), Some("dög x"));
        assert_eq!(asked.number("limit", 50, 1..=100).unwrap(), 20);
        assert_eq!(asked.list::<u32>("type").unwrap(), [1, 2]);
        assert!(asked.flag("exact").unwrap());
    }

    #[test]
    fn what_is_not_given_has_its_default_and_empty_is_not_given() {
        let asked = asked("limit=&type=").unwrap();
        assert_eq!(asked.number("limit", 50, 1..=100).unwrap(), 50);
        assert!(asked.list::<u32>("type").unwrap().is_empty() && !asked.flag("exact").unwrap());
        assert!(asked.required("name").unwrap_err().message.contains("name is missing"));
    }

    #[test]
    fn what_is_wrong_is_said_with_what_would_be_right() {
        let unknown = asked("limti=3").unwrap_err();
        assert!(unknown.contains("\"limti\"") && unknown.contains("limit, type"), "{unknown}");
        assert!(asked("limit=1&limit=2").unwrap_err().contains("twice"));
        let all = asked("limit=101&type=x&exact=maybe").unwrap();
        let wrong = |result: Result<u32, Refusal>| result.unwrap_err().message;
        assert!(wrong(all.number("limit", 1, 1..=100)).contains("from 1 to 100"));
        assert!(wrong(all.list::<u32>("type").map(|_| 0)).contains("\"x\""));
        assert!(wrong(all.flag("exact").map(u32::from)).contains("1 or 0"));
    }
}
