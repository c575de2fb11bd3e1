//! Conduct: how a handler behaves before it does its work, if it gets that far.

use std::{hint::black_box, time::Duration};

use emporium_sdk::consumer::Verdict;
use serde::{Deserialize, Serialize};
use spin_sdk::time::sleep;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Conduct {
    /// Work at once.
    Work,
    /// Be slow in the first `attempts` attempts.
    Slow { ms: u64, attempts: u32 },
    /// Say in the first `attempts` attempts that trying again may help.
    Fail { attempts: u32 },
    /// Say that trying again never will.
    Reject,
    /// Trap, as a panic does.
    Trap,
    /// Ask for more memory than there is.
    Hoard,
    /// Never come back.
    Loop,
}

/// Behave so in attempt `attempt`.
pub(crate) async fn follow(conduct: Conduct, attempt: u32) -> Result<(), Verdict> {
    match conduct {
        Conduct::Work => {}
        Conduct::Slow { ms, attempts } if attempt <= attempts => {
            sleep(Duration::from_millis(ms)).await;
        }
        Conduct::Fail { attempts } if attempt <= attempts => {
            return Err(Verdict::retry("asked to fail"));
        }
        Conduct::Slow { .. } | Conduct::Fail { .. } => {}
        Conduct::Reject => return Err(Verdict::reject("asked to reject")),
        Conduct::Trap => std::process::abort(),
        Conduct::Hoard => hoard(),
        Conduct::Loop => loop {
            black_box(());
        },
    }
    Ok(())
}

fn hoard() {
    let mut hoard = Vec::new();
    loop {
        hoard.push(black_box(vec![1_u8; 16 << 20]));
    }
}
