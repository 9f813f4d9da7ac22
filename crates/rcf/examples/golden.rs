//! The distribution of scores and their kin against the golden ones, over seeds 1 to 100 (or `--seeds N`).
//!
//! `cargo run --release -p rcf --example golden`

#[path = "../tests/it/compare.rs"]
mod compare;

fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let n_seeds = match arguments.iter().position(|argument| argument == "--seeds") {
        None => 100,
        Some(at) => arguments.get(at + 1).and_then(|n| n.parse().ok()).unwrap_or(0),
    };
    if n_seeds < 20 {
        eprintln!("usage: golden [--seeds N], N at least 20");
        return std::process::ExitCode::from(2);
    }
    println!("seeds 1..={n_seeds}");
    let mut passed = true;
    for (set, shingle_size) in compare::SETS {
        let reports = compare::compare(set, shingle_size, n_seeds);
        for report in reports.into_iter().chain(compare::compare_more(set, shingle_size, n_seeds)) {
            println!("{report}");
            passed &= report.passed;
        }
    }
    std::process::ExitCode::from(u8::from(!passed))
}
