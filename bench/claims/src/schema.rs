//! The tables and functions, made as the adapter makes them.

/// The order in which the adapter has them.
pub(crate) const SQL: &str = concat!(
    "CREATE SCHEMA emporium_2;",
    include_str!("../../../components/platform-postgres/sql/tables.sql"),
    include_str!("../../../components/platform-postgres/sql/views.sql"),
    include_str!("../../../components/platform-postgres/sql/lanes.sql"),
    include_str!("../../../components/platform-postgres/sql/claims.sql"),
    include_str!("../../../components/platform-postgres/sql/commit.sql"),
    include_str!("../../../components/platform-postgres/sql/operations.sql"),
    include_str!("../../../components/platform-postgres/sql/blobs.sql"),
);
