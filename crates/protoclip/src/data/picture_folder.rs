//! The folder of a data set, which is the only place its pictures are read from.
//!
//! Rows name files; whoever wrote them is not trusted. Files are opened relative to an open handle of
//! the folder, and neither `..` nor an absolute path nor a symbolic link leads out of it, not even one
//! that is put in place between a check and its use. On S3 it is a beginning of names ([`remote`]).

mod remote;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use image::RgbImage;

use self::remote::RemotePictures;
use super::decode::{check_header, decode_bytes, decode_file};
use super::object_reader::url_of;
use super::{DataError, SkipReason};

/// Why a picture cannot be used.
pub(super) type Refusal = (SkipReason, String);

#[derive(Debug)]
pub(super) struct PictureFolder {
    path: PathBuf,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Local(Dir),
    Remote(RemotePictures),
}

impl PictureFolder {
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        let place = match url_of(path) {
            Some(url) => Place::Remote(RemotePictures::new(url)),
            None => {
                let here = path.as_os_str().is_empty();
                let opened = if here { Path::new(".") } else { path };
                let dir = Dir::open_ambient_dir(opened, ambient_authority());
                Place::Local(dir.map_err(|e| DataError::io(opened, e))?)
            }
        };
        let path = path.to_path_buf();
        Ok(Self { path, place })
    }

    /// Whether pictures come from storage.
    pub(super) fn is_remote(&self) -> bool {
        matches!(self.place, Place::Remote(_))
    }

    /// Finds out what is in the folder, where every [`check`](Self::check) would be a request otherwise.
    ///
    /// # Errors
    /// When storage cannot be reached.
    pub(super) fn look(&self) -> Result<(), DataError> {
        match &self.place {
            Place::Local(_) => Ok(()),
            Place::Remote(remote) => remote.look(),
        }
    }

    /// Fetches pictures that will be decoded soon, where they come from storage.
    ///
    /// # Errors
    /// When storage cannot be reached.
    pub(super) fn fetch(&self, paths: &[PathBuf]) -> Result<(), DataError> {
        match &self.place {
            Place::Local(_) => Ok(()),
            Place::Remote(remote) => {
                let inside = paths.iter().filter_map(|path| self.inside(path).ok());
                let inside: Vec<&Path> = inside.collect();
                remote.fetch(&inside)
            }
        }
    }

    /// The whole picture, or why it is none; `path` begins with the folder's.
    ///
    /// # Errors
    /// When storage cannot be reached or refuses.
    pub(super) fn decode(&self, path: &Path) -> Result<Result<RgbImage, Refusal>, DataError> {
        match &self.place {
            Place::Local(dir) => Ok(self
                .file(dir, path)
                .and_then(|file| decode_file(file).map_err(broken))),
            Place::Remote(remote) => {
                let bytes = match self.inside(path) {
                    Ok(inside) => remote.bytes(inside)?,
                    Err(refusal) => Err(refusal),
                };
                Ok(bytes.and_then(|bytes| decode_bytes(&bytes).map_err(broken)))
            }
        }
    }

    /// Reads only the header and says what would keep the picture from being decoded; of an object,
    /// whether it is there.
    pub(super) fn check(&self, path: &Path) -> Result<(), Refusal> {
        match &self.place {
            Place::Local(dir) => check_header(self.file(dir, path)?).map_err(broken),
            Place::Remote(remote) => remote.check(self.inside(path)?),
        }
    }

    fn inside<'a>(&self, path: &'a Path) -> Result<&'a Path, Refusal> {
        path.strip_prefix(&self.path).map_err(|_| outside())
    }

    fn file(&self, dir: &Dir, path: &Path) -> Result<File, Refusal> {
        let inside = self.inside(path)?;
        let refused = |error: io::Error| match error.kind() {
            // What cap-std says of a path that leads out, and the system of a forbidden one.
            io::ErrorKind::PermissionDenied => (SkipReason::OutsideFolder, error.to_string()),
            _ => (SkipReason::MissingFile, error.to_string()),
        };
        // A pipe would keep its reader waiting for ever.
        if !dir.metadata(inside).map_err(refused)?.is_file() {
            return Err((SkipReason::MissingFile, "this is no file".into()));
        }
        let file = dir.open(inside).map_err(refused)?;
        Ok(file.into_std())
    }
}

fn outside() -> Refusal {
    let message = "pictures are read only from the folder of the data set and below";
    (SkipReason::OutsideFolder, message.into())
}

