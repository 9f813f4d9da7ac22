//! CPU time and memory of this process; 0 where /proc does not tell.

use anyhow::Result;
use tokio::runtime::{Builder, Runtime};

/// A runtime whose threads have a name, so that Linux tells their CPU time apart.
///
/// # Errors
/// There are no threads to be had.
pub fn runtime(name: &str, n_threads: usize) -> Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    Ok(builder.worker_threads(n_threads).thread_name(name).enable_all().build()?)
}

/// User and system time of the living threads whose name begins so, in seconds.
pub fn cpu_seconds(name: &str) -> f64 {
    ticks(name).unwrap_or(0.0) / 100.0
}

/// User and system time of this process, ended threads included, in seconds.
pub fn process_cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    name_and_ticks(&stat).map_or(0.0, |(_, ticks)| ticks / 100.0)
}

fn ticks(name: &str) -> Option<f64> {
    let mut ticks = 0.0;
    for task in std::fs::read_dir("/proc/self/task").ok()? {
        // A thread may end meanwhile.
        let Ok(stat) = std::fs::read_to_string(task.ok()?.path().join("stat")) else { continue };
        let (its_name, its_ticks) = name_and_ticks(&stat)?;
        if its_name.starts_with(name) {
            ticks += its_ticks;
        }
    }
    Some(ticks)
}

/// The name stands in parentheses and may hold any character; behind it, fields 14 and 15 are the
/// times in hundredths of a second.
fn name_and_ticks(stat: &str) -> Option<(&str, f64)> {
    let (head, fields) = stat.rsplit_once(')')?;
    let times = fields.split_whitespace().skip(11).take(2);
    Some((head.split_once('(')?.1, times.filter_map(|field| field.parse::<f64>().ok()).sum()))
}

/// The time that the calling thread has had on a core, in seconds; 0 where the kernel keeps none.
pub fn thread_cpu_seconds() -> f64 {
    let read = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ns = read.split_whitespace().next().and_then(|ns| ns.parse::<f64>().ok());
    ns.unwrap_or(0.0) / 1e9
}

/// The memory that is resident now, in MiB.
pub fn resident_mib() -> f64 {
    status_kib("VmRSS:") / 1024.0
}

/// The most that was resident, in MiB.
pub fn peak_mib() -> f64 {
    status_kib("VmHWM:") / 1024.0
}

fn status_kib(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0.0)
}
