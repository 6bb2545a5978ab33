//! Statements built from fixed pieces. Values are always bound: a piece of SQL is `&'static str`.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

/// A value to bind.
#[derive(Debug, Clone)]
pub(crate) enum Arg {
    Uuid(Uuid),
    OptUuid(Option<Uuid>),
    Text(String),
    OptText(Option<String>),
    Bool(bool),
    Int(i64),
    Time(DateTime<Utc>),
    OptTime(Option<DateTime<Utc>>),
    Day(NaiveDate),
}

macro_rules! into_arg {
    ($($from:ty => $variant:ident),* $(,)?) => {
        $(impl From<$from> for Arg { fn from(value: $from) -> Self { Self::$variant(value.into()) } })*
    };
}
into_arg! {
    Uuid => Uuid, Option<Uuid> => OptUuid, String => Text, &str => Text, Option<String> => OptText,
    bool => Bool, i64 => Int, DateTime<Utc> => Time, Option<DateTime<Utc>> => OptTime,
    NaiveDate => Day,
}
impl From<crate::UserId> for Arg {
    fn from(id: crate::UserId) -> Self {
        Self::Uuid(id.0)
    }
}
#[cfg(feature = "webhooks")]
impl From<crate::WebhookId> for Arg {
    fn from(id: crate::WebhookId) -> Self {
        Self::Uuid(id.0)
    }
}

/// A statement and its values.
#[derive(Debug, Default, Clone)]
pub(crate) struct Statement {
    pub text: String,
    pub args: Vec<Arg>,
    /// Whether PostgreSQL plans it anew each time, with the values in sight, instead of keeping it prepared: after five runs
    /// a prepared statement may get a plan for all values, which suits none of them if they differ much.
    pub plan_anew: bool,
}

impl Statement {
    pub(crate) fn new(text: &'static str) -> Self {
        Self { text: text.to_owned(), args: Vec::new(), plan_anew: false }
    }

    pub(crate) fn push(&mut self, text: &'static str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Appends a number as text, for what a planner should know beforehand.
    pub(crate) fn number(&mut self, value: i64) -> &mut Self {
        self.text.push_str(&value.to_string());
        self
    }

    /// Appends a placeholder for the value.
    pub(crate) fn bind(&mut self, value: impl Into<Arg>) -> &mut Self {
        self.args.push(value.into());
        self.text.push('$');
        self.text.push_str(&self.args.len().to_string());
        self
    }

    /// Appends a subquery that gives the value, so that no planner sees it. PostgreSQL then has one plan for all values. And
    /// where SQLite has statistics (`ANALYZE`), it prepares a statement anew for each run if a column is compared with a
    /// placeholder itself, which takes as long as a page.
    pub(crate) fn hide(&mut self, value: impl Into<Arg>) -> &mut Self {
        self.push("(SELECT ").bind(value).push(")")
    }
}

/// Like `sql!`, for a [`Statement`]: `run!(conn, fetch_all, query_as::<_, Row>, statement)`.
macro_rules! run {
    ($conn:expr, execute, $statement:expr) => {
        match $conn {
            #[cfg(feature = "sqlite")]
            $crate::db::Conn::Sqlite(c) => {
                $crate::db::dynamic::bound!(sqlx::query, $statement).execute(&mut **c).await.map(|r| r.rows_affected())
            }
            #[cfg(feature = "postgres")]
            $crate::db::Conn::Postgres(c, prepared) => {
                let statement: $crate::db::dynamic::Statement = $statement;
                let persistent = *prepared && !statement.plan_anew;
                let query = $crate::db::dynamic::bound!(sqlx::query, statement).persistent(persistent);
                query.execute(&mut **c).await.map(|r| r.rows_affected())
            }
        }
    };
    ($conn:expr, $method:ident, $query:expr, $statement:expr) => {
        match $conn {
            #[cfg(feature = "sqlite")]
            $crate::db::Conn::Sqlite(c) => $crate::db::dynamic::bound!($query, $statement).$method(&mut **c).await,
            #[cfg(feature = "postgres")]
            $crate::db::Conn::Postgres(c, prepared) => {
                let statement: $crate::db::dynamic::Statement = $statement;
                let persistent = *prepared && !statement.plan_anew;
                $crate::db::dynamic::bound!($query, statement).persistent(persistent).$method(&mut **c).await
            }
        }
    };
}
macro_rules! bound {
    ($query:expr, $statement:expr) => {{
        use $crate::db::dynamic::Arg;
        let statement: $crate::db::dynamic::Statement = $statement;
        let mut query = ($query)(sqlx::AssertSqlSafe(statement.text));
        for arg in statement.args {
            query = match arg {
                Arg::Uuid(v) => query.bind(v),
                Arg::OptUuid(v) => query.bind(v),
                Arg::Text(v) => query.bind(v),
                Arg::OptText(v) => query.bind(v),
                Arg::Bool(v) => query.bind(v),
                Arg::Int(v) => query.bind(v),
                Arg::Time(v) => query.bind(v),
                Arg::OptTime(v) => query.bind(v),
                Arg::Day(v) => query.bind(v),
            };
        }
        query
    }};
}
pub(crate) use {bound, run};
