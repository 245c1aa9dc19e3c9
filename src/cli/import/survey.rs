//! What there is to import: the files, what their lines are, and the embeddings beside them. All is
//! looked through before anything is written, so that a mismatch is found first.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::embeddings::Embeddings;
use super::input::{Input, stopped};
use super::lines::Line;
use super::origin::Origin;
use super::records::Records;
use super::repeats::{Key, Repeats};
use super::stop::Stop;
use crate::exit::Failure;
use crate::words::counted;

/// How many concepts are counted to find a good example.
const COUNTED: usize = 65_536;
/// As many neighbours as fit on a screen: the example has at most so many.
const SCREEN: u32 = 24;

/// One file of lines.
#[derive(Debug)]
pub(crate) struct Source {
    pub(super) input: Input,
    /// Whether it is to be imported; one that was before is looked at for the sake of the others.
    pub(super) is_new: bool,
    pub(crate) concepts: u64,
    pub(crate) associations: u64,
    pub(crate) embeddings: Option<PathBuf>,
}

/// All that was found.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) sources: Vec<Source>,
    /// A concept with many associations, to ask questions about.
    pub(crate) example: Option<String>,
    /// Lines that later ones make void.
    pub(super) repeats: Repeats,
}

/// A line that can't be imported.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub(crate) struct BadLine {
    pub(crate) file: PathBuf,
    pub(crate) line: u64,
    pub(crate) reason: String,
}

impl Survey {
    /// The files to import.
    pub(super) fn new_sources(&self) -> impl Iterator<Item = (usize, &Source)> {
        self.sources.iter().enumerate().filter(|(_, source)| source.is_new)
    }

    pub(crate) fn concepts(&self) -> u64 {
        self.new_sources().map(|(_, source)| source.concepts).sum()
    }

    pub(crate) fn associations(&self) -> u64 {
        self.new_sources().map(|(_, source)| source.associations).sum()
    }
}

/// Looks through files; each comes with whether it is to be imported. Lines that name no namespace
/// belong to `namespace`. Bad lines of files that are imported are told to `bad`, in order.
/// Embeddings that don't fit are an error.
pub(super) fn survey(
    inputs: Vec<(Input, bool)>,
    namespace: &str,
    stop: &Stop,
    mut bad: impl FnMut(BadLine),
) -> Result<Survey, Failure> {
    let bytes = inputs.iter().map(|(input, _)| input.size()).sum();
    let (mut degrees, mut repeats) = (Degrees::default(), Repeats::new(bytes));
    let mut sources = Vec::new();
    for (at, (input, is_new)) in inputs.into_iter().enumerate() {
        let mut good = |number: u64, line: Line| {
            repeats.note(Key::of(&line, namespace), Origin { source: at, line: number });
            if let Line::Association(association) = line {
                degrees.count(association.source);
                degrees.count(association.target);
            }
        };
        let mut tell = |line| {
            if is_new {
                bad(line);
            }
        };
        sources.push(look_through(input, is_new, stop, &mut good, &mut tell)?);
    }
    repeats.finish();
    let paired: Vec<_> = sources
        .iter()
        .map(|source| embeddings_beside(source, &sources))
        .collect::<Result<_, _>>()?;
    for (source, embeddings) in sources.iter_mut().zip(paired) {
        source.embeddings = embeddings;
    }
    Ok(Survey { sources, example: degrees.example(), repeats })
}

fn look_through(
    input: Input,
    is_new: bool,
    stop: &Stop,
    good: &mut impl FnMut(u64, Line),
    bad: &mut impl FnMut(BadLine),
) -> Result<Source, Failure> {
    let (mut concepts, mut associations) = (0, 0);
    let mut records = Records::of(&input)?;
    while let Some((number, line)) = records.next()? {
        stopped(stop)?;
        match line {
            Ok(line) => {
                let count = if matches!(line, Line::Concept(_)) {
                    &mut concepts
                } else {
                    &mut associations
                };
                *count += 1;
                good(number, line);
            }
            Err(line) => {
                concepts += u64::from(line.has_row);
                bad(BadLine { file: input.path.clone(), line: number, reason: line.reason });
            }
        }
    }
    drop(records);
    Ok(Source { input, is_new, concepts, associations, embeddings: None })
}

