//! How much memory this process can have.

use sysinfo::{MemoryRefreshKind, Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// Main memory and swap, in bytes, within the limits of the container or control group that the
/// process is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct MachineMemory {
    /// What the process could have if nothing else ran.
    pub total: u64,
    /// What it can have now, caches of files that give way included.
    pub available: u64,
}

impl MachineMemory {
    /// Asks the system; `None` where it does not tell.
    pub fn read() -> Option<Self> {
        let mut system = System::new();
        system.refresh_memory_specifics(MemoryRefreshKind::everything());
        let (total, available) = (system.total_memory(), system.available_memory());
        if total == 0 {
            return None;
        }
        let machine = Self {
            total: total + system.total_swap(),
            available: available + system.free_swap(),
        };
        Some(machine.within(group(&mut system)))
    }

    fn within(self, group: Option<Self>) -> Self {
        group.map_or(self, |group| Self {
            total: self.total.min(group.total),
            available: self.available.min(group.available),
        })
    }
}

/// What the control group of this process allows. What its processes hold themselves counts, caches of
/// files do not: they give way.
fn group(system: &mut System) -> Option<MachineMemory> {
    let id = Pid::from_u32(std::process::id());
    let only = ProcessesToUpdate::Some(&[id]);
    system.refresh_processes_specifics(only, false, ProcessRefreshKind::nothing());
    let limits = system.process(id)?.cgroup_limits()?;
    let free = limits.total_memory.saturating_sub(limits.rss);
    Some(MachineMemory {
        total: limits.total_memory + system.total_swap(),
        available: free + limits.free_swap,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_memory_and_some_of_it_is_taken() {
        let memory = MachineMemory::read().expect("every system tells");
        assert!(memory.total > 64 << 20, "{memory:?}");
        assert!(
            0 < memory.available && memory.available < memory.total,
            "{memory:?}"
        );
    }

    #[test]
    fn the_smaller_of_machine_and_group_counts() {
        let machine = MachineMemory {
            total: 100,
            available: 40,
        };
        let group = MachineMemory {
            total: 60,
            available: 50,
        };
        assert_eq!(machine.within(None), machine);
        let both = MachineMemory {
            total: 60,
            available: 40,
        };
        assert_eq!(machine.within(Some(group)), both);
    }
}
