//! Makes a failure smaller: operations are left out while it still fails in the same way.

use super::run::{Failure, Options, run};

/// The smallest failure that is found; `options` are those of the failure.
pub fn shrink(mut failure: Failure, options: &Options) -> Failure {
    let kind = failure.kind();
    let mut size = failure.ops.len().div_ceil(2).max(1);
    loop {
        let mut at = 0;
        let mut is_smaller = false;
        while at < failure.ops.len() {
            let mut only = failure.ops.clone();
            only.drain(at..(at + size).min(only.len()));
            let tried = Options { only: Some(only), ..options.clone() };
            match run(failure.seed, &tried) {
                Err(smaller) if smaller.kind() == kind => {
                    failure = smaller;
                    is_smaller = true;
                }
                _ => at += size,
            }
        }
        if size == 1 && !is_smaller {
            return failure;
        }
        if !is_smaller || size > failure.ops.len() {
            size = (size / 2).max(1);
        }
    }
}

/// How anybody sees it again.
pub fn replay(failure: &Failure, options: &Options) -> String {
    let ops: Vec<String> = failure.ops.iter().map(ToString::to_string).collect();
    let fault = options.fault.map(|fault| format!(" --fault {fault:?}")).unwrap_or_default();
    let short = if options.length.most <= 40 { " --short" } else { "" };
    let folds = if options.folds { " --folded" } else { "" };
    format!(
        "cargo bench --bench simulation -- --replay {}{short}{folds}{fault} --ops {}",
        failure.seed,
        ops.join(",")
    )
}
