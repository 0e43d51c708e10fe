//! The folder of a data set, which is the only place its pictures are read from.
//!
//! Rows name files; whoever wrote them is not trusted. Files are opened relative to an open handle of
//! the folder, and neither `..` nor an absolute path nor a symbolic link leads out of it, not even one
//! that is put in place between a check and its use.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use image::RgbImage;

use super::decode::{check_header, decode_file};
use super::{DataError, SkipReason};

/// Why a picture cannot be used.
pub(super) type Refusal = (SkipReason, String);

#[derive(Debug)]
pub(super) struct PictureFolder {
    path: PathBuf,
    dir: Dir,
}

impl PictureFolder {
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        let here = path.as_os_str().is_empty();
        let opened = if here { Path::new(".") } else { path };
        let dir = Dir::open_ambient_dir(opened, ambient_authority())
            .map_err(|e| DataError::io(opened, e))?;
        let path = path.to_path_buf();
        Ok(Self { path, dir })
    }

    /// The whole picture; `path` begins with the folder's.
    pub(super) fn decode(&self, path: &Path) -> Result<RgbImage, Refusal> {
        decode_file(self.file(path)?).map_err(broken)
    }

    /// Reads only the header and says what would keep the picture from being decoded.
    pub(super) fn check(&self, path: &Path) -> Result<(), Refusal> {
        check_header(self.file(path)?).map_err(broken)
    }

    fn file(&self, path: &Path) -> Result<File, Refusal> {
        let inside = path.strip_prefix(&self.path).map_err(|_| outside())?;
        let refused = |error: io::Error| match error.kind() {
            // What cap-std says of a path that leads out, and the system of a forbidden one.
            io::ErrorKind::PermissionDenied => (SkipReason::OutsideFolder, error.to_string()),
            _ => (SkipReason::MissingFile, error.to_string()),
        };
        // A pipe would keep its reader waiting for ever.
        if !self.dir.metadata(inside).map_err(refused)?.is_file() {
            return Err((SkipReason::MissingFile, "this is no file".into()));
        }
        let file = self.dir.open(inside).map_err(refused)?;
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
            let picture = folder.decode(&path.join(name)).expect(name);
            assert_eq!(picture.width(), 1);
        }
        // An absolute path of the same file is as good.
        assert!(folder.decode(&path.join(path.join("in.png"))).is_ok());
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
            let found = folder.decode(&path.join(&name));
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
                match folder.decode(&swapped) {
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
        let (reason, _) = folder.decode(&path.join("a")).expect_err("a folder");
        assert_eq!(reason, SkipReason::MissingFile);
        let made = std::process::Command::new("mkfifo")
            .arg(path.join("pipe.png"))
            .status();
        if made.is_ok_and(|status| status.success()) {
            assert!(folder.decode(&path.join("pipe.png")).is_err());
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
                if let Ok(picture) = folder.decode(&path.join(&name)) {
                    assert_eq!(picture.width(), 1, "{name} leads to the secret");
                }
            });
        }
    }
}