/// `FILE.npy` beside `FILE.jsonl`; or `embeddings.npy` beside the one file of the folder that holds
/// concepts.
fn embeddings_beside(source: &Source, all: &[Source]) -> Result<Option<PathBuf>, Failure> {
    if source.concepts == 0 || !source.input.has_a_place() {
        return Ok(None);
    }
    let (own, shared) = (source.input.own_embeddings(), source.input.shared_embeddings());
    let path = if own.exists() {
        own
    } else if shared.exists() && source.concepts > source.associations {
        // A bad line counts as a concept, since it takes up a row: a file of associations does not
        // become one of concepts by them.
        let with_concepts = all.iter().filter(|other| {
            other.concepts > other.associations && other.input.shared_embeddings() == shared
        });
        if with_concepts.count() > 1 {
            return Err(Failure::Usage(format!(
                "{} could belong to several files of concepts; name it after one of them, like {}",
                shared.display(),
                own.display()
            )));
        }
        shared
    } else {
        return match compressed(&own).or_else(|| compressed(&shared)) {
            Some((path, program)) => Err(Failure::Usage(format!(
                "{} is compressed, and embeddings are read as they are: \
                 `{program} {}` first, or move it away",
                path.display(),
                path.display()
            ))),
            None => Ok(None),
        };
    };
    let rows = Embeddings::open(&path).map_err(Failure::Usage)?.rows();
    if rows != source.concepts {
        return Err(Failure::Usage(format!(
            "{} has {} and {} has {}; row i must belong to concept i",
            path.display(),
            counted(rows, "row"),
            source.input.path.display(),
            counted(source.concepts, "concept")
        )));
    }
    Ok(Some(path))
}

/// The file that would hold these embeddings if it were not compressed, and what uncompresses it.
fn compressed(path: &Path) -> Option<(PathBuf, &'static str)> {
    let packed = |ending: &str| {
        let mut packed = path.as_os_str().to_owned();
        packed.push(ending);
        PathBuf::from(packed)
    };
    let programs = [(".gz", "gunzip"), (".zst", "unzstd"), (".bz2", "bunzip2"), (".xz", "unxz")];
    programs
        .iter()
        .map(|(ending, program)| (packed(ending), *program))
        .find(|(path, _)| path.exists())
}

/// How many associations concepts have, for the first so many concepts that have any.
#[derive(Default)]
struct Degrees(HashMap<String, u32>);

impl Degrees {
    fn count(&mut self, name: String) {
        if self.0.len() < COUNTED {
            *self.0.entry(name).or_default() += 1;
        } else if let Some(degree) = self.0.get_mut(&name) {
            *degree += 1;
        }
    }

