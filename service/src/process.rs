//! What the system knows about this process, as metrics.

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge, Registry};
use std::fs;

/// The unit of `/proc/self/stat`, the same on every Linux that anyone runs: `USER_HZ`.
const TICKS_A_SECOND: f64 = 100.0;

/// Registers `process_resident_memory_bytes`, `process_cpu_seconds_total`, `process_open_fds` and
/// `process_start_time_seconds`, read from `/proc` at each scrape. Where there is no `/proc`, nothing is reported.
pub fn register(registry: &Registry) -> prometheus::Result<()> {
    registry.register(Box::new(Process::new()?))
}

struct Process {
    memory: Gauge,
    processor: Counter,
    files: Gauge,
    start: Gauge,
}

impl Process {
    fn new() -> prometheus::Result<Self> {
        Ok(Self {
            memory: Gauge::new("process_resident_memory_bytes", "Memory in use, in bytes")?,
            processor: Counter::new("process_cpu_seconds_total", "Processor time spent, in seconds")?,
            files: Gauge::new("process_open_fds", "Open files and sockets")?,
            start: Gauge::new("process_start_time_seconds", "When the process began, in seconds since 1970")?,
        })
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        [self.memory.desc(), self.processor.desc(), self.files.desc(), self.start.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = Vec::new();
        // New ones, so that two scrapes at a time don't count into each other's.
        let Ok(now) = Self::new() else { return families };
        let mut report = |gauge: &Gauge, value: Option<f64>| {
            if let Some(value) = value {
                gauge.set(value);
                families.extend(gauge.collect());
            }
        };
        let stat = Stat::read();
        report(&now.memory, memory());
        report(&now.files, open_files());
        report(&now.start, stat.as_ref().and_then(Stat::started));
        if let Some(stat) = stat {
            now.processor.inc_by(stat.processor);
            families.extend(now.processor.collect());
        }
        families
    }
}

/// Two numbers of `/proc/self/stat`, in seconds.
struct Stat {
    processor: f64,
    /// Since the machine was started.
    start: f64,
}

impl Stat {
    fn read() -> Option<Self> {
        let text = fs::read_to_string("/proc/self/stat").ok()?;
        // The name, in parentheses, may hold anything; the third field follows it.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let seconds = |field: usize| Some(fields.get(field - 3)?.parse::<f64>().ok()? / TICKS_A_SECOND);
        Some(Self { processor: seconds(14)? + seconds(15)?, start: seconds(22)? })
    }

    /// Since 1970.
    fn started(&self) -> Option<f64> {
        Some(number_after("/proc/stat", "btime")? + self.start)
    }
}

fn memory() -> Option<f64> {
    Some(number_after("/proc/self/status", "VmRSS:")? * 1024.0)
}

fn open_files() -> Option<f64> {
    // Reading the folder opens one.
    Some(fs::read_dir("/proc/self/fd").ok()?.count() as f64 - 1.0)
}

fn number_after(file: &str, label: &str) -> Option<f64> {
    let text = fs::read_to_string(file).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(label))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::time::{SystemTime, UNIX_EPOCH};

    #[test]
    fn the_numbers_are_plausible() {
        let registry = Registry::new();
        register(&registry).unwrap();
        let _files: Vec<_> = (0..10).map(|_| fs::File::open("/proc/self/stat").unwrap()).collect();
        let value = |name: &str| {
            let families = registry.gather();
            let family = families.iter().find(|family| family.name() == name).unwrap();
            let metric = &family.get_metric()[0];
            metric.get_gauge().get_value() + metric.get_counter().get_value()
        };
        assert!((1e6..1e10).contains(&value("process_resident_memory_bytes")));
        assert!((13.0..1000.0).contains(&value("process_open_fds")));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        assert!((now - 600.0..now + 2.0).contains(&value("process_start_time_seconds")));
        let begun = value("process_cpu_seconds_total");
        while value("process_cpu_seconds_total") - begun < 0.02 {}
    }
}
