//! Files of a run that did not fit on the disk: the run waits for space and loses nothing.

use super::TrainError;
use super::session::Session;

impl Session<'_> {
    /// Writes something; when the disk is full, lets the observer wait for space and tries again.
    pub(super) fn writing<T>(
        &mut self,
        write: impl Fn(&Self) -> Result<T, TrainError>,
    ) -> Result<T, TrainError> {
        loop {
            match write(self) {
                Err(error) if is_disk_full(&error.to_string()) => {
                    self.observer.disk_full(&error.to_string())?;
                }
                done => return done,
            }
        }
    }
}

/// Whether a message comes from a full disk or a used-up quota. Every layer below keeps the
/// system's message; few keep the error.
fn is_disk_full(message: &str) -> bool {
    ["(os error 28)", "(os error 122)"]
        .iter()
        .any(|code| message.contains(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lack_of_space_is_waited_for() {
        let system = |code| std::io::Error::from_raw_os_error(code).to_string();
        assert!(is_disk_full(&format!("checkpoint 3: {}", system(28))));
        assert!(!is_disk_full(&system(13)) && !is_disk_full(&system(5)));
    }
}
