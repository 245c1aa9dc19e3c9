//! A folder made by its path, durably and for its user alone.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::Folder;
use crate::file_error::in_context;

impl Folder {
    /// Makes a folder, where it is not there, for this user alone, and those above it; whether it
    /// was not there. All that is made is durable.
    ///
    /// # Errors
    /// Those of mkdir(2), open(2) and fsync(2), with the path.
    pub fn make(path: impl AsRef<Path>) -> io::Result<bool> {
        let path = path.as_ref();
        // Each folder that is made is an entry of the one above it, which a power cut could take
        // with all that is in it.
        let above = || {
            path.ancestors().skip(1).map(|above| match above.as_os_str().is_empty() {
                true => Path::new("."),
                false => above,
            })
        };
        let missing = above().take_while(|above| !above.exists()).count();
        if let Some(parent) = above().next() {
            fs::create_dir_all(parent).map_err(in_context("create the folder", parent))?;
        }
        let is_new = match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            Err(error) => return Err(in_context("create the folder", path)(error)),
        };
        // Also where it is there: whoever made it may have been killed before this.
        above().take(missing + 1).try_for_each(|above| Self::open(above)?.sync())?;
        Ok(is_new)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_folder_is_made_for_its_user_alone_with_those_above_it() {
        let above = tempfile::tempdir().unwrap();
        let path = above.path().join("one/two/three");
        assert!(Folder::make(&path).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(!Folder::make(&path).unwrap(), "it is there already");
        fs::write(path.join("file"), b"").unwrap();
        let error = Folder::make(path.join("file/four")).unwrap_err().to_string();
        assert!(error.contains("three/file"), "{error}");
    }
}
