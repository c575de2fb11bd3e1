//! Every pair and the chosen triples on PostgreSQL, in the short form.

use emporium_interleavings::{
    postgres,
    suite::{Depth, groups},
};

#[test]
fn nothing_goes_wrong_in_any_order() {
    let report = postgres::play(groups(Depth::SHORT, ""), |_| ());
    println!("{report}");
    assert!(report.schedules() > 0, "nothing was played");
    assert!(report.violations.is_empty(), "{report}");
}
