//! Priority of training threads.

/// The lowest ordinary priority: everything else on the machine goes first.
const LOWEST: i32 = 19;

/// Gives the calling thread the lowest priority. Threads that it starts inherit it.
pub(crate) fn yield_to_others() {
    // On Linux the "process" of this call is the calling thread. A refusal costs only politeness.
    if let Err(error) = rustix::process::setpriority_process(None, LOWEST) {
        tracing::warn!(%error, "training threads keep normal priority");
    }
}

/// Gives every thread of the process the priority of its first one again, so that what must be saved before the
/// process ends is saved soon on a busy machine. Only Linux has priorities of threads, and it may refuse:
/// root may raise them, others up to their limit (`ulimit -e`).
pub(crate) fn hurry() {
    #[cfg(target_os = "linux")]
    for thread in threads() {
        // A thread that has ended meanwhile needs no priority, and a refusal leaves it as it is.
        let _kept_or_ended = rustix::process::setpriority_process(Some(thread), of_the_first());
    }
}

/// Linux gives the first thread the number of the process.
#[cfg(target_os = "linux")]
fn of_the_first() -> i32 {
    rustix::process::getpriority_process(Some(rustix::process::getpid())).unwrap_or(0)
}

/// The threads of the process, by the numbers that Linux gives them.
#[cfg(target_os = "linux")]
fn threads() -> Vec<rustix::process::Pid> {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten();
    tasks
        .filter_map(|task| task.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(rustix::process::Pid::from_raw)
        .collect()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::sync::{Mutex, PoisonError, mpsc};

    use super::*;

    /// One test at a time: hurrying is for all threads of the process.
    static ALONE: Mutex<()> = Mutex::new(());

    fn nice() -> i32 {
        rustix::process::getpriority_process(None).expect("asks")
    }

    #[test]
    fn a_nice_thread_hurries_where_the_system_lets_it() {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let normal = of_the_first();
        let (ready, is_ready) = mpsc::channel();
        let (hurried, has_hurried) = mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            yield_to_others();
            let may_return = rustix::process::setpriority_process(None, normal).is_ok();
            yield_to_others();
            ready.send(nice()).expect("waits");
            has_hurried.recv().expect("sends");
            (nice(), may_return)
        });
        assert_eq!(is_ready.recv().expect("sends"), LOWEST);
        hurry();
        hurried.send(()).expect("waits");
        let (after, may_return) = thread.join().expect("joins");
        assert_eq!(after, if may_return { normal } else { LOWEST });
    }

    #[test]
    fn only_the_calling_thread_and_its_children_become_nice() {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let before = nice();
        let (itself, child) = std::thread::spawn(move || {
            yield_to_others();
            let child = std::thread::spawn(nice).join().expect("joins");
            (nice(), child)
        })
        .join()
        .expect("joins");
        assert_eq!((itself, child), (LOWEST, LOWEST));
        assert_eq!(nice(), before);
    }
}
