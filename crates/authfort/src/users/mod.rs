//! Users: reading, creating, changing, banning and deleting them, and their passwords and single-use tokens.

mod ban;
mod create;
mod delete;
mod get;
mod list;
mod lookup;
mod password;
mod preview_delete;
mod proof;
mod reset_password;
mod single_use_token;
pub(crate) mod token_size;
mod totals;
mod update;
mod verify_email;

pub use ban::{BanUser, UnbanUser};
pub use create::CreateUser;
pub(crate) use create::{insert_user, profile_options};
pub use delete::{DeleteReceipt, DeleteUser};
pub use get::{FindUser, GetUser};
pub use list::{CountUsers, ListUsers, UserPage};
pub use password::{ChangePassword, SetPassword};
pub use preview_delete::DeletePreview;
pub(crate) use proof::prove_email;
use proof::proven_by_another;
pub use reset_password::ResetPassword;
pub use single_use_token::{IssuedToken, RequestToken};
pub use totals::{CheckTotals, RepairTotals, TotalDifference, TotalsCheck};
pub use update::UpdateUser;
pub use verify_email::VerifyEmail;