    /// The concept with the most associations that fit on a screen; the first by name of several.
    fn example(self) -> Option<String> {
        let fitting = self.0.into_iter().filter(|(_, degree)| *degree <= SCREEN);
        fitting.max_by(|a, b| a.1.cmp(&b.1).then_with(|| b.0.cmp(&a.0))).map(|(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::Path;
    use std::time::Duration;

    use npyz::WriterBuilder;

    use super::super::input::Patience;
    use super::*;
    use crate::output::Output;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        files
            .iter()
            .for_each(|(name, text)| std::fs::write(folder.path().join(name), text).unwrap());
        folder
    }

    fn write_rows(path: &Path, rows: u64) {
        let file = std::fs::File::create(path).unwrap();
        let mut writer = npyz::WriteOptions::new()
            .default_dtype()
            .shape(&[rows, 2])
            .writer(file)
            .begin_nd()
            .unwrap();
        writer.extend(vec![0.5f32; rows as usize * 2]).unwrap();
        writer.finish().unwrap();
    }

    fn of(folder: &tempfile::TempDir) -> Result<Survey, Failure> {
        survey_of(folder.path().to_owned(), |_| ())
    }

    fn survey_of(path: PathBuf, bad: impl FnMut(BadLine)) -> Result<Survey, Failure> {
        let stop = Stop::default();
        let patience =
            Patience { timeout: Duration::from_secs(1), stop: &stop, output: Output::new(true) };
        let inputs =
            Input::all(&[path], &patience)?.into_iter().map(|input| (input, true)).collect();
        survey(inputs, "", &stop, bad)
    }

    const CONCEPTS: &str = "{\"id\":\"a\",\"content\":\"\"}\n{\"id\":\"b\",\"content\":\"\"}\n";
    const ASSOCIATIONS: &str =
        "{\"source\":\"a\",\"target\":\"b\"}\n{\"source\":\"c\",\"target\":\"b\"}\n";

    #[test]
    fn compressed_embeddings_are_named_and_not_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let lines = folder.path().join("a.jsonl");
        std::fs::write(&lines, "{\"id\":\"a\",\"content\":\"\"}\n").unwrap();
        assert_eq!(compressed(&folder.path().join("a.npy")), None);
        std::fs::write(folder.path().join("a.npy.gz"), "").unwrap();
        let (path, program) = compressed(&folder.path().join("a.npy")).unwrap();
        assert_eq!((path, program), (folder.path().join("a.npy.gz"), "gunzip"));
    }

    #[test]
    fn lines_are_counted_by_kind_and_the_best_connected_concept_is_the_example() {
        let folder = folder(&[
            ("concepts.jsonl", CONCEPTS),
            ("associations.jsonl", ASSOCIATIONS),
            ("notes.txt", ""),
        ]);
        write_rows(&folder.path().join("embeddings.npy"), 2);
        let survey = of(&folder).unwrap();
        assert_eq!(
            (survey.concepts(), survey.associations(), survey.example.as_deref()),
            (2, 2, Some("b"))
        );
        assert_eq!(survey.sources[0].embeddings, None);
        assert_eq!(survey.sources[1].embeddings, Some(folder.path().join("embeddings.npy")));
    }

    #[test]
    fn bad_lines_are_told_with_file_and_line() {
        let folder = folder(&[("concepts.jsonl", &format!("{CONCEPTS}\nnonsense\n"))]);
        let mut bad = Vec::new();
        survey_of(folder.path().join("concepts.jsonl"), |line| bad.push(line)).unwrap();
        assert_eq!((bad.len(), bad[0].line, bad[0].file.ends_with("concepts.jsonl")), (1, 4, true));
    }

    #[test]
    fn a_row_too_many_or_too_few_is_an_error_that_names_both_files() {
        let folder = folder(&[("concepts.jsonl", CONCEPTS)]);
        for rows in [1, 3] {
            write_rows(&folder.path().join("embeddings.npy"), rows);
            let text = of(&folder).unwrap_err().to_string();
            assert!(
                text.contains("embeddings.npy")
                    && text.contains("concepts.jsonl")
                    && text.contains("2 concepts"),
                "{text}"
            );
        }
    }

    #[test]
    fn embeddings_between_two_files_of_concepts_are_refused_unless_named_after_one() {
        let folder = folder(&[("one.jsonl", CONCEPTS), ("two.jsonl", CONCEPTS)]);
        write_rows(&folder.path().join("embeddings.npy"), 2);
        assert!(of(&folder).unwrap_err().to_string().contains("several files"));
        std::fs::rename(folder.path().join("embeddings.npy"), folder.path().join("two.npy"))
            .unwrap();
        assert!(of(&folder).unwrap().sources[1].embeddings.is_some());
    }

    #[test]
    fn what_can_not_be_imported_is_wrong_usage() {
        let folder = folder(&[("a.txt", "")]);
        for path in [
            folder.path().to_owned(),
            folder.path().join("a.txt"),
            folder.path().join("gone.jsonl"),
        ] {
            assert_eq!(survey_of(path, |_| ()).unwrap_err().code(), 2);
        }
    }
}
