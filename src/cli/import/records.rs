//! The records of an input, one after the other: lines of text, or a snapshot of an old server.

use std::io::{self, BufRead};
use std::path::Path;

use super::input::Input;
use super::lines::{Lines, Numbered};
use super::old_store::{OldRecords, OldStore};
use crate::exit::Failure;

pub(super) struct Records<'a> {
    path: &'a Path,
    form: Form<'a>,
}

enum Form<'a> {
    Lines(Lines<Box<dyn BufRead>>),
    Old(OldRecords<'a>),
}

impl<'a> Records<'a> {
    /// All of them.
    pub(super) fn of(input: &'a Input) -> Result<Self, Failure> {
        Self::open(input, OldStore::records)
    }

    /// All associations; what comes beside them is passed over by the caller.
    pub(super) fn with_associations(input: &'a Input) -> Result<Self, Failure> {
        Self::open(input, |old| Ok(old.associations()))
    }

    fn open(
        input: &'a Input,
        of_old: impl FnOnce(&'a OldStore) -> Result<OldRecords<'a>, Failure>,
    ) -> Result<Self, Failure> {
        let path = input.path.as_path();
        let form = match &input.old {
            Some(old) => Form::Old(of_old(old)?),
            None => Form::Lines(Lines::of(input.text().map_err(|error| cannot(path, &error))?)),
        };
        Ok(Self { path, form })
    }

    /// The next record with its number, from 1; of lines that of its line.
    pub(super) fn next(&mut self) -> Result<Option<Numbered>, Failure> {
        match &mut self.form {
            Form::Lines(lines) => {
                let line = lines.next().map_err(|error| cannot(self.path, &error))?;
                Ok(line.map(|(number, text)| (number, text.parse())))
            }
            Form::Old(old) => old.next(),
        }
    }
}

fn cannot(path: &Path, error: &io::Error) -> Failure {
    Failure::Usage(format!("cannot read {}: {error}", path.display()))
}
