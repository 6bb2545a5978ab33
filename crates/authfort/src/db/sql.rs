//! One SQL text for both engines, and rows read by their field names.

/// Runs the same code for either engine: `either!(Self, self, inner => inner.close())`.
macro_rules! either {
    ($enum:ident, $value:expr, $inner:ident => $body:expr) => {
        match $value {
            #[cfg(feature = "sqlite")]
            $enum::Sqlite($inner) => $body,
            #[cfg(feature = "postgres")]
            $enum::Postgres($inner) => $body,
        }
    };
}
pub(super) use either;

/// Runs one SQL text on the connection's engine: `sql!(conn, fetch_all, query_as::<_, Row>(SQL), bind, …)`.
///
/// Any number of values may be bound: both engines read `$1`, `$2`, …. SQLite uses NULL for a missing value, so a test
/// runs each statement on both engines.
macro_rules! sql {
    ($conn:expr, execute, $sql:expr $(, $bind:expr)* $(,)?) => {
        match $conn {
            #[cfg(feature = "sqlite")]
            $crate::db::Conn::Sqlite(c) => sqlx::query($sql)$(.bind($bind))*.execute(&mut **c).await.map(|r| r.rows_affected()),
            #[cfg(feature = "postgres")]
            $crate::db::Conn::Postgres(c, prepared) => {
                sqlx::query($sql)$(.bind($bind))*.persistent(*prepared).execute(&mut **c).await.map(|r| r.rows_affected())
            }
        }
    };
    ($conn:expr, $method:ident, $kind:ident $(::<$($ty:ty),*>)?, $sql:expr $(, $bind:expr)* $(,)?) => {
        match $conn {
            #[cfg(feature = "sqlite")]
            $crate::db::Conn::Sqlite(c) => sqlx::$kind$(::<$($ty),*>)?($sql)$(.bind($bind))*.$method(&mut **c).await,
            #[cfg(feature = "postgres")]
            $crate::db::Conn::Postgres(c, prepared) => {
                sqlx::$kind$(::<$($ty),*>)?($sql)$(.bind($bind))*.persistent(*prepared).$method(&mut **c).await
            }
        }
    };
}
pub(crate) use sql;

/// Declares a row type that is read by its field names, on either engine.
///
/// (sqlx's derive would do the same, but would make every build compile sqlx a second time for its macros.)
macro_rules! row {
    ($(#[$attribute:meta])* $visibility:vis struct $name:ident { $($(#[$note:meta])* $seen:vis $field:ident: $type:ty,)* }) => {
        $(#[$attribute])*
        $visibility struct $name { $($(#[$note])* $seen $field: $type,)* }

        impl<'r, R: sqlx::Row> sqlx::FromRow<'r, R> for $name
        where
            &'static str: sqlx::ColumnIndex<R>,
            $($type: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,)*
        {
            fn from_row(row: &'r R) -> sqlx::Result<Self> {
                Ok(Self { $($field: row.try_get(stringify!($field))?,)* })
            }
        }
    };
}
pub(crate) use row;