fn broken(message: String) -> Refusal {
    (SkipReason::BrokenImage, message)
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    fn decoded(folder: &PictureFolder, path: &Path) -> Result<RgbImage, Refusal> {
        folder.decode(path).expect("no storage")
    }

    /// A picture inside the folder and another outside, which has one pixel more.
    fn pictures() -> (tempfile::TempDir, PathBuf) {
        let parent = tempfile::tempdir().expect("temporary folder");
        let folder = parent.path().join("set");
        fs::create_dir_all(folder.join("a/b")).expect("creates");
        let save = |path: PathBuf, side| {
            let picture = RgbImage::new(side, side);
            picture.save(path).expect("writes");
        };
        save(folder.join("in.png"), 1);
        save(folder.join("a/b/in.png"), 1);
        save(parent.path().join("secret.png"), 2);
        (parent, folder)
    }

    #[test]
    fn what_lies_below_is_read_by_any_of_its_paths() {
        let (_parent, path) = pictures();
        let folder = PictureFolder::open(&path).expect("opens");
        symlink("a/b/in.png", path.join("inward.png")).expect("links");
        for name in [
            "in.png",
            "a/b/in.png",
            "./a/../in.png",
            "a//b/in.png",
            "inward.png",
        ] {
            assert_eq!(folder.check(&path.join(name)), Ok(()), "{name}");
            let picture = decoded(&folder, &path.join(name)).expect(name);
            assert_eq!(picture.width(), 1);
        }
        // An absolute path of the same file is as good.
        assert!(decoded(&folder, &path.join(path.join("in.png"))).is_ok());
    }

    #[test]
    fn nothing_outside_is_read() {
        let (parent, path) = pictures();
        let folder = PictureFolder::open(&path).expect("opens");
        let secret = parent.path().join("secret.png");
        symlink(&secret, path.join("absolute.png")).expect("links");
        symlink("../secret.png", path.join("relative.png")).expect("links");
        symlink("..", path.join("up")).expect("links");
        symlink("absolute.png", path.join("twice.png")).expect("links");
        let mut names: Vec<String> = vec![
            "absolute.png".into(),
            "relative.png".into(),
            "twice.png".into(),
            "up/secret.png".into(),
            "a/../up/secret.png".into(),
            secret.display().to_string(),
            "/proc/self/root/etc/passwd".into(),
            format!("/proc/self/cwd/{}", secret.display()),
        ];
        for depth in 1..=40 {
            let up = "../".repeat(depth);
            let spelled = secret.display().to_string();
            names.extend([
                format!("{up}secret.png"),
                format!("a/b/{up}secret.png"),
                format!("./{up}./secret.png"),
                format!("{up}{}", spelled.trim_start_matches('/')),
                format!("a/{up}{}", spelled.trim_start_matches('/')),
                format!("{up}etc/passwd"),
                format!("in.png/{up}secret.png"),
                format!("//{up}{spelled}"),
                format!("a{}/{up}secret.png", "/.".repeat(depth)),
                format!("{}secret.png", "..//".repeat(depth)),
                format!("{}secret.png", "..\\".repeat(depth)),
                format!("{}secret.png", "%2e%2e/".repeat(depth)),
                format!("{up}set/../secret.png"),
            ]);
        }
        assert!(names.len() >= 500, "{}", names.len());
        for name in names {
            let found = decoded(&folder, &path.join(&name));
            let (reason, _) = found.expect_err(&name);
            assert_ne!(reason, SkipReason::BrokenImage, "{name} was read");
        }
    }

    #[test]
    fn a_link_swapped_in_between_leads_nowhere() {
        let (parent, path) = pictures();
        let folder = PictureFolder::open(&path).expect("opens");
        let (inside, secret) = (path.join("a/b/in.png"), parent.path().join("secret.png"));
        let (swapped, next) = (path.join("swapped.png"), path.join("next.png"));
        fs::copy(&inside, &swapped).expect("copies");
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    symlink(&secret, &next).expect("links");
                    fs::rename(&next, &swapped).expect("swaps");
                    fs::copy(&inside, &next).expect("copies");
                    fs::rename(&next, &swapped).expect("swaps");
                    std::thread::sleep(Duration::from_micros(300));
                }
            });
            let (mut read, mut refused) = (0, 0);
            let begin = Instant::now();
            while (read < 20 || refused < 20) && begin.elapsed() < Duration::from_secs(60) {
                match decoded(&folder, &swapped) {
                    Ok(picture) => {
                        assert_eq!(picture.width(), 1, "the secret was read");
                        read += 1;
                    }
                    Err(_) => refused += 1,
                }
            }
            done.store(true, Ordering::Relaxed);
            assert!(
                read >= 20 && refused >= 20,
                "{read} read, {refused} refused"
            );
        });
    }

    #[test]
    fn pipes_and_folders_are_no_pictures() {
        let (_parent, path) = pictures();
        let folder = PictureFolder::open(&path).expect("opens");
        let (reason, _) = decoded(&folder, &path.join("a")).expect_err("a folder");
        assert_eq!(reason, SkipReason::MissingFile);
        let made = std::process::Command::new("mkfifo")
            .arg(path.join("pipe.png"))
            .status();
        if made.is_ok_and(|status| status.success()) {
            assert!(decoded(&folder, &path.join("pipe.png")).is_err());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]
        #[test]
        fn no_name_leads_to_the_secret(parts in prop::collection::vec(
            prop_oneof!["\\.\\.", "\\.", "a", "b", "", "up", "secret\\.png", "in\\.png", "\\PC{0,3}"], 1..8
        )) {
            thread_local! {
                static SET: (tempfile::TempDir, PathBuf, PictureFolder) = {
                    let (parent, path) = pictures();
                    symlink("..", path.join("up")).expect("links");
                    let folder = PictureFolder::open(&path).expect("opens");
                    (parent, path, folder)
                };
            }
            let name = parts.join("/");
            SET.with(|(_, path, folder)| {
                if let Ok(picture) = decoded(folder, &path.join(&name)) {
                    assert_eq!(picture.width(), 1, "{name} leads to the secret");
                }
            });
        }
    }
}
