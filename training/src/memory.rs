//! Whether there is enough memory, as far as the system tells.

use std::fs;

/// Warns if so many bytes of `what` won't fit into the memory that is free: who has them all at the end would be killed then,
/// after hours. `instead` needs less.
pub(crate) fn look(bytes: usize, what: &str, instead: &str) {
    let needed = bytes as u64;
    let free = [of_system(), of_container()].into_iter().flatten().min();
    if let Some(free) = free.filter(|free| *free < needed) {
        tracing::warn!(
            needed_bytes = needed,
            free_bytes = free,
            "{what} need more memory than is free: {instead} need less"
        );
    }
}

fn of_system() -> Option<u64> {
    available(&fs::read_to_string("/proc/meminfo").ok()?)
}

/// Where a container is limited, the system tells of more than there is for it.
fn of_container() -> Option<u64> {
    let told = |name: &str| fs::read_to_string(format!("/sys/fs/cgroup/memory.{name}")).ok();
    left(&told("max")?, &told("current")?, &told("stat")?)
}

/// Bytes that processes can have without anything being swapped out, as Linux tells.
fn available(told: &str) -> Option<u64> {
    let line = told.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Bytes that are left of a limit, if there is one, as version 2 of Linux' control groups tells. What is kept of files is given
/// back when somebody needs it.
fn left(most: &str, used: &str, told: &str) -> Option<u64> {
    let most: u64 = most.trim().parse().ok()?;
    let used: u64 = used.trim().parse().ok()?;
    let kept = |name: &str| told.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    let files: u64 = ["active_file ", "inactive_file "].into_iter().filter_map(kept).sum();
    Some(most.saturating_sub(used.saturating_sub(files)))
}

#[cfg(test)]
mod tests {
    use super::{available, left};

    #[test]
    fn what_is_free_is_read_as_linux_writes_it() {
        let told = "MemTotal:       131912280 kB\nMemFree:         1000000 kB\nMemAvailable:   98765432 kB\n";
        assert_eq!(available(told), Some(98_765_432 * 1024));
        assert_eq!(available("MemTotal: 5 kB\n"), None);
    }

    #[test]
    fn of_a_container_s_limit_is_left_what_isn_t_used_or_only_kept_of_files() {
        let told = "anon 2000\nfile 1500\ninactive_anon 7\ninactive_file 300\nactive_file 200\n";
        assert_eq!(left("4000\n", "3000\n", told), Some(1500));
        assert_eq!(left("4000\n", "400\n", told), Some(4000));
        assert_eq!(left("4000\n", "5000\n", ""), Some(0));
        assert_eq!(left("max\n", "3000\n", told), None);
    }
}
