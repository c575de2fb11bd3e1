//! Why deliveries died and subscriptions pause, in words that are kept.

/// How much of a reason is kept.
const BYTES: usize = 4096;

/// Why a subscription pauses that somebody paused.
pub const ON_REQUEST: &str = "paused on request";

/// As much of a reason as is kept, without what a database cannot store.
pub fn shorten(reason: &str) -> String {
    let end = reason.floor_char_boundary(BYTES);
    reason
        .get(..end)
        .unwrap_or(reason)
        .replace('\0', "\u{FFFD}")
}

/// Why a delivery died that was never heard of again.
pub fn lease_ran_out(attempt: u32) -> String {
    format!("the lease of attempt {attempt} ran out")
}

/// Why a subscription pauses by itself.
pub fn too_many_deaths(deaths: u64, settled: u64) -> String {
    format!("{deaths} deliveries used up their attempts while {settled} were settled")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        assert_eq!(shorten("why"), "why");
        let reason = format!("x{}", "ü".repeat(BYTES));
        assert_eq!(shorten(&reason).len(), BYTES - 1);
    }

    #[test]
    fn a_reason_with_nul_can_be_stored() {
        assert_eq!(shorten("a\0b"), "a\u{FFFD}b");
    }
}
